// Mono's C# compiler over a batch of files in one process.
//
//   argument: the path of mcs.exe; standard input: a path a line
//   standard output: a JSON line per file, in order: {"syntax": [line, ...], "compiled": [line, ...]}
//
// `syntax` is what the compiler says when it only parses, `compiled` what it says when it goes on to
// compile, warnings included; lines are the compiler's own. mcs.exe's entry point for callers clears the
// compiler's state after every compilation. No code of the files runs here.

using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;

public static class McsBatch
{
    static MethodInfo compiler;

    static string Quote(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (var character in text)
        {
            if (character == '"' || character == '\\')
                quoted.Append('\\').Append(character);
            else if (character < ' ')
                quoted.AppendFormat("\\u{0:x4}", (int)character);
            else
                quoted.Append(character);
        }
        return quoted.Append('"').ToString();
    }

    static string Invoke(params string[] arguments)
    {
        var messages = new StringWriter();
        compiler.Invoke(null, new object[] { arguments, messages });
        var lines = messages.ToString().Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0);
        return "[" + string.Join(",", lines.Select(Quote)) + "]";
    }

    static string Measure(string file)
    {
        var assembly = file + ".dll";
        var syntax = Invoke("--parse", "-nologo", "-codepage:utf8", "-target:library", "-out:" + assembly, file);
        var compiled = syntax != "[]" ? "[]" : Invoke(
            "-target:library", "-langversion:latest", "-noconfig", "-nologo", "-warn:4", "-unsafe", "-codepage:utf8",
            "-r:System.dll", "-r:System.Core.dll", "-r:System.Numerics.dll", "-out:" + assembly, file);
        File.Delete(assembly);
        return "{\"syntax\":" + syntax + ",\"compiled\":" + compiled + "}";
    }

    public static void Main(string[] arguments)
    {
        var answers = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true };
        var requests = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
        Console.SetOut(TextWriter.Null);
        compiler = Assembly.LoadFrom(arguments[0])
            .GetType("Mono.CSharp.CompilerCallableEntryPoint", true)
            .GetMethod("InvokeCompiler", BindingFlags.Public | BindingFlags.Static);
        for (var file = requests.ReadLine(); file != null; file = requests.ReadLine())
        {
            string answer;
            try
            {
                answer = Measure(file);
            }
            catch (Exception fault)
            {
                answer = "{\"failed\":" + Quote((fault.InnerException ?? fault).GetType().Name) + "}";
            }
            answers.Write(answer + "\n");
        }
    }
}
