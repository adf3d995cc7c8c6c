// A warm C# compiler: one request a line on standard input, one answer a line on standard output.
//
//   SOURCE <tab> ASSEMBLY        ->  ok  |  error LINE: MESSAGE  |  fault MESSAGE
//
// Argument: the path of mcs.exe, whose own entry point for callers clears the compiler's state after
// every compilation. No code of a candidate runs here. Ends when standard input closes.

using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;

public static class CompileServer
{
    static readonly Regex Error = new Regex(@"\((\d+),\d+\): error (.*)");

    static string OneLine(string text)
    {
        return Regex.Replace(text, @"\s+", " ").Trim();
    }

    static string Compile(MethodInfo compiler, string request)
    {
        var paths = request.Split('\t');
        var messages = new StringWriter();
        var arguments = new[] {
            "-target:library", "-noconfig", "-nologo", "-warn:0", "-codepage:utf8",
            "-r:System.dll", "-r:System.Core.dll", "-r:System.Numerics.dll", "-out:" + paths[1], paths[0],
        };
        if ((bool)compiler.Invoke(null, new object[] { arguments, messages }))
            return "ok";
        var errors = messages.ToString().Split('\n').Where(line => line.Contains("error")).ToList();
        var first = Error.Match(errors.FirstOrDefault() ?? "");
        if (first.Success)
            return "error line " + first.Groups[1].Value + ": " + OneLine(first.Groups[2].Value);
        return "error " + OneLine(errors.FirstOrDefault() ?? "the compiler gave no reason");
    }

    public static void Main(string[] arguments)
    {
        var answers = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true };
        var requests = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
        Console.SetOut(TextWriter.Null);
        var compiler = Assembly.LoadFrom(arguments[0])
            .GetType("Mono.CSharp.CompilerCallableEntryPoint", true)
            .GetMethod("InvokeCompiler", BindingFlags.Public | BindingFlags.Static);
        for (var request = requests.ReadLine(); request != null; request = requests.ReadLine())
        {
            string answer;
            try
            {
                answer = Compile(compiler, request);
            }
            catch (Exception fault)
            {
                answer = "fault " + OneLine((fault.InnerException ?? fault).ToString());
            }
            answers.Write(answer + "\n");
        }
    }
}
