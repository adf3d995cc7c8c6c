"""C# candidates on mono: bare methods and whole classes, and a compiler that forgets what it compiled."""

from typing import Any

import pytest

from tasks.records import Language, Verdict

pytestmark = pytest.mark.slow

TRACK = "translation/java-csharp"
HEAD = "static int solve(List<int> numbers) "
PROGRAMS = {
    "right": HEAD + "{ int total = 0; foreach (var n in numbers) total += n; return total; }",
    "linq": "public static int solve(IEnumerable<int> numbers) => numbers.Where(n => true).Sum();",
    "wrong": HEAD + "{ return 3; }",
    "uncompilable": HEAD + "{\n\n    return undefined;\n}",
    "unbalanced": HEAD + "{ return 3;",
    "exception": HEAD + "{ return numbers[1] + numbers[0]; }",
    "initialiser": 'static int bad = 1 / int.Parse("0");\n' + HEAD + "{ return bad; }",
    "loop": HEAD + "{ while (true) { } }",
    "exit": HEAD + "{ Environment.Exit(0); return 3; }",
    "recursion": HEAD + "{ return solve(numbers) + 1; }",
    "memory": HEAD + "{ var all = new List<long[]>(); while (true) all.Add(new long[1 << 20]); }",
    "flood": HEAD + '{ for (int i = 0; i < 100000; i++) Console.WriteLine("0123456789"); return 3; }',
    "class": "using System;\nusing System.Collections.Generic;\nusing Sums = System.Collections.Generic.List<int>;\n"
    "namespace Demo {\n// class of {\npublic static class Solution {\n    "
    + HEAD
    + "{ return new Adder().Add(numbers); }\n}\npublic class Adder { public int Add(Sums all) "
    '{ var s = @"{""}"; int t = s.Length - s.Length; foreach (var n in all) t += n; return t; } }\n}',
    "method and class": "class Adder { public int Add(int a, int b) { return a + b; } }\n"
    + HEAD
    + "{ int t = 0; foreach (var n in numbers) t = new Adder().Add(t, n); return t; }",
    "array": "static int solve(int[] numbers) { return 0; }",
    "instance": "int solve(List<int> numbers) { return 0; }",
    "text": "static int solve(string numbers) { return 0; }",
    "null": "static int? solve(List<int> numbers) { return null; }",
    "thread": HEAD + "{ new System.Threading.Thread(() => { while (true) { } }).Start(); return numbers.Sum(); }",
    "network": "using System.Net.Sockets;\n"
    + HEAD
    + "{ new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)"
    '.Connect("1.1.1.1", 80); return 3; }',
}
EXPECTED = {
    "right": ("passed", ""),
    "linq": ("passed", ""),
    "wrong": ("wrong_answer", "case 2: solve([]) returned 3, expected 0"),
    "uncompilable": ("compile_error", "line 3: CS0103"),
    "unbalanced": ("compile_error", "CS1525"),
    "exception": ("exception", "case 2: solve([]) raised System.ArgumentOutOfRangeException"),
    "initialiser": ("exception", "loading the program raised System.DivideByZeroException"),
    "loop": ("timeout", "case 1: solve([1, 2]) not finished after 1 s of CPU time"),
    "exit": ("exception", "the process ended (exit status 0)"),
    "recursion": ("exception", "exit status 1): "),
    "memory": ("memory", "OutOfMemoryException"),
    "flood": ("output_limit", "more than 100000 bytes"),
    "class": ("passed", ""),
    "method and class": ("passed", ""),
    "array": ("wrong_answer", "case 1: solve([1, 2]) returned 0, expected 3"),
    "instance": ("wrong_answer", "case 1: solve([1, 2]) returned 0, expected 3"),
    "text": ("exception", "no method takes solve(list[int]); the program has solve(String)"),
    "null": ("wrong_answer", "returned None, expected 3"),
    "thread": ("passed", ""),
    "network": ("exception", "Access denied"),
}


@pytest.fixture(scope="module")
def verdicts(bricks: Any) -> dict[str, Verdict]:
    bricks.require_toolchain(Language.CSHARP)
    found: dict[str, Verdict] = bricks.judge_all(PROGRAMS, track=TRACK, workers=2)
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_kind_of_program_gets_its_verdict(verdicts: dict[str, Verdict], name: str) -> None:
    verdict, said = EXPECTED[name]
    assert (verdicts[name].verdict, verdicts[name].strength) == (verdict, "apart"), verdicts[name].detail
    assert said in verdicts[name].detail


TEXT = 'a"\\,\n\t\u00e9\U0001f600'


def test_every_type_crosses_both_ways(bricks: Any) -> None:
    bricks.require_toolchain(Language.CSHARP)
    tests = bricks.calls(
        {"i": "int", "d": "float", "b": "bool", "s": "str", "x": "list[int]", "y": "list[float]", "z": "list[str]"},
        "list[str]",
        [
            (
                [-5, 2, True, TEXT, [1, -2], [0.5, 1e300], ["", TEXT, "]"]],
                ["-5", "2", "True", TEXT, "1;-2", "0.5;1E+300", "", TEXT, "]"],
            ),
            ([-(2**31), 0.0, False, "", [], [], []], ["-2147483648", "0", "False", "", "", ""]),
        ],
    )
    source = (
        "static List<string> solve(int i, double d, bool b, string s, List<int> x, List<double> y, List<string> z) {"
        ' var all = new List<string> { "" + i, "" + d, "" + b, s, string.Join(";", x), string.Join(";", y) };'
        " all.AddRange(z); return all; }"
    )
    assert bricks.judge(source, tests=tests, track=TRACK).detail == ""


def test_one_compilation_leaves_nothing_for_the_next(bricks: Any) -> None:
    bricks.require_toolchain(Language.CSHARP)
    helper = "class Helper { public static int One() { return 1; } }\n"
    programs = {
        "symbol": "#define MARK\nclass Empty { }\nclass More { " + HEAD + "{ return numbers.Sum(); } }",
        "broken": helper + HEAD + "{ return Helper.One(",
        "with helper": helper + HEAD + "{ return numbers.Sum() * Helper.One(); }",
        "without helper": HEAD + "{ return Helper.One(); }",
        "same name": "class Helper { public static int One() { return 2; } }\n" + HEAD + "{ return Helper.One(); }",
        "no symbol": HEAD + "{\n#if MARK\nreturn 99;\n#else\nreturn numbers.Sum();\n#endif\n}",
    }
    found = bricks.judge_all(programs, track=TRACK)
    assert found["broken"].verdict == "compile_error"
    assert found["with helper"].verdict == "passed"
    assert found["without helper"].verdict == "compile_error"
    assert found["same name"].detail == "case 1: solve([1, 2]) returned 2, expected 3"
    assert found["no symbol"].verdict == "passed"
