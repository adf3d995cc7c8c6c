// Runs inside the candidate's process: finds the entry point, calls it once a case, and writes what it
// returned to the file `outcomes`, in the encoding that wire.py describes. Argument: the candidate's assembly.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

public static class PolytuneDriver
{
    const int LongestText = 500;
    static FileStream outcomes;

    [DllImport("libc", EntryPoint = "_exit")]
    static extern void ExitNow(int status);

    static void Say(string line)
    {
        var bytes = Encoding.ASCII.GetBytes(line + "\n");
        outcomes.Write(bytes, 0, bytes.Length);
        outcomes.Flush();
    }

    static string Escape(string text)
    {
        var output = new StringBuilder(text.Length + 16);
        foreach (var c in text)
        {
            if (c >= ' ' && c <= '~' && c != '\\' && c != ',')
                output.Append(c);
            else
                output.Append("\\u").Append(((int)c).ToString("x4"));
        }
        return output.ToString();
    }

    static string Unescape(string payload)
    {
        var output = new StringBuilder(payload.Length);
        for (var i = 0; i < payload.Length; i++)
        {
            if (payload[i] == '\\')
            {
                output.Append((char)int.Parse(payload.Substring(i + 2, 4), NumberStyles.HexNumber));
                i += 5;
            }
            else
                output.Append(payload[i]);
        }
        return output.ToString();
    }

    static int Int(string token)
    {
        return int.Parse(token.Substring(1), CultureInfo.InvariantCulture);
    }

    static double Float(string token)
    {
        return BitConverter.Int64BitsToDouble(long.Parse(token.Substring(1), NumberStyles.HexNumber));
    }

    static string Str(string token)
    {
        return Unescape(token.Substring(1));
    }

    static object Decode(string token, string type)
    {
        var parts = token.Length > 2 ? token.Substring(1, token.Length - 2).Split(',') : new string[0];
        switch (type)
        {
            case "int": return Int(token);
            case "float": return Float(token);
            case "bool": return token == "b1";
            case "str": return Str(token);
            case "list[int]": return parts.Select(Int).ToList();
            case "list[float]": return parts.Select(Float).ToList();
            default: return parts.Select(Str).ToList();
        }
    }

    static string Encode(object value)
    {
        var items = value as IList;
        if (items == null || value is Array)
            return EncodeScalar(value);
        return "[" + string.Join(",", items.Cast<object>().Select(EncodeScalar)) + "]";
    }

    static string EncodeScalar(object value)
    {
        if (value == null)
            return "n";
        if (value is bool)
            return (bool)value ? "b1" : "b0";
        if (value is int || value is long || value is short || value is sbyte || value is byte || value is ushort
            || value is uint || value is ulong)
            return "i" + ((IFormattable)value).ToString("D", CultureInfo.InvariantCulture);
        if (value is double || value is float)
            return "d" + BitConverter.DoubleToInt64Bits(Convert.ToDouble(value)).ToString("x16");
        if (value is string)
            return "s" + Escape((string)value);
        return "o" + Escape(value.GetType().Name);
    }

    static void SayError(Exception error)
    {
        while ((error is TargetInvocationException || error is TypeInitializationException)
            && error.InnerException != null)
            error = error.InnerException;
        var message = error.GetType().FullName;
        try
        {
            message += ": " + error.Message;
        }
        catch (Exception)
        {
        }
        message = message.Substring(0, Math.Min(LongestText, message.Length));
        Say((error is OutOfMemoryException ? "m " : "x ") + Escape(message));
    }

    static bool Takes(Type parameter, string type)
    {
        switch (type)
        {
            case "int":
                return parameter == typeof(long) || parameter == typeof(double) || parameter == typeof(float)
                    || parameter.IsAssignableFrom(typeof(int));
            case "float": return parameter.IsAssignableFrom(typeof(double));
            case "bool": return parameter.IsAssignableFrom(typeof(bool));
            case "str": return parameter.IsAssignableFrom(typeof(string));
            case "list[int]": return parameter.IsAssignableFrom(typeof(List<int>));
            case "list[float]": return parameter.IsAssignableFrom(typeof(List<double>));
            default: return parameter.IsAssignableFrom(typeof(List<string>));
        }
    }

    static bool Fits(MethodInfo method, string[] types)
    {
        var parameters = method.GetParameters();
        return !method.IsGenericMethodDefinition && parameters.Length == types.Length
            && parameters.Zip(types, (parameter, type) => Takes(parameter.ParameterType, type)).All(fit => fit);
    }

    static MethodInfo Find(Assembly assembly, string entryPoint, string[] types)
    {
        const BindingFlags Static = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;
        var fitting = assembly.GetTypes()
            .SelectMany(type => type.GetMethods(Static | BindingFlags.DeclaredOnly))
            .Where(method => method.Name == entryPoint && Fits(method, types)).ToList();
        return fitting.FirstOrDefault(method => method.GetParameters().Any(p => p.ParameterType == typeof(int)))
            ?? fitting.FirstOrDefault();
    }

    static void Run(string path, string[] request)
    {
        var types = request[1].Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries);
        MethodInfo method;
        try
        {
            method = Find(Assembly.LoadFrom(path), request[0], types);
            if (method == null)
            {
                Say("c " + Escape("no static method " + request[0] + "(" + string.Join(" ", types) + ")"));
                return;
            }
            RuntimeHelpers.RunClassConstructor(method.DeclaringType.TypeHandle);
        }
        catch (Exception error)
        {
            SayError(error);
            return;
        }
        Say("l");
        var line = 3;
        for (var i = int.Parse(request[2]); i > 0; i--)
        {
            var arguments = types.Select(type => Decode(request[line++], type)).ToArray();
            string outcome;
            try
            {
                outcome = Encode(method.Invoke(null, arguments));
            }
            catch (Exception error)
            {
                SayError(error);
                return;
            }
            Say("v " + outcome);
        }
    }

    public static void Main(string[] arguments)
    {
        outcomes = new FileStream("outcomes", FileMode.Append, FileAccess.Write, FileShare.ReadWrite);
        Say("h");
        try
        {
            Run(arguments[0], File.ReadAllLines("request"));
        }
        finally
        {
            ExitNow(0); // whatever threads or exit handlers the candidate left
        }
    }
}
