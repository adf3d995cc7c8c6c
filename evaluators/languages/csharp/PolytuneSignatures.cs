// Finds the method that a call of cases said as data means, and puts the arguments in the form it declares:
// a list as an array, a list of any element type or an interface of one; an int as a long, a string of one
// character as a char. Static methods come before instance methods, and what is declared most alike first.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Numerics;
using System.Reflection;
using System.Text;

public sealed class PolytuneSignatures
{
    const int OfInstance = 1000, OfVariable = 500, OfOptional = 100, Far = 20, Near = 1, MostNamed = 5;
    const BindingFlags Constructors = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
    static readonly object None = new object();
    static readonly Type[] Whole =
    {
        typeof(int), typeof(long), typeof(double), typeof(decimal), typeof(float), typeof(uint), typeof(ulong),
        typeof(short), typeof(ushort), typeof(byte), typeof(sbyte),
    };
    static readonly Type[] Real = { typeof(double), typeof(float), typeof(decimal) };
    static readonly Type[] Sequences = { typeof(List<>), typeof(Queue<>), typeof(LinkedList<>), typeof(Stack<>) };

    /// <summary>The method, ready to be invoked; null where none fits, and then the reason.</summary>
    internal MethodInfo Method;
    internal object[] Arguments;
    internal string Reason;
    int cost;

    internal static PolytuneSignatures Match(IEnumerable<MethodInfo> methods, string name, object[] values, List<string> types)
    {
        var named = methods.Where(method => method.Name == name).ToList();
        var best = named.Select(method => Fitted(method, values)).Where(found => found != null)
            .OrderBy(found => found.cost).FirstOrDefault();
        if (best != null)
            return best;
        var there = named.Select(method => Signature(method, name)).Distinct().Take(MostNamed).ToList();
        return new PolytuneSignatures
        {
            Reason = "no method takes " + name + "(" + string.Join(", ", types) + "); the program has "
                + (there.Count == 0 ? "none of that name" : string.Join(", ", there)),
        };
    }

    static string Signature(MethodInfo method, string name)
    {
        return name + "(" + string.Join(", ", method.GetParameters().Select(parameter => NameOf(parameter.ParameterType))) + ")";
    }

    static string NameOf(Type type)
    {
        if (!type.IsGenericType)
            return type.Name;
        return type.Name.Split('`')[0] + "<" + string.Join(", ", type.GetGenericArguments().Select(NameOf)) + ">";
    }

    // ---- methods

    static PolytuneSignatures Fitted(MethodInfo method, object[] values)
    {
        if (method.DeclaringType.ContainsGenericParameters || method.IsAbstract)
            return null;
        if (!method.IsStatic && Maker(method.DeclaringType) == null)
            return null;
        var bound = method.IsGenericMethodDefinition ? Bound(method, values) : method;
        if (bound == null)
            return null;
        var parameters = bound.GetParameters();
        var found = Fitted(parameters, values) ?? FittedVariable(parameters, values);
        if (found == null)
            return null;
        found.Method = bound;
        found.cost += (method.IsStatic ? 0 : OfInstance) + (bound == method ? 0 : Near);
        return found;
    }

    static PolytuneSignatures Fitted(ParameterInfo[] parameters, object[] values)
    {
        if (values.Length > parameters.Length || parameters.Skip(values.Length).Any(parameter => !parameter.IsOptional))
            return null;
        var found = new PolytuneSignatures { Arguments = new object[parameters.Length] };
        for (var i = 0; i < parameters.Length; i++)
        {
            var type = parameters[i].ParameterType;
            if (i >= values.Length)
                found.cost += OfOptional;
            var value = i < values.Length ? Converted(values[i], type.IsByRef ? type.GetElementType() : type, ref found.cost)
                : parameters[i].DefaultValue is DBNull ? null : parameters[i].DefaultValue;
            if (value == None)
                return null;
            found.Arguments[i] = value;
        }
        return found;
    }

    static PolytuneSignatures FittedVariable(ParameterInfo[] parameters, object[] values)
    {
        var last = parameters.LastOrDefault();
        if (last == null || !last.IsDefined(typeof(ParamArrayAttribute), false) || values.Length < parameters.Length - 1)
            return null;
        var rest = values.Skip(parameters.Length - 1).ToList();
        var found = Fitted(parameters, values.Take(parameters.Length - 1).Concat(new object[] { rest }).ToArray());
        if (found != null)
            found.cost += OfVariable;
        return found;
    }

    /// <summary>A generic method with the type arguments that the values have; null where they say nothing.</summary>
    static MethodInfo Bound(MethodInfo method, object[] values)
    {
        var known = new Dictionary<Type, Type>();
        foreach (var pair in method.GetParameters().Zip(values, (parameter, value) => new { parameter, value }))
            Unify(pair.parameter.ParameterType, pair.value, known);
        var arguments = method.GetGenericArguments();
        if (!arguments.All(known.ContainsKey))
            return null;
        try
        {
            return method.MakeGenericMethod(arguments.Select(argument => known[argument]).ToArray());
        }
        catch (ArgumentException)
        {
            return null; // a constraint does not hold
        }
    }

    static void Unify(Type declared, object value, Dictionary<Type, Type> known)
    {
        if (value == null)
            return;
        if (declared.IsGenericParameter)
        {
            if (!known.ContainsKey(declared))
                known[declared] = value.GetType();
            return;
        }
        var list = value.GetType().IsGenericType ? value.GetType().GetGenericArguments()[0] : null;
        var element = declared.IsArray ? declared.GetElementType()
            : declared.IsGenericType && declared.GetGenericArguments().Length == 1 ? declared.GetGenericArguments()[0] : null;
        if (list != null && element != null && element.IsGenericParameter && !known.ContainsKey(element))
            known[element] = list;
    }

    // ---- values

    /// <summary>The value in the form of a type, or None; what is further from the value costs more.</summary>
    static object Converted(object value, Type wanted, ref int cost)
    {
        wanted = Nullable.GetUnderlyingType(wanted) ?? wanted;
        if (value == null)
            return wanted.IsValueType ? None : null;
        if (wanted == value.GetType())
            return value;
        cost += Near;
        if (value is IList)
            return Sequence((IList)value, wanted, ref cost);
        if (wanted.IsInstanceOfType(value))
        {
            cost += wanted == typeof(object) ? Far : Near;
            return value;
        }
        if (value is string)
            return Text((string)value, wanted, ref cost);
        return Number(value, wanted, ref cost);
    }

    static object Number(object value, Type wanted, ref int cost)
    {
        if (value is int && wanted == typeof(BigInteger))
            return new BigInteger((int)value);
        var at = value is int ? Array.IndexOf(Whole, wanted) : value is double ? Array.IndexOf(Real, wanted) : -1;
        if (at < 0)
            return None;
        cost += at;
        try
        {
            return Convert.ChangeType(value, wanted, CultureInfo.InvariantCulture);
        }
        catch (OverflowException)
        {
            return None;
        }
    }

    static object Text(string value, Type wanted, ref int cost)
    {
        cost += Far;
        if (wanted == typeof(char))
            return value.Length == 1 ? value[0] : None;
        if (wanted == typeof(char[]))
            return value.ToCharArray();
        return wanted == typeof(StringBuilder) ? new StringBuilder(value) : None;
    }

    static object Sequence(IList values, Type wanted, ref int cost)
    {
        var element = wanted.IsArray && wanted.GetArrayRank() == 1 ? wanted.GetElementType()
            : wanted.IsGenericType && wanted.GetGenericArguments().Length == 1 ? wanted.GetGenericArguments()[0] : null;
        if (element == null || element.IsPointer)
        {
            cost += Far; // an interface without type arguments, or object
            return wanted.IsInstanceOfType(values) ? values : None;
        }
        var items = Array.CreateInstance(element, values.Count);
        var furthest = 0;
        for (var i = 0; i < values.Count; i++)
        {
            var one = 0;
            var item = Converted(values[i], element, ref one);
            if (item == None)
                return None;
            items.SetValue(item, i);
            furthest = Math.Max(furthest, one);
        }
        cost += furthest;
        if (wanted.IsArray)
            return items;
        var kind = Sequences.Select(open => open.MakeGenericType(element)).FirstOrDefault(wanted.IsAssignableFrom);
        return kind == null ? None : Activator.CreateInstance(kind, new object[] { items });
    }

    // ---- instances

    static ConstructorInfo Maker(Type owner)
    {
        return owner.IsAbstract ? null : owner.GetConstructors(Constructors)
            .OrderBy(one => one.GetParameters().Length).FirstOrDefault(one => one.GetParameters().All(each => each.IsOptional));
    }

    /// <summary>A new instance of the class of a method; null for a static one.</summary>
    internal static object OwnerOf(MethodInfo method)
    {
        if (method.IsStatic)
            return null;
        var maker = Maker(method.DeclaringType);
        return maker.Invoke(maker.GetParameters().Select(parameter => parameter.DefaultValue).ToArray());
    }
}
