// What the typed stubs call in the trusted process: takes a call to the candidate, and brings back what it
// returned, what it did to the arguments, or the exception that it raised.

using System;
using System.Collections.Generic;
using System.Linq;

public static class PolytuneBridge
{
    /// <summary>The candidate raised an exception of a type of its own.</summary>
    internal sealed class CandidateException : Exception
    {
        internal CandidateException(string text) : base(text)
        {
        }
    }

    /// <summary>The run is over; kind and text are what remote.py reads.</summary>
    internal sealed class Stop : Exception
    {
        internal readonly string Kind;

        internal Stop(string kind, string text) : base(text)
        {
            Kind = kind;
        }
    }

    internal static Func<string, string> Ask;
    internal static readonly List<Exception> Raised = new List<Exception>();
    internal static Stop Stopped;

    /// <summary>Call a method of the candidate's; `types` are the declared types of the parameters.</summary>
    public static T Call<T>(string owner, string name, string[] types, object[] arguments)
    {
        if (Stopped != null)
            throw Stopped; // tests that catch everything
        var encoded = arguments.Select(argument => PolytuneCodec.Encode(argument, true)).ToList();
        if (PolytuneCodec.IsAlien(encoded))
            throw End("unsayable", "the tests pass a value to " + name + " that cannot cross");
        var request = new List<object> { "call", owner, name, encoded, types.Cast<object>().ToList() };
        object result;
        try
        {
            result = Result((List<object>)PolytuneCodec.Parse(Ask(PolytuneCodec.Line(request))), arguments);
        }
        catch (Exception fault)
        {
            if (fault is Stop || Raised.Contains(fault))
                throw;
            throw End("raised", "unreadable outcome: " + fault.Message);
        }
        return Widened<T>(result);
    }

    static Stop End(string kind, string text)
    {
        Stopped = Stopped ?? new Stop(kind, text);
        return Stopped;
    }

    static T Widened<T>(object value)
    {
        if (value is T || value == null)
            return (T)value;
        var wanted = Nullable.GetUnderlyingType(typeof(T)) ?? typeof(T);
        if (value is IConvertible && !(value is string) && !(value is bool) && wanted.IsPrimitive && wanted != typeof(bool))
            return (T)Convert.ChangeType(value, wanted);
        throw new InvalidCastException("returned " + value.GetType().Name + " where " + typeof(T).Name + " is declared");
    }

    static object Result(List<object> answer, object[] arguments)
    {
        switch ((string)answer[0])
        {
            case "ok":
                foreach (var change in ((List<object>)answer[2]).Cast<List<object>>())
                {
                    var argument = arguments[(int)change[0]];
                    if (PolytuneCodec.IsMutable(argument))
                        PolytuneCodec.Change(argument, PolytuneCodec.Decode(change[1]));
                }
                return PolytuneCodec.Decode(answer[1]);
            case "raise":
                throw Made((string)answer[1], (string)answer[2]);
            case "memory":
            case "missing":
                throw End((string)answer[0], string.Join(": ", answer.Skip(1)));
            case "stop":
                throw End("stopped", "");
            default:
                throw new FormatException("no answer is of this kind");
        }
    }

    static Exception Made(string type, string text)
    {
        Exception made = null;
        var known = type.StartsWith("System.") ? typeof(object).Assembly.GetType(type) : null;
        if (known != null && typeof(Exception).IsAssignableFrom(known) && known.GetConstructor(new[] { typeof(string) }) != null)
            made = (Exception)Activator.CreateInstance(known, text);
        made = made ?? new CandidateException(type + ": " + text);
        Raised.Add(made);
        return made;
    }
}
