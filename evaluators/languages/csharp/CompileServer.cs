// A warm C# compiler that also judges: one request a line on standard input, JSON as in PolytuneCodec.
//
//   ["compile", SOURCE]     ->  ok {NAME: base64}  |  error LINE: MESSAGE  |  fault MESSAGE
//   ["judge", ID, SOURCE]   ->  ok   (tests beside stubs, kept under ID until ["drop", ID])
//   ["run", ID]             ->  call LINE, as often as needed, each answered by the candidate's line, then
//                               done, or TEXT after failed, raised, memory, missing, endless or unsayable
//
// Arguments: the path of mcs.exe, whose own entry point for callers clears the compiler's state after every
// compilation; a library that programs may use; a folder for files in between. No code of a candidate runs
// here. Tests do, against stubs, and meet values that a candidate chose. Ends when standard input closes.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;

public sealed class CompileServer
{
    const int LongestText = 500, StackBytes = 16 << 20, LookMs = 1000;
    const double TestsCpuS = 20;
    const BindingFlags Static = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    static readonly Regex Error = new Regex(@"\((\d+),\d+\): error (.*)");

    sealed class Refused : Exception
    {
        internal Refused(string message) : base(message)
        {
        }
    }

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

    readonly MethodInfo compiler;
    readonly string library, folder;
    readonly StreamWriter answers = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true };
    readonly StreamReader requests = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
    readonly Dictionary<string, MethodInfo> judges = new Dictionary<string, MethodInfo>();

    CompileServer(string mcs, string library, string folder)
    {
        compiler = Assembly.LoadFrom(mcs).GetType("Mono.CSharp.CompilerCallableEntryPoint", true)
            .GetMethod("InvokeCompiler", BindingFlags.Public | BindingFlags.Static);
        this.library = library;
        this.folder = folder;
    }

    static string OneLine(string text)
    {
        var line = Regex.Replace(text ?? "", @"\s+", " ").Trim();
        return line.Substring(0, Math.Min(LongestText, line.Length));
    }

    byte[] Compile(string source, string name, params string[] options)
    {
        string path = Path.Combine(folder, "Candidate.cs"), assembly = Path.Combine(folder, name + ".dll");
        File.WriteAllText(path, source, new UTF8Encoding(false));
        var messages = new StringWriter();
        var arguments = new[] {
            "-target:library", "-langversion:latest", "-noconfig", "-nologo", "-warn:0", "-codepage:utf8", "-d:DEBUG", "-r:System.dll",
            "-r:System.Core.dll", "-r:System.Numerics.dll", "-r:Microsoft.CSharp.dll", "-r:" + library,
            "-out:" + assembly, path,
        };
        if ((bool)compiler.Invoke(null, new object[] { options.Concat(arguments).ToArray(), messages }))
        {
            var content = File.ReadAllBytes(assembly);
            File.Delete(assembly);
            return content;
        }
        var errors = messages.ToString().Split('\n').Where(line => line.Contains("error")).ToList();
        var first = Error.Match(errors.FirstOrDefault() ?? "");
        if (first.Success)
            throw new Refused("line " + first.Groups[1].Value + ": " + OneLine(first.Groups[2].Value));
        throw new Refused(OneLine(errors.FirstOrDefault() ?? "the compiler gave no reason"));
    }

    string Judge(string id, string source)
    {
        var bridge = "-r:" + Assembly.GetExecutingAssembly().Location;
        var tests = Assembly.Load(Compile(source, "Tests" + id, bridge));
        var main = tests.GetTypes().SelectMany(type => type.GetMethods(Static)).LastOrDefault(method => method.Name == "Main");
        if (main == null)
            throw new Refused("no class of the tests has a Main method");
        judges[id] = main;
        return "ok";
    }

    string AskCandidate(string line)
    {
        answers.Write("call " + line + "\n");
        var answer = requests.ReadLine();
        if (answer == null)
            Environment.Exit(0);
        return answer;
    }

    string Run(MethodInfo main)
    {
        PolytuneBridge.Raised.Clear();
        PolytuneBridge.Stopped = null;
        PolytuneBridge.Ask = AskCandidate;
        string end = null;
        var tests = new Thread(() => end = Ending(main), StackBytes) { IsBackground = true };
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        tests.Start();
        while (!tests.Join(LookMs))
        {
            if ((Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds <= TestsCpuS)
                continue;
            answers.Write("endless the tests took more than " + TestsCpuS + " s with what was returned\n");
            Process.GetCurrentProcess().Kill(); // a thread may refuse to end
        }
        return end ?? "fault the thread of the tests died";
    }

    static string Ending(MethodInfo main)
    {
        Exception error = null;
        try
        {
            main.Invoke(null, main.GetParameters().Length == 0 ? new object[0] : new object[] { new string[0] });
        }
        catch (Exception thrown)
        {
            error = thrown;
        }
        while ((error is TargetInvocationException || error is TypeInitializationException) && error.InnerException != null)
            error = error.InnerException;
        var stop = PolytuneBridge.Stopped;
        if (stop != null)
            return stop.Kind + " " + OneLine(stop.Message);
        if (error == null)
            return "done";
        var said = error.GetType().FullName + ": " + error.Message;
        if (PolytuneBridge.Raised.Contains(error))
            return "raised " + OneLine(error is PolytuneBridge.CandidateException ? error.Message : said);
        return "failed " + OneLine(error.GetType() == typeof(Exception) ? error.Message : said);
    }

    string Answer(List<object> request)
    {
        var text = (string)request[1];
        switch ((string)request[0])
        {
            case "compile":
                var assembly = Convert.ToBase64String(Compile(text, "Candidate"));
                return "ok " + PolytuneCodec.Line(new Dictionary<string, object> { { "Candidate", assembly } });
            case "judge":
                return Judge(text, (string)request[2]);
            case "run":
                return Run(judges[text]);
            case "drop":
                judges.Remove(text);
                return "ok";
            default:
                return "fault no such request";
        }
    }

    void Serve()
    {
        for (var request = requests.ReadLine(); request != null; request = requests.ReadLine())
        {
            string said;
            try
            {
                said = Answer((List<object>)PolytuneCodec.Parse(request));
            }
            catch (Refused refused)
            {
                said = "error " + refused.Message;
            }
            catch (Exception fault)
            {
                said = "fault " + OneLine((fault.InnerException ?? fault).ToString());
            }
            answers.Write(said + "\n");
        }
    }

    public static void Main(string[] arguments)
    {
        var server = new CompileServer(arguments[0], arguments[1], arguments[2]);
        Console.SetOut(TextWriter.Null);
        Debug.Listeners.Clear();
        Debug.Listeners.Add(new Failing());
        server.Serve();
    }
}
