"""Usual signatures of Java and C#: whatever compiles and is right is found and called as it is declared."""

from typing import Any

import pytest

from tasks.records import CallTests, Case, Language, Parameter, Problem, Verdict

pytestmark = pytest.mark.slow

J, C = Language.JAVA, Language.CSHARP
LISTS = ("dbl", {"x": "list[int]"}, "list[int]", ([[1, 2]], [2, 4]))
NUMBER = ("addOne", {"x": "int"}, "int", ([1], 2))
TOTAL = ("total", {"x": "list[int]"}, "int", ([[1, 2, 4]], 7))
PAIR = ("sum", {"a": "int", "b": "int"}, "int", ([1, 2], 3))
TEXTS = ("up", {"x": "list[str]"}, "list[str]", ([["a", "b"]], ["A", "B"]))
TEXT = ("twice", {"x": "str"}, "str", (["a"], "aa"))
FLOATS = ("half", {"x": "list[float]"}, "list[float]", ([[1.0, 3.0]], [0.5, 1.5]))
FIRST = ("first", {"x": "list[str]"}, "str", ([["b", "a"]], "b"))

FORMS: dict[str, tuple[Language, Any, str]] = {
    "an array": (
        J,
        LISTS,
        "class S { static int[] dbl(int[] x) { int[] r = x.clone(); for (int i = 0; i < r.length; i++) "
        "r[i] *= 2; return r; } }",
    ),
    "a list of longs": (
        J,
        LISTS,
        "class S { static List<Long> dbl(List<Long> x) { List<Long> r = new ArrayList<>(); for (long v "
        ": x) r.add(v * 2); return r; } }",
    ),
    "boxed arrays": (
        J,
        LISTS,
        "class S { static Integer[] dbl(Integer[] x) { Integer[] r = new Integer[x.length]; for (int i "
        "= 0; i < r.length; i++) r[i] = 2 * x[i]; return r; } }",
    ),
    "an array of longs": (
        J,
        LISTS,
        "static long[] dbl(long... x) { return Arrays.stream(x).map(v -> 2 * v).toArray(); }",
    ),
    "an array list": (
        J,
        LISTS,
        "static ArrayList<Integer> dbl(ArrayList<Integer> x) { x.replaceAll(v -> 2 * v); return x; }",
    ),
    "an iterable": (
        J,
        LISTS,
        "static Iterable<Integer> dbl(Iterable<? extends Number> x) { List<Integer> r = new "
        "LinkedList<>(); for (Number v : x) r.add(2 * v.intValue()); return r; }",
    ),
    "a queue": (
        J,
        LISTS,
        "static Deque<Integer> dbl(Queue<Integer> x) { Deque<Integer> r = new ArrayDeque<>(); for (int "
        "v : x) r.add(2 * v); return r; }",
    ),
    "a stream": (
        J,
        LISTS,
        "static IntStream dbl(Stream<Integer> x) { return x.mapToInt(v -> 2 * v); }",
    ),
    "an instance method": (
        J,
        NUMBER,
        "class S { int addOne(int x) { return x + 1; } }",
    ),
    "a method of an inner class": (
        J,
        NUMBER,
        "class S { class T { int addOne(int x) { return x + 1; } } }",
    ),
    "a public class beside Main": (
        J,
        NUMBER,
        "public class Main { public static void main(String[] a) { System.out.println(new "
        "S().addOne(1)); } }\n"
        "public class S { public int addOne(int x) { return x + 1; } }",
    ),
    "main beside it": (
        J,
        NUMBER,
        "public static int addOne(int x) { return x + 1; }\n"
        "public static void main(String[] a) { System.out.println(addOne(1)); }",
    ),
    "an interface's method": (
        J,
        NUMBER,
        "interface I { int addOne(int x); }\nclass S implements I { public int addOne(int x) { return x + 1; } }",
    ),
    "varargs": (
        J,
        PAIR,
        "class S { static int sum(int... x) { return IntStream.of(x).sum(); } }",
    ),
    "big integers": (
        J,
        NUMBER,
        "static java.math.BigInteger addOne(java.math.BigInteger x) { return x.add(java.math.BigInteger.ONE); }",
    ),
    "a generic method": (
        J,
        FIRST,
        "static <T extends Comparable<T>> T first(List<T> x) { return x.get(0); }",
    ),
    "a generic array": (
        J,
        FIRST,
        "static <T> T first(T[] x) { return x[0]; }",
    ),
    "boxed doubles": (
        J,
        FLOATS,
        "static Double[] half(List<Double> x) { return x.stream().map(v -> v / 2).toArray(Double[]::new); }",
    ),
    "single floats": (
        J,
        FLOATS,
        "static float[] half(float[] x) { for (int i = 0; i < x.length; i++) x[i] /= 2; return x; }",
    ),
    "an array of texts": (
        J,
        TEXTS,
        "static String[] up(String[] x) { return Arrays.stream(x).map(String::toUpperCase).toArray(String[]::new); }",
    ),
    "characters": (
        J,
        TEXTS,
        "static List<Character> up(char[] x) { List<Character> r = new ArrayList<>(); for (char c : x) "
        "r.add(Character.toUpperCase(c)); return r; }",
    ),
    "a character": (
        J,
        TEXT,
        'static String twice(char x) { return "" + x + x; }',
    ),
    "a char sequence": (
        J,
        TEXT,
        'static CharSequence twice(CharSequence x) { return x + "" + x; }',
    ),
    "an interface of a list": (
        C,
        LISTS,
        "public class S { public static IEnumerable<int> dbl(IEnumerable<int> x) { return x.Select(v => v * 2); } }",
    ),
    "an array in C#": (
        C,
        LISTS,
        "public static int[] dbl(int[] x) { return x.Select(v => v * 2).ToArray(); }",
    ),
    "a list of longs in C#": (
        C,
        LISTS,
        "public static List<long> dbl(IList<long> x) { return x.Select(v => v * 2).ToList(); }",
    ),
    "a read-only list": (
        C,
        LISTS,
        "static IReadOnlyList<int> dbl(IReadOnlyCollection<int> x) { return x.Select(v => v * 2).ToArray(); }",
    ),
    "a lazy sequence": (
        C,
        LISTS,
        "static IEnumerable<int> dbl(ICollection<int> x) { foreach (var v in x) yield return 2 * v; }",
    ),
    "an optional parameter": (
        C,
        NUMBER,
        "public class S { public static int addOne(int x, int y = 1) { return x + y; } }",
    ),
    "an instance method in C#": (
        C,
        NUMBER,
        "public class S { readonly int y; public S(int y = 1) { this.y = y; } public int addOne(int x) => x + y; }",
    ),
    "Main beside it in C#": (
        C,
        NUMBER,
        "public class Program { public static void Main() { Console.WriteLine(addOne(1)); } static int "
        "addOne(int x) { return x + 1; } }",
    ),
    "params": (
        C,
        PAIR,
        "static int sum(params int[] x) { return x.Sum(); }",
    ),
    "a generic method in C#": (
        C,
        FIRST,
        "static T first<T>(IEnumerable<T> x) where T : IComparable<T> { return x.First(); }",
    ),
    "a nullable": (
        C,
        NUMBER,
        "static int? addOne(int? x) { return x + 1; }",
    ),
    "a long in C#": (
        C,
        NUMBER,
        "static long addOne(long x) { return x + 1; }",
    ),
    "decimals": (
        C,
        FLOATS,
        "static decimal[] half(decimal[] x) { return x.Select(v => v / 2).ToArray(); }",
    ),
    "a task": (
        C,
        NUMBER,
        "static async System.Threading.Tasks.Task<int> addOne(int x) { return x + 1; }",
    ),
    "characters in C#": (
        C,
        TEXTS,
        "static IEnumerable<char> up(char[] x) { return x.Select(char.ToUpper); }",
    ),
    "a list without a type": (
        C,
        TOTAL,
        "static int total(System.Collections.IEnumerable x) { int s = 0; foreach (int v in x) s += v; return s; }",
    ),
    "a dynamic": (
        C,
        NUMBER,
        "static dynamic addOne(dynamic x) { return x + 1; }",
    ),
}


def problem(language: Language, about: Any, source: str, *, id: str = "p") -> Problem:
    name, parameters, returns, (arguments, expected) = about
    tests = CallTests(
        entry_point=name,
        parameters=tuple(Parameter(name=one, type=kind) for one, kind in parameters.items()),
        returns=returns,
        cases=(Case(arguments=tuple(arguments), expected=expected),) * 2,
    )
    return Problem(
        id=id, track=f"generation/{language}", dataset="d", input="", reference=source, tests=tests, preamble=""
    )


def judged(bricks: Any, language: Language) -> dict[str, Verdict]:
    """All forms of one language, in one run."""
    from evaluators.sandbox import Limits, Program, execute

    bricks.require_toolchain(language)
    chosen = {name: form for name, form in FORMS.items() if form[0] is language}
    problems = [problem(*form, id=name) for name, form in chosen.items()]
    programs = [Program(problem_id=name, source=form[2]) for name, form in chosen.items()]
    return dict(zip(chosen, execute(problems, programs, limits=Limits()), strict=True))


@pytest.mark.parametrize("language", [J, C])
def test_usual_signatures_are_found_and_called_as_they_are_declared(bricks: Any, language: Language) -> None:
    found = judged(bricks, language)
    assert {name: (v.verdict, v.detail) for name, v in found.items() if v.verdict != "passed"} == {}


WRONG: list[tuple[Language, str, str]] = [
    (J, "class S { static int addOne(String[] x) { return 1; } }", "addOne(String[])"),
    (J, "class S { static int addTwo(int x) { return 1; } }", "none of that name"),
    (J, "class S { private S(int y) {} int addOne(int x) { return x + 1; } }", "addOne(int)"),
    (J, "class S { static int addOne(int x, int y) { return x + 1; } }", "addOne(int, int)"),
    (C, "class S { static int addOne(List<int> x) { return 1; } }", "addOne(List<Int32>)"),
    (C, "class S { static int addTwo(int x) { return 1; } }", "none of that name"),
    (C, "class S { static int addOne(int x, int y) { return 1; } }", "addOne(Int32, Int32)"),
    (C, "class S { static T addOne<T>(T x) where T : class { return x; } }", "addOne("),
]


def test_no_match_is_told_as_such_and_is_no_compile_error(bricks: Any) -> None:
    for language, source, said in WRONG:
        bricks.require_toolchain(language)
        found = bricks.judge_problem(problem(language, NUMBER, ""), {"it": source})["it"]
        assert found.verdict == "exception"
        assert found.detail.startswith("no method takes addOne(int); the program has ") and said in found.detail


@pytest.mark.parametrize(
    ("language", "source"),
    [
        (J, "static Set<Integer> dbl(List<Integer> x) { return new LinkedHashSet<>(List.of(2, 4)); }"),
        (C, "static HashSet<int> dbl(List<int> x) { return new HashSet<int> { 2, 4 }; }"),
    ],
)
def test_a_set_is_no_list(bricks: Any, language: Language, source: str) -> None:
    bricks.require_toolchain(language)
    assert bricks.judge_problem(problem(language, LISTS, ""), {"it": source})["it"].verdict == "wrong_answer"


def test_a_static_method_comes_before_an_instance_method_and_the_likest_first(bricks: Any) -> None:
    bricks.require_toolchain(J)
    source = (
        "class A { int addOne(int x) { return 0; } }\nclass B { static int addOne(Object x) { return 0; } "
        "static int addOne(long x) { return 0; } static int addOne(int x) { return x + 1; } }"
    )
    assert bricks.judge_problem(problem(J, NUMBER, ""), {"it": source})["it"].verdict == "passed"


def test_each_case_has_an_instance_of_its_own(bricks: Any) -> None:
    bricks.require_toolchain(J)
    source = "class S { int y = 0; int addOne(int x) { y++; return x + y; } }"
    assert bricks.judge_problem(problem(J, NUMBER, ""), {"it": source})["it"].verdict == "passed"
