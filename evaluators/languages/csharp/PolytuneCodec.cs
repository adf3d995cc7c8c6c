// The closed encoding of values.py in C#, for the candidate's driver and for the judge alike: JSON for what
// JSON can say, objects of one short key for the rest. Between two processes of C# it is exact, so that a
// List<object> stays one; for cases said as data it is the encoding that Python reads. Only types of the
// list below are ever made of what is read.
//
//    {"n": [TYPE, TEXT]}  other numbers, char     {"o": NAME}  a value outside the contract
//    {"v": [TYPE, [...]]} collection, dictionary (pairs), tuple, key-value pair; TYPE as List(int)

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Numerics;
using System.Text;

public static class PolytuneCodec
{
    const int Deepest = 200;
    static readonly CultureInfo Plain = CultureInfo.InvariantCulture;

    /// <summary>A value outside the contract: equal to nothing.</summary>
    public sealed class Alien
    {
        readonly string name;

        internal Alien(string name)
        {
            this.name = name;
        }

        public override bool Equals(object other)
        {
            return false;
        }

        public override int GetHashCode()
        {
            return 0;
        }

        public override string ToString()
        {
            return "a value of type " + name;
        }
    }

    static readonly Dictionary<string, Type> Scalars = new Dictionary<string, Type>
    {
        { "int", typeof(int) }, { "double", typeof(double) }, { "string", typeof(string) }, { "bool", typeof(bool) },
        { "object", typeof(object) }, { "long", typeof(long) }, { "short", typeof(short) }, { "byte", typeof(byte) },
        { "sbyte", typeof(sbyte) }, { "ushort", typeof(ushort) }, { "uint", typeof(uint) }, { "ulong", typeof(ulong) },
        { "float", typeof(float) }, { "decimal", typeof(decimal) }, { "char", typeof(char) },
        { "BigInteger", typeof(BigInteger) },
    };
    static readonly Dictionary<Type, string> ScalarNames = Scalars.ToDictionary(pair => pair.Value, pair => pair.Key);
    static readonly Dictionary<string, Type> Generics = new Dictionary<string, Type>
    {
        { "List", typeof(List<>) }, { "HashSet", typeof(HashSet<>) }, { "Dictionary", typeof(Dictionary<,>) },
        { "Pair", typeof(KeyValuePair<,>) }, { "Nullable", typeof(Nullable<>) },
        { "Tuple1", typeof(Tuple<>) }, { "Tuple2", typeof(Tuple<,>) }, { "Tuple3", typeof(Tuple<,,>) },
        { "Tuple4", typeof(Tuple<,,,>) }, { "Tuple5", typeof(Tuple<,,,,>) }, { "Value2", typeof(ValueTuple<,>) },
        { "Value3", typeof(ValueTuple<,,>) }, { "Value4", typeof(ValueTuple<,,,>) }, { "Value5", typeof(ValueTuple<,,,,>) },
    };
    static readonly Dictionary<Type, string> GenericNames = Generics.ToDictionary(pair => pair.Value, pair => pair.Key);

    // ---- types

    static string NameOf(Type type)
    {
        string name;
        if (ScalarNames.TryGetValue(type, out name))
            return name;
        if (type.IsArray && type.GetArrayRank() == 1)
            return "Array(" + NameOf(type.GetElementType()) + ")";
        if (type.IsGenericType && GenericNames.TryGetValue(type.GetGenericTypeDefinition(), out name))
            return name + "(" + string.Join(",", type.GetGenericArguments().Select(NameOf)) + ")";
        return "object";
    }

    static Type TypeOf(string text)
    {
        var at = 0;
        var type = TypeOf(text, ref at, 0);
        if (at != text.Length)
            throw new FormatException("no type of the encoding");
        return type;
    }

    static Type TypeOf(string text, ref int at, int depth)
    {
        var start = at;
        while (at < text.Length && char.IsLetterOrDigit(text[at]))
            at++;
        var name = text.Substring(start, at - start);
        if (at >= text.Length || text[at] != '(')
            return Scalars[name];
        if (depth > 20)
            throw new FormatException("nested too deeply");
        var arguments = new List<Type>();
        do
        {
            at++;
            arguments.Add(TypeOf(text, ref at, depth + 1));
        } while (at < text.Length && text[at] == ',');
        at++;
        return name == "Array" ? arguments[0].MakeArrayType() : Generics[name].MakeGenericType(arguments.ToArray());
    }

    // ---- writing

    /// <summary>One message as a line without its end.</summary>
    public static string Line(object json)
    {
        var output = new StringBuilder();
        Write(json, output);
        return output.ToString();
    }

    static void Write(object json, StringBuilder output)
    {
        if (json is string)
            WriteText((string)json, output);
        else if (json is bool)
            output.Append((bool)json ? "true" : "false");
        else if (json is double)
            output.Append(Number((double)json));
        else if (json is Dictionary<string, object>)
        {
            var separator = "{";
            foreach (var pair in (Dictionary<string, object>)json)
            {
                output.Append(separator);
                WriteText(pair.Key, output);
                output.Append(':');
                Write(pair.Value, output);
                separator = ",";
            }
            output.Append(separator == "{" ? "{}" : "}");
        }
        else if (json is List<object>)
        {
            var separator = "[";
            foreach (var item in (List<object>)json)
            {
                output.Append(separator);
                Write(item, output);
                separator = ",";
            }
            output.Append(separator == "[" ? "[]" : "]");
        }
        else
            output.Append(json == null ? "null" : ((IFormattable)json).ToString("D", Plain));
    }

    static string Number(double value)
    {
        if (double.IsNaN(value))
            return "NaN";
        if (double.IsInfinity(value))
            return value > 0 ? "Infinity" : "-Infinity";
        if (value == 0)
            return BitConverter.DoubleToInt64Bits(value) < 0 ? "-0.0" : "0.0";
        var text = value.ToString("R", Plain);
        return text.IndexOfAny(new[] { '.', 'E' }) < 0 ? text + ".0" : text;
    }

    static void WriteText(string text, StringBuilder output)
    {
        output.Append('"');
        foreach (var c in text)
        {
            if (c >= ' ' && c <= '~' && c != '\\' && c != '"')
                output.Append(c);
            else
                output.Append("\\u").Append(((int)c).ToString("x4"));
        }
        output.Append('"');
    }

    static Dictionary<string, object> Tagged(string tag, params object[] content)
    {
        object held = tag == "o" ? content[0] : new List<object>(content);
        return new Dictionary<string, object> { { tag, held } };
    }

    /// <summary>Plain JSON data of a value; `exact` for a process of C# on the other side.</summary>
    public static object Encode(object value, bool exact, int depth = 0)
    {
        if (value == null || value is bool || value is string || value is int || value is double)
            return value;
        if (depth >= Deepest)
            return Tagged("o", "nesting deeper than " + Deepest);
        var type = value.GetType();
        string name;
        if (ScalarNames.TryGetValue(type, out name) && name != "object")
            return exact ? Tagged("n", name, Text(value)) : EncodePlain(value);
        if (!exact)
            return IsInOrder(value, type) ? (object)All((IEnumerable)value, false, depth) : Tagged("o", type.Name);
        return EncodeExact(value, type, depth + 1);
    }

    /// <summary>Whether a value stands for a list: sets and dictionaries have no order.</summary>
    static bool IsInOrder(object value, Type type)
    {
        var unordered = value is IDictionary || type.GetInterfaces().Any(
            one => one.IsGenericType && one.GetGenericTypeDefinition() == typeof(ISet<>));
        return value is IEnumerable && !unordered;
    }

    static string Text(object value)
    {
        return value is char ? value.ToString() : value is float ? ((float)value).ToString("R", Plain)
            : ((IFormattable)value).ToString(null, Plain);
    }

    static object EncodePlain(object value)
    {
        if (value is float)
            return (double)(float)value;
        if (value is decimal)
            return (double)(decimal)value;
        if (value is char)
            return value.ToString();
        if (value is ulong || value is BigInteger)
        {
            var number = value is ulong ? new BigInteger((ulong)value) : (BigInteger)value;
            if (number < long.MinValue || number > long.MaxValue)
            {
                var hex = BigInteger.Abs(number).ToString("x").TrimStart('0');
                return new Dictionary<string, object> { { "i", (number.Sign < 0 ? "-0x" : "0x") + hex } };
            }
            return (long)number;
        }
        return value;
    }

    static List<object> All(IEnumerable items, bool exact, int depth)
    {
        return items.Cast<object>().Select(item => Encode(item, exact, depth + 1)).ToList();
    }

    static object EncodeExact(object value, Type type, int depth)
    {
        var name = NameOf(type);
        if (value is IDictionary)
        {
            var pairs = new List<object>();
            foreach (DictionaryEntry entry in (IDictionary)value)
                pairs.Add(All(new[] { entry.Key, entry.Value }, true, depth));
            return Tagged("v", name == "object" ? "Dictionary(object,object)" : name, pairs);
        }
        if (name.StartsWith("Tuple") || name.StartsWith("Value"))
        {
            var parts = type.GetGenericArguments().Select((_, i) => "Item" + (i + 1)).Select(part =>
                name[0] == 'T' ? type.GetProperty(part).GetValue(value, null) : type.GetField(part).GetValue(value));
            return Tagged("v", name, All(parts, true, depth));
        }
        if (name.StartsWith("Pair"))
        {
            var parts = new[] { type.GetProperty("Key").GetValue(value, null), type.GetProperty("Value").GetValue(value, null) };
            return Tagged("v", name, All(parts, true, depth));
        }
        if (!(value is IEnumerable))
            return Tagged("o", type.Name);
        if (name == "object") // a lazy sequence, or a collection that is seldom met
        {
            var sequence = type.GetInterfaces().FirstOrDefault(
                one => one.IsGenericType && one.GetGenericTypeDefinition() == typeof(IEnumerable<>));
            name = "List(" + (sequence == null ? "object" : NameOf(sequence.GetGenericArguments()[0])) + ")";
        }
        return Tagged("v", name, All((IEnumerable)value, true, depth));
    }

    // ---- reading

    /// <summary>The value of plain JSON data; FormatException if it is none of the encoding.</summary>
    public static object Decode(object json)
    {
        if (json is List<object>)
            return ((List<object>)json).Select(Decode).ToList();
        var tagged = json as Dictionary<string, object>;
        if (tagged == null)
            return json;
        try
        {
            var only = tagged.Single();
            if (only.Key == "o")
                return new Alien((string)only.Value);
            var parts = (List<object>)only.Value;
            var type = TypeOf((string)parts[0]);
            return only.Key == "n" ? Scalar(type, (string)parts[1]) : Container(type, (List<object>)parts[1]);
        }
        catch (Exception fault)
        {
            throw new FormatException("malformed value: " + fault.GetType().Name);
        }
    }

    static object Scalar(Type type, string text)
    {
        if (type == typeof(BigInteger))
            return BigInteger.Parse(text, Plain);
        return Convert.ChangeType(text, type, Plain);
    }

    static object Container(Type type, List<object> content)
    {
        if (type.IsArray)
        {
            var array = Array.CreateInstance(type.GetElementType(), content.Count);
            for (var i = 0; i < content.Count; i++)
                array.SetValue(Decode(content[i]), i);
            return array;
        }
        var kind = GenericNames[type.GetGenericTypeDefinition()];
        if (kind != "List" && kind != "HashSet" && kind != "Dictionary")
            return Activator.CreateInstance(type, content.Select(Decode).ToArray());
        var made = Activator.CreateInstance(type);
        var add = type.GetMethod("Add");
        foreach (var item in content)
            add.Invoke(made, kind == "Dictionary" ? ((List<object>)item).Select(Decode).ToArray() : new[] { Decode(item) });
        return made;
    }

    /// <summary>An argument of cases said as data, in its declared type.</summary>
    public static object Decode(object json, string type)
    {
        var items = json as List<object>;
        switch (type)
        {
            case "list[int]": return items.Cast<int>().ToList();
            case "list[float]": return items.Select(item => Convert.ToDouble(item, Plain)).ToList();
            case "list[str]": return items.Cast<string>().ToList();
            default: return json;
        }
    }

    /// <summary>Whether a call can leave this argument with other content.</summary>
    public static bool IsMutable(object argument)
    {
        return argument is IEnumerable && !(argument is string);
    }

    /// <summary>Give a mutable argument the content that a call left it with.</summary>
    public static void Change(object argument, object changed)
    {
        var array = argument as Array;
        if (array != null)
        {
            Array.Copy((Array)changed, array, array.Length);
            return;
        }
        var type = argument.GetType();
        type.GetMethod("Clear").Invoke(argument, null);
        foreach (var item in (IEnumerable)changed)
        {
            var entry = argument is IDictionary;
            var values = entry
                ? new[] { item.GetType().GetProperty("Key").GetValue(item, null), item.GetType().GetProperty("Value").GetValue(item, null) }
                : new[] { item };
            type.GetMethod("Add").Invoke(argument, values);
        }
    }

    /// <summary>Whether encoded data holds a value outside the contract.</summary>
    public static bool IsAlien(object encoded)
    {
        var tagged = encoded as Dictionary<string, object>;
        if (tagged != null)
            return tagged.ContainsKey("o") || tagged.Values.Any(IsAlien);
        return encoded is List<object> && ((List<object>)encoded).Any(IsAlien);
    }

    /// <summary>Parse one line of JSON; FormatException if it is none.</summary>
    public static object Parse(string text)
    {
        var parser = new Parser(text);
        return parser.Whole();
    }

    sealed class Parser
    {
        readonly string text;
        int at;

        internal Parser(string text)
        {
            this.text = text;
        }

        internal object Whole()
        {
            var value = Value(0);
            if (at != text.Length)
                throw new FormatException("more than one value");
            return value;
        }

        char Peek()
        {
            while (at < text.Length && text[at] == ' ')
                at++;
            if (at >= text.Length)
                throw new FormatException("cut off");
            return text[at];
        }

        void Expect(char wanted)
        {
            if (Peek() != wanted)
                throw new FormatException("expected " + wanted);
            at++;
        }

        object Value(int depth)
        {
            if (depth > 6 * Deepest)
                throw new FormatException("nested too deeply");
            var first = Peek();
            if (first == '"')
                return String();
            if (first != '[' && first != '{')
                return Word();
            at++;
            var items = new List<object>();
            var entries = new Dictionary<string, object>();
            var end = first == '[' ? ']' : '}';
            while (Peek() != end)
            {
                if (first == '[')
                    items.Add(Value(depth + 1));
                else
                {
                    var key = String();
                    Expect(':');
                    entries[key] = Value(depth + 1);
                }
                if (Peek() != end)
                    Expect(',');
            }
            at++;
            return first == '[' ? (object)items : entries;
        }

        string String()
        {
            Expect('"');
            var output = new StringBuilder();
            while (at < text.Length)
            {
                var c = text[at++];
                if (c == '"')
                    return output.ToString();
                output.Append(c == '\\' ? Escaped() : c);
            }
            throw new FormatException("cut off");
        }

        char Escaped()
        {
            var c = at < text.Length ? text[at++] : 'x';
            if (c == 'u' && at + 4 <= text.Length)
            {
                at += 4;
                return (char)int.Parse(text.Substring(at - 4, 4), NumberStyles.HexNumber, Plain);
            }
            var index = "\"\\/bfnrt".IndexOf(c);
            if (index < 0)
                throw new FormatException("no such escape");
            return "\"\\/\b\f\n\r\t"[index];
        }

        object Word()
        {
            var start = at;
            while (at < text.Length && ",]}: ".IndexOf(text[at]) < 0)
                at++;
            var word = text.Substring(start, at - start);
            switch (word)
            {
                case "null": return null;
                case "true": return true;
                case "false": return false;
                case "NaN": return double.NaN;
                case "Infinity": return double.PositiveInfinity;
                case "-Infinity": return double.NegativeInfinity;
                case "-0.0": return BitConverter.Int64BitsToDouble(long.MinValue);
            }
            if (word.IndexOfAny(new[] { '.', 'e', 'E' }) >= 0)
                return double.Parse(word, Plain);
            return int.Parse(word, Plain);
        }
    }
}
