// Runs in the candidate's process: loads the program's assembly and answers calls. The first line that it
// reads is [KEY, {NAME: base64}], the program; for the others see remote.py and running.py.
//
// Nothing that this process says is believed beyond being data. The line with which in-process tests end is
// another matter: it needs the key, which was read before the program was loaded and stays in a local
// variable of the thread that talks, and the nonce, which comes with the tests. So a program that reads the
// connection in this thread's place has one of the two. Standard input, which is the connection at the
// start, is moved away before the program is loaded.

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

public sealed class PolytuneDriver
{
    const int LongestText = 500, StackBytes = 16 << 20, Chunk = 65536;
    const BindingFlags Everything =
        BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    [DllImport("libc", EntryPoint = "_exit")]
    static extern void ExitNow(int status);

    [DllImport("libc")]
    static extern int dup(int fd);

    [DllImport("libc")]
    static extern int dup2(int fd, int other);

    [DllImport("libc")]
    static extern int open(string path, int flags);

    [DllImport("libc")]
    static extern IntPtr read(int fd, byte[] buffer, IntPtr count);

    [DllImport("libc")]
    static extern IntPtr write(int fd, byte[] buffer, IntPtr count);

    /// <summary>Makes a failed Debug.Assert an exception.</summary>
    sealed class Failing : TraceListener
    {
        public override void Fail(string message)
        {
            throw new Exception("Assertion failed: " + message);
        }

        public override void Fail(string message, string detail)
        {
            Fail(message);
        }

        public override void Write(string message)
        {
        }

        public override void WriteLine(string message)
        {
        }
    }

    readonly int connection;
    readonly Dictionary<Type, object> instances = new Dictionary<Type, object>();
    Assembly program;

    PolytuneDriver(int connection)
    {
        this.connection = connection;
    }

    // ---- the connection

    void Say(params object[] message)
    {
        var bytes = Encoding.ASCII.GetBytes(PolytuneCodec.Line(message.ToList()) + "\n");
        for (var sent = 0; sent < bytes.Length;)
        {
            var part = sent == 0 ? bytes : bytes.Skip(sent).ToArray();
            var count = (int)write(connection, part, (IntPtr)part.Length);
            if (count <= 0)
                ExitNow(1);
            sent += count;
        }
    }

    IEnumerable<string> Lines()
    {
        var line = new StringBuilder();
        var chunk = new byte[Chunk];
        for (var count = Receive(chunk); count > 0; count = Receive(chunk))
        {
            var text = Encoding.ASCII.GetString(chunk, 0, count);
            for (var end = text.IndexOf('\n'); end >= 0; end = text.IndexOf('\n'))
            {
                var whole = line.Append(text, 0, end).ToString();
                line.Clear();
                text = text.Substring(end + 1);
                yield return whole;
            }
            line.Append(text);
        }
    }

    int Receive(byte[] chunk)
    {
        while (true)
        {
            var count = (int)read(connection, chunk, (IntPtr)chunk.Length);
            if (count >= 0 || Marshal.GetLastWin32Error() == 0)
                return count;
        }
    }

    // ---- errors

    static Exception Cause(Exception error)
    {
        while ((error is TargetInvocationException || error is TypeInitializationException) && error.InnerException != null)
            error = error.InnerException;
        return error;
    }

    static string TextOf(Exception error)
    {
        try
        {
            return error.Message.Substring(0, Math.Min(LongestText, error.Message.Length));
        }
        catch (Exception)
        {
            return "";
        }
    }

    void SayError(Exception error)
    {
        var cause = Cause(error);
        Say(cause is OutOfMemoryException ? "memory" : "raise", cause.GetType().FullName, TextOf(cause));
    }

    // ---- calls

    static readonly Type[] Widening =
    {
        typeof(sbyte), typeof(byte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long), typeof(ulong),
        typeof(float), typeof(double),
    };

    static bool Takes(Type parameter, object value)
    {
        if (value == null)
            return !parameter.IsValueType || Nullable.GetUnderlyingType(parameter) != null;
        if (parameter.IsInstanceOfType(value))
            return true;
        var from = Array.IndexOf(Widening, value.GetType());
        return from >= 0 && (Array.IndexOf(Widening, parameter) > from || parameter == typeof(decimal) && from < 8);
    }

    static bool Fits(MethodInfo method, object[] arguments)
    {
        var parameters = method.GetParameters();
        return !method.IsGenericMethodDefinition && parameters.Length == arguments.Length
            && parameters.Zip(arguments, (parameter, value) => Takes(parameter.ParameterType, value)).All(fits => fits);
    }

    static int Likeness(MethodInfo method, object[] arguments)
    {
        return method.GetParameters().Zip(arguments, (parameter, value) =>
            value != null && parameter.ParameterType == value.GetType() ? 1 : 0).Sum();
    }

    MethodInfo Find(string owner, string name, object[] arguments)
    {
        return program.GetTypes().Where(type => type.Name == owner)
            .SelectMany(type => type.GetMethods(Everything))
            .Where(method => method.Name == name && Fits(method, arguments))
            .OrderByDescending(method => Likeness(method, arguments)).FirstOrDefault();
    }

    object OwnerOf(MethodInfo method)
    {
        if (method.IsStatic)
            return null;
        object instance;
        if (!instances.TryGetValue(method.DeclaringType, out instance))
            instance = instances[method.DeclaringType] = Activator.CreateInstance(method.DeclaringType, true);
        return instance;
    }

    /// <summary>A call of cases said as data: what the method declares decides in which form it is given them.</summary>
    void CallAsDeclared(string name, object[] values, List<string> types)
    {
        var methods = program.GetTypes().SelectMany(type => type.GetMethods(Everything));
        var match = PolytuneSignatures.Match(methods, name, values, types);
        if (match.Method == null)
        {
            Say("missing", match.Reason);
            return;
        }
        var result = match.Method.Invoke(PolytuneSignatures.OwnerOf(match.Method), match.Arguments);
        var task = result as Task;
        if (task != null)
        {
            task.GetAwaiter().GetResult();
            result = task.GetType().GetProperty("Result").GetValue(task, null);
        }
        Say("ok", PolytuneCodec.Encode(result, false), new List<object>());
    }

    void Call(List<object> request)
    {
        string owner = (string)request[1], name = (string)request[2];
        var encoded = (List<object>)request[3];
        var types = ((List<object>)request[4]).Cast<string>().ToList();
        if (owner == null)
        {
            CallAsDeclared(name, encoded.Select((argument, i) => PolytuneCodec.Decode(argument, types[i])).ToArray(), types);
            return;
        }
        var arguments = encoded.Select(PolytuneCodec.Decode).ToArray();
        var method = Find(owner, name, arguments);
        if (method == null)
        {
            var signature = name + "(" + string.Join(", ", types) + ")";
            Say("missing", "no method " + signature + " in a class " + owner);
            return;
        }
        var parameters = method.GetParameters();
        var given = arguments.Select((value, i) => value is IConvertible && !parameters[i].ParameterType.IsInstanceOfType(value)
            ? Convert.ChangeType(value, parameters[i].ParameterType) : value).ToArray();
        var result = PolytuneCodec.Encode(method.Invoke(OwnerOf(method), given), true);
        var changed = new List<object>();
        for (var i = 0; i < arguments.Length; i++)
        {
            if (!PolytuneCodec.IsMutable(arguments[i]))
                continue;
            var after = PolytuneCodec.Encode(arguments[i], true);
            if (PolytuneCodec.Line(after) != PolytuneCodec.Line(encoded[i]))
                changed.Add(new List<object> { i, after });
        }
        Say("ok", result, changed);
    }

    // ---- the program, and tests compiled together with it

    static Assembly Load(object encoded)
    {
        var only = ((Dictionary<string, object>)encoded).Single();
        return Assembly.Load(Convert.FromBase64String((string)only.Value));
    }

    /// <summary>Whether the tests came to their very end; if not, why is said.</summary>
    bool Test(List<object> request)
    {
        var main = Load(request[2]).GetTypes().SelectMany(type => type.GetMethods(Everything))
            .Last(method => method.Name == "Main" && method.IsStatic);
        try
        {
            main.Invoke(null, main.GetParameters().Length == 0 ? new object[0] : new object[] { new string[0] });
        }
        catch (TargetInvocationException error)
        {
            var cause = Cause(error);
            var site = cause.GetType() == typeof(Exception) ? cause.TargetSite : null;
            var own = site != null && (site.DeclaringType == main.DeclaringType && site.Name == "Main"
                || site.DeclaringType == typeof(Failing));
            if (own)
                Say("failed", TextOf(cause));
            else
                SayError(cause);
            return false;
        }
        return true;
    }

    /// <summary>Answers, but for tests that came to their end: those are left to the thread that has the key.</summary>
    bool Answer(List<object> request)
    {
        try
        {
            if ((string)request[0] == "test")
                return Test(request);
            Call(request);
        }
        catch (Exception error)
        {
            SayError(error);
        }
        return false;
    }

    bool LoadProgram(object encoded)
    {
        try
        {
            program = Load(encoded);
            foreach (var type in program.GetTypes().Where(type => !type.ContainsGenericParameters))
                RuntimeHelpers.RunClassConstructor(type.TypeHandle);
        }
        catch (Exception error)
        {
            SayError(error);
            return false;
        }
        Say("loaded");
        return true;
    }

    void Run(BlockingCollection<object> requests, BlockingCollection<bool> ends)
    {
        if (LoadProgram(requests.Take()))
            while (true)
                ends.Add(Answer((List<object>)requests.Take()));
    }

    public static void Main()
    {
        var connection = dup(0);
        dup2(open("/dev/null", 0), 0);
        Trace.Listeners.Clear();
        Trace.Listeners.Add(new Failing());
        var driver = new PolytuneDriver(connection);
        var requests = new BlockingCollection<object>();
        var ends = new BlockingCollection<bool>();
        driver.Say("ready");
        new Thread(() => driver.Run(requests, ends), StackBytes) { IsBackground = true }.Start();
        string key = null;
        foreach (var line in driver.Lines())
        {
            var request = (List<object>)PolytuneCodec.Parse(line);
            if (key == null)
            {
                key = (string)request[0];
                requests.Add(request[1]);
                continue;
            }
            requests.Add(request);
            if (ends.Take())
                driver.Say("token", (string)request[1] + key);
        }
        ExitNow(0);
    }
}
