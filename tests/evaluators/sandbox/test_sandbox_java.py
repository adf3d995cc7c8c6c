"""Java candidates: bare methods and whole classes, each judged like its Python twin."""

from typing import Any

import pytest

from tasks.records import Language, UnjudgedReason, Verdict, reason_in_words

pytestmark = pytest.mark.slow

TRACK = "generation/java"
HEAD = "static int solve(List<Integer> numbers) "
PROGRAMS = {
    "right": HEAD + "{ int total = 0; for (int n : numbers) total += n; return total; }",
    "stream": "public " + HEAD + "{ return numbers.stream().mapToInt(n -> n).sum(); }",
    "wrong": HEAD + "{ return 3; }",
    "uncompilable": HEAD + "{\n\n    return undefined;\n}",
    "unbalanced": HEAD + "{ return 3;",
    "exception": HEAD + "{ return numbers.get(1) + numbers.get(0); }",
    "initialiser": 'static int bad = 1 / Integer.parseInt("0");\n' + HEAD + "{ return bad; }",
    "loop": HEAD + "{ while (true) { } }",
    "exit": HEAD + "{ System.exit(0); return 3; }",
    "recursion": HEAD + "{ return solve(numbers) + 1; }",
    "memory": HEAD + "{ List<long[]> all = new ArrayList<>(); while (true) all.add(new long[1 << 20]); }",
    "flood": HEAD + '{ for (int i = 0; i < 100000; i++) System.out.println("0123456789"); return 3; }',
    "class": "package demo;\nimport java.util.List;\nimport java.util.*;\n\n/** class of { */\n"
    "public class Solution {\n"
    "    " + HEAD + "{ return new Adder().add(numbers); }\n}\n\nclass Adder { int add(List<Integer> all) "
    "{ int t = 0; for (int n : all) t += n; return t; } }",
    "method and class": "class Adder { int add(int a, int b) { return a + b; } }\n// }\n"
    + HEAD
    + "{ int t = 0; for (int n : numbers) t = new Adder().add(t, n); return t; }",
    "array": "static int solve(int[] numbers) { return 0; }",
    "instance": "int solve(List<Integer> numbers) { return 0; }",
    "text": "static int solve(String numbers) { return 0; }",
    "null": "static Integer solve(List<Integer> numbers) { return null; }",
    "thread": HEAD
    + "{ new Thread(() -> { while (true) { } }).start(); return numbers.stream().mapToInt(n -> n).sum(); }",
    "secret": HEAD + '{ try { return java.nio.file.Files.readAllBytes(java.nio.file.Path.of("/etc/shadow")).length; } '
    "catch (java.io.IOException e) { throw new RuntimeException(e.toString()); } }",
    "network": HEAD + '{ try { new java.net.Socket("1.1.1.1", 80); } catch (java.io.IOException e) '
    "{ throw new RuntimeException(e.getMessage()); } return 3; }",
}
EXPECTED = {
    "right": ("passed", ""),
    "stream": ("passed", ""),
    "wrong": ("wrong_answer", "case 2: solve([]) returned 3, expected 0"),
    "uncompilable": ("compile_error", "line 3: cannot find symbol"),
    "unbalanced": ("compile_error", "reached end of file"),
    "exception": ("exception", "case 2: solve([]) raised java.lang.IndexOutOfBoundsException"),
    "initialiser": ("exception", "loading the program raised java.lang.ArithmeticException"),
    "loop": ("timeout", "case 1: solve([1, 2]) not finished after 1 s of CPU time"),
    "exit": ("exception", "the process ended (exit status 0)"),
    "recursion": ("exception", "StackOverflowError"),
    "memory": ("memory", "OutOfMemoryError"),
    "flood": ("output_limit", "more than 100000 bytes"),
    "class": ("passed", ""),
    "method and class": ("passed", ""),
    "array": ("wrong_answer", "case 1: solve([1, 2]) returned 0, expected 3"),
    "instance": ("wrong_answer", "case 1: solve([1, 2]) returned 0, expected 3"),
    "text": ("exception", "no method takes solve(list[int]); the program has solve(String)"),
    "null": ("wrong_answer", "returned None, expected 3"),
    "thread": ("passed", ""),
    "secret": ("exception", "/etc/shadow"),  # which does not exist, or may not be read
    "network": ("exception", "Permission denied"),
}


@pytest.fixture(scope="module")
def verdicts(bricks: Any) -> dict[str, Verdict]:
    bricks.require_toolchain(Language.JAVA)
    found: dict[str, Verdict] = bricks.judge_all(PROGRAMS, track=TRACK, workers=2)
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_kind_of_program_gets_its_verdict(verdicts: dict[str, Verdict], name: str) -> None:
    verdict, said = EXPECTED[name]
    assert (verdicts[name].verdict, verdicts[name].strength) == (verdict, "apart"), verdicts[name].detail
    assert said in verdicts[name].detail


TEXT = 'a"\\,\n\t\u00e9\U0001f600'


def test_every_type_crosses_both_ways(bricks: Any) -> None:
    bricks.require_toolchain(Language.JAVA)
    tests = bricks.calls(
        {"i": "int", "d": "float", "b": "bool", "s": "str", "x": "list[int]", "y": "list[float]", "z": "list[str]"},
        "list[str]",
        [
            (
                [-5, 2, True, TEXT, [1, -2], [0.1, 1e300], ["", TEXT, "]"]],
                ["-5", "2.0", "true", TEXT, "[1, -2]", "[0.1, 1.0E300]", "", TEXT, "]"],
            ),
            ([-(2**31), -0.0, False, "", [], [], []], ["-2147483648", "-0.0", "false", "", "[]", "[]"]),
        ],
    )
    source = (
        "static List<String> solve(int i, double d, boolean b, String s, List<Integer> x, List<Double> y, "
        'List<String> z) { List<String> all = new ArrayList<>(List.of("" + i, "" + d, "" + b, s, "" + x, "" + y)); '
        "all.addAll(z); return all; }"
    )
    assert bricks.judge(source, tests=tests, track=TRACK).detail == ""


@pytest.mark.parametrize(
    ("returns", "expected", "method", "verdict"),
    [
        ("bool", True, "static boolean solve() { return true; }", "passed"),
        ("int", 1, "static boolean solve() { return true; }", "wrong_answer"),
        ("int", 2**40, "static long solve() { return 1L << 40; }", "passed"),
        ("int", 1, "static double solve() { return 1; }", "wrong_answer"),
        ("float", 1.0, "static double solve() { return 1; }", "passed"),
        ("float", 0.1, "static double solve() { return 0.1; }", "passed"),
        ("str", "x", "static char solve() { return 'x'; }", "passed"),
        ("list[int]", [1], "static int[] solve() { return new int[] {1}; }", "passed"),
        ("list[float]", [1.0], "static List<Double> solve() { return List.of(1.0); }", "passed"),
    ],
)
def test_returned_values_compare_type_for_type(
    bricks: Any, returns: str, expected: Any, method: str, verdict: str
) -> None:
    bricks.require_toolchain(Language.JAVA)
    tests = bricks.calls({}, returns, [([], expected)])
    assert bricks.judge(method, tests=tests, track=TRACK).verdict == verdict


def test_an_int_beyond_32_bits_is_unjudged(bricks: Any) -> None:
    bricks.require_toolchain(Language.JAVA)
    tests = bricks.calls({"n": "int"}, "int", [([2**31], 1)])
    found = bricks.judge("static int solve(int n) { return 1; }", tests=tests, track=TRACK)
    assert found.verdict == "unjudged"
    assert found.reason is reason_in_words(found.detail) is UnjudgedReason.UNSAYABLE
    assert "2147483648 does not fit the 32-bit int of Java" in found.detail
