"""Tests that are C# code: apart against typed stubs, in-process where types of the program's own are needed."""

from typing import Any

import pytest

from tasks.records import CodeTests, Language, Problem, Verdict

pytestmark = pytest.mark.slow

HEAD = (
    "using System;\nusing System.Collections.Generic;\nusing System.Linq;\n"
    "using KellermanSoftware.CompareNetObjects;\n\nnamespace Solution\n{\n"
)
APART = HEAD + "public class Program\n{\n    public static List<int> Increase (List<int> numbers) \n    {\n"
APART_TESTS = """
    public static void Main(string[] args)
    {
        CompareLogic compareLogic = new CompareLogic();
        var actual1 = Increase(new List<int> {1, 2, 3});
        var expected1 = new List<int> {2, 3, 4};
        var result1 = compareLogic.Compare(actual1, expected1);
        if (!result1.AreEqual) {throw new Exception("Exception --- test case 0 failed to pass");}
        var result2 = compareLogic.Compare(Increase(new List<int> {}), new List<int> {});
        if (!result2.AreEqual) {throw new Exception("Exception --- test case 1 failed to pass");}
    }
}
}
"""
RIGHT = "var all = new List<int>(); foreach (var n in numbers) all.Add(n + 1); return all;"
INSIDE = (
    HEAD
    + "public class Box { public int Value; }\n"
    + "public class Program\n{\n    public static Box Increase (Box numbers) \n    {\n"
)
INSIDE_TESTS = """
    public static void Main(string[] args)
    {
        if (Increase(new Box { Value = 1 }).Value != 2) {throw new Exception("test case 0 failed to pass");}
    }
}
}
"""
END = "\n    }\n"
# Each gets a body for the method, and members of the class.
HOSTILE = {
    "exit": ("Environment.Exit(0); return null;", ""),
    "exit in an initialiser": (
        "return null;",
        "static int x = Leave(); static int Leave() { Environment.Exit(0); return 0; }",
    ),
    "_exit": (
        "_exit(0); return null;",
        '[System.Runtime.InteropServices.DllImport("libc")] static extern void _exit(int status);',
    ),
    "exit handler": (
        'AppDomain.CurrentDomain.ProcessExit += (a, b) => Console.WriteLine("[\\"token\\"]"); '
        "Environment.Exit(0); return null;",
        "",
    ),
    "protocol on standard output": (
        'Console.WriteLine("[\\"ok\\",null,[]]"); Environment.Exit(0); return null;',
        "",
    ),
    "protocol on every descriptor": (
        'var line = System.Text.Encoding.ASCII.GetBytes("[\\"token\\",\\"x\\"]\\n"); '
        "for (int fd = 3; fd < 64; fd++) write(fd, line, (IntPtr)line.Length); return null;",
        '[System.Runtime.InteropServices.DllImport("libc")] static extern IntPtr write(int fd, byte[] b, IntPtr n);',
    ),
    "process": ('System.Diagnostics.Process.Start("/bin/true"); return null;', ""),
    "unsafe": ("unsafe { int* p = null; *p = 1; } return null;", ""),
    "wild pointer": ("System.Runtime.InteropServices.Marshal.WriteInt32(IntPtr.Zero, 1); return null;", ""),
    "kill": (
        "kill(-1, 9); return null;",
        '[System.Runtime.InteropServices.DllImport("libc")] static extern int kill(int pid, int signal);',
    ),
    "reflection on the driver": (
        "foreach (var f in System.Reflection.Assembly.GetEntryAssembly().GetTypes().SelectMany(t => t.GetFields("
        "System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic))) "
        "Console.WriteLine(f.GetValue(null)); return null;",
        "",
    ),
    "a thread that exits": ("new System.Threading.Thread(() => Environment.Exit(0)).Start(); while (true) { }", ""),
    "reading the connection": (
        "return null;",
        '[System.Runtime.InteropServices.DllImport("libc")] static extern IntPtr read(int fd, byte[] all, IntPtr n); '
        '[System.Runtime.InteropServices.DllImport("libc")] static extern IntPtr write(int fd, byte[] all, IntPtr n); '
        "static void Steal(int fd) { var all = new byte[1 << 20]; while (true) { "
        "var n = (int)read(fd, all, (IntPtr)all.Length); if (n <= 0) return; "
        "var said = System.Text.Encoding.ASCII.GetString(all, 0, n); "
        'var at = said.IndexOf("test"); var answer = at < 0 ? "[\\"ok\\",null,[]]\\n" : '
        '"[\\"token\\"," + said.Substring(at + 7, 34) + "]\\n"; '
        "var token = System.Text.Encoding.ASCII.GetBytes(answer); "
        "write(fd, token, (IntPtr)token.Length); } } "
        "static Program() { for (var i = 3; i < 12; i++) { var fd = i; "
        "new System.Threading.Thread(() => Steal(fd)) { IsBackground = true }.Start(); } "
        "System.Threading.Thread.Sleep(50); }",
    ),
    "failed fast": ('Environment.FailFast("x"); return null;', ""),
    "loop": ("while (true) { }", ""),
    "recursion": ("return Increase(numbers);", ""),
    "memory": ("var all = new List<byte[]>(); while (true) all.Add(new byte[1 << 20]);", ""),
    "null": ("return null;", ""),
}


def problem(preamble: str, tests: str) -> Problem:
    return Problem(
        id="p",
        track="generation/csharp",
        dataset="test",
        input="",
        reference="",
        preamble=preamble,
        tests=CodeTests(code=tests),
    )


def judged(bricks: Any, preamble: str, tests: str, programs: dict[str, tuple[str, str]]) -> dict[str, Verdict]:
    bricks.require_toolchain(Language.CSHARP)
    opening = "public class Program\n{"
    members = {name: preamble.replace(opening, f"{opening} {more}") for name, (_, more) in programs.items()}
    sources = {name: members[name] + body + END for name, (body, _) in programs.items()}
    found: dict[str, Verdict] = bricks.judge_problem(problem(preamble, tests), sources)
    return found


@pytest.fixture(scope="module")
def hostile_apart(bricks: Any) -> dict[str, Verdict]:
    return judged(bricks, APART, APART_TESTS, HOSTILE)


@pytest.fixture(scope="module")
def hostile_inside(bricks: Any) -> dict[str, Verdict]:
    return judged(bricks, INSIDE, INSIDE_TESTS, HOSTILE)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_program_passes_apart(hostile_apart: dict[str, Verdict], name: str) -> None:
    found = hostile_apart[name]
    assert found.strength == "apart"
    assert found.verdict not in ("passed", "unjudged"), found.detail


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_program_passes_in_process(hostile_inside: dict[str, Verdict], name: str) -> None:
    found = hostile_inside[name]
    assert found.strength == "in-process"
    assert found.verdict not in ("passed", "unjudged"), found.detail


FORGED = {
    "subclass with forged equality": (
        "return new Liar();",
        "class Liar : List<int> { public override bool Equals(object o) { return true; } "
        "public override int GetHashCode() { return 0; } }",
    ),
    "wrong": ("return numbers;", ""),
    "list without end": ("return Enumerable.Repeat(1, int.MaxValue).ToList();", ""),
    "huge": ("return Enumerable.Range(0, 100000).ToList();", ""),
}


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("subclass with forged equality", ("wrong_answer",)),
        ("wrong", ("wrong_answer",)),
        ("list without end", ("memory", "timeout", "exception")),
        ("huge", ("output_limit",)),
    ],
)
def test_what_is_returned_is_nothing_but_data(bricks: Any, name: str, verdicts: tuple[str, ...]) -> None:
    found = judged(bricks, APART, APART_TESTS, {name: FORGED[name]})[name]
    assert found.verdict in verdicts, found.detail
    assert found.strength == "apart"


LEGITIMATE = {
    "loop": (RIGHT, ""),
    "linq": ("return numbers.Select(n => n + 1).OrderBy(n => n).ToList();", ""),
    "dictionary": (
        "var seen = new Dictionary<int, int>(); foreach (var n in numbers) seen[n] = n + 1; "
        "return seen.Values.ToList();",
        "",
    ),
    "big integers": ("return numbers.Select(n => (int)(new System.Numerics.BigInteger(n) + 1)).ToList();", ""),
    "text": (
        "var b = new System.Text.StringBuilder(); foreach (var n in numbers) b.Append(n + 1).Append(','); "
        "return b.ToString().Split(',').Where(w => System.Text.RegularExpressions.Regex.IsMatch(w, \"^[0-9]+$\"))"
        ".Select(int.Parse).ToList();",
        "",
    ),
    "threads": (
        "var all = new int[numbers.Count]; "
        "System.Threading.Tasks.Parallel.For(0, all.Length, i => all[i] = numbers[i] + 1); return all.ToList();",
        "",
    ),
    "recursion to 10,000": (f"Down(10000); {RIGHT}", "static int Down(int n) { return n == 0 ? 0 : 1 + Down(n - 1); }"),
    "helper class and state": (f"count++; new Helper(); {RIGHT}", "static int count; class Helper { }"),
    "printing": (f'Console.WriteLine("[1, 2]"); {RIGHT}', ""),
    "a thread left behind": (f"new System.Threading.Thread(() => {{ while (true) {{ }} }}).Start(); {RIGHT}", ""),
    "dynamic and tuples": (
        f"dynamic one = 1; (int a, int b) pair = (one, 2); if (pair.a != 1) return null; {RIGHT}",
        "",
    ),
    "changed in place": ("for (int i = 0; i < numbers.Count; i++) numbers[i]++; return numbers;", ""),
    "files": (f'System.IO.File.WriteAllText("note", "x"); System.IO.File.Delete("note"); {RIGHT}', ""),
    "time and chance": (f"new Random(1).Next(); new DateTime(2024, 2, 29).AddYears(1); {RIGHT}", ""),
}


@pytest.fixture(scope="module")
def legitimate(bricks: Any) -> dict[str, Verdict]:
    return judged(bricks, APART, APART_TESTS, LEGITIMATE)


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate_programs_pass(legitimate: dict[str, Verdict], name: str) -> None:
    assert (legitimate[name].verdict, legitimate[name].strength, legitimate[name].detail) == ("passed", "apart", "")


def test_a_right_program_passes_in_process(bricks: Any) -> None:
    programs = {"right": ("numbers.Value++; return numbers;", ""), "wrong": ("return numbers;", "")}
    found = judged(bricks, INSIDE, INSIDE_TESTS, programs)
    assert (found["right"].verdict, found["right"].strength) == ("passed", "in-process")
    assert (found["wrong"].verdict, found["wrong"].detail) == ("wrong_answer", "test case 0 failed to pass")


@pytest.mark.parametrize(
    ("declared", "made"),
    [
        ("long", "1L << 40"),
        ("double", "0.1 + 0.2"),
        ("double", "double.NaN"),
        ("float", "1.5f"),
        ("char", "'\\u20ac'"),
        ("decimal", "1.10m"),
        ("int?", "(int?)null"),
        ("object", "new List<object> { 1L, 2.0, 'x', null, new List<int> { 1 } }"),
        ("int[]", "new[] { 1, 2 }"),
        ("List<List<string>>", 'new List<List<string>> { new List<string> { "a", null } }'),
        ("Dictionary<string, List<int>>", 'new Dictionary<string, List<int>> { { "a", new List<int> { 1 } } }'),
        ("HashSet<List<int>>", "new HashSet<List<int>> { new List<int> { 1 }, new List<int> { 2 } }"),
        ("Tuple<int, string>", 'Tuple.Create(1, "a")'),
        ("string", '"\\ud83d\\ude00 \\ud800"'),
        ("System.Numerics.BigInteger", "System.Numerics.BigInteger.Pow(2, 100)"),
    ],
)
def test_values_cross_exactly_both_ways(bricks: Any, declared: str, made: str) -> None:
    bricks.require_toolchain(Language.CSHARP)
    preamble = HEAD + f"public class Program\n{{\n    public static {declared} Same({declared} value)\n    {{\n"
    tests = f"""
    public static void Main()
    {{
        {declared} a = Same({made}), b = {made};
        if (!new CompareLogic().Compare(a, b).AreEqual) throw new Exception(a + " " + b);
    }}
}}
}}
"""
    found = bricks.judge_problem(problem(preamble, tests), {"it": f"{preamble}return value;{END}"})["it"]
    assert (found.verdict, found.strength, found.detail) == ("passed", "apart", "")


def test_failed_assertions_of_debug_are_wrong_answers_as_in_multipl_e(bricks: Any) -> None:
    bricks.require_toolchain(Language.CSHARP)
    preamble = "using System;\nusing System.Diagnostics;\nclass Problem {\n    public static long F(long n) {\n"
    tests = "    }\n    public static void Main(string[] args) {\n    Debug.Assert(F((5L)) == (6L));\n    }\n\n}\n"
    sources = {"right": "return n + 1;", "wrong": "return n;"}
    found = bricks.judge_problem(problem(preamble, tests), {name: preamble + body for name, body in sources.items()})
    assert [(v.verdict, v.strength) for v in found.values()] == [("passed", "apart"), ("wrong_answer", "apart")]
