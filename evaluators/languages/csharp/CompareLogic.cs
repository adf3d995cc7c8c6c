// The comparison that MBXP's C# tests are written with: the part of the library CompareNETObjects that they
// use, because it comes from NuGet and is seldom installed. As there by default: types must agree, lists
// keep their order, dictionaries are compared by key. Sets have no order here.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;

namespace KellermanSoftware.CompareNetObjects
{
    public sealed class ComparisonResult
    {
        public bool AreEqual { get; internal set; }
        public string DifferencesString { get; internal set; }
    }

    public sealed class CompareLogic
    {
        public ComparisonResult Compare(object expected, object actual)
        {
            var same = Same(expected, actual);
            return new ComparisonResult { AreEqual = same, DifferencesString = same ? "" : expected + " != " + actual };
        }

        static bool Same(object a, object b)
        {
            if (a == null || b == null)
                return a == null && b == null;
            if (a.GetType() != b.GetType())
                return false;
            if (a is string || a.GetType().IsPrimitive || a is decimal)
                return a.Equals(b);
            if (a is IDictionary)
                return SameEntries((IDictionary)a, (IDictionary)b);
            if (a.GetType().IsGenericType && a.GetType().GetGenericTypeDefinition() == typeof(HashSet<>))
                return SameItems(((IEnumerable)a).Cast<object>().ToList(), ((IEnumerable)b).Cast<object>().ToList());
            if (a is IEnumerable)
                return SameSequence(((IEnumerable)a).Cast<object>().ToList(), ((IEnumerable)b).Cast<object>().ToList());
            return a.Equals(b);
        }

        static bool SameSequence(List<object> a, List<object> b)
        {
            return a.Count == b.Count && a.Zip(b, Same).All(same => same);
        }

        static bool SameItems(List<object> a, List<object> b)
        {
            return a.Count == b.Count && a.All(item => b.Any(other => Same(item, other)))
                && b.All(item => a.Any(other => Same(item, other)));
        }

        static bool SameEntries(IDictionary a, IDictionary b)
        {
            if (a.Count != b.Count)
                return false;
            foreach (DictionaryEntry entry in a)
            {
                var others = b.Keys.Cast<object>().Where(key => Same(entry.Key, key)).ToList();
                if (others.Count != 1 || !Same(entry.Value, b[others[0]]))
                    return false;
            }
            return true;
        }
    }
}
