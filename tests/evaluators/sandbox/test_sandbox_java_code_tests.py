"""Tests that are Java code: apart against typed stubs, in-process where types of the program's own are needed."""

from typing import Any

import pytest

from tasks.records import CodeTests, Language, Problem, Verdict

pytestmark = pytest.mark.slow

HEAD = "import java.util.*;\nimport java.util.stream.*;\n\n"
APART = (
    HEAD
    + "class Solution {\n    /** Adds one to each. */\n    public List<Integer> increase(List<Integer> numbers) {\n"
)
APART_TESTS = """public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        List<Boolean> correct = Arrays.asList(
            s.increase(new ArrayList<>(Arrays.asList(1, 2, 3))).equals(Arrays.asList(2, 3, 4)),
            s.increase(new ArrayList<>()).equals(Arrays.asList()),
            s.increase(Arrays.asList(-1)).size() == 1
        );
        if (correct.contains(false)) {
            throw new AssertionError();
        }
    }
}
"""
RIGHT = "List<Integer> all = new ArrayList<>(); for (int n : numbers) all.add(n + 1); return all;"
INSIDE = (
    HEAD
    + "class Box { int value; Box(int value) { this.value = value; } }\n"
    + "class Solution {\n    public Box increase(Box numbers) {\n"
)
INSIDE_TESTS = """class Main {
    public static void main(String[] args) throws Exception {
        if (new Solution().increase(new Box(1)).value != 2) {
            throw new Exception("Exception -- test case 0 did not pass.");
        }
    }
}
"""
END = "\n    }\n}\n"
# Each gets a body for the method, and members of the class.
HOSTILE = {
    "exit": ("System.exit(0); return null;", ""),
    "halt": ("Runtime.getRuntime().halt(0); return null;", ""),
    "exit in an initialiser": ("return null;", "static { System.exit(0); }"),
    "halt in an initialiser": ("return null;", "static { Runtime.getRuntime().halt(0); }"),
    "shutdown hook": (
        "System.exit(0); return null;",
        'static { Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("[\\"token\\"]"))); }',
    ),
    "protocol on standard output": (
        'System.out.println("[\\"ok\\",null,[]]"); System.exit(0); return null;',
        'static { System.out.println("[\\"loaded\\"]"); }',
    ),
    "protocol on the connection": (
        "return null;",
        "static { try { java.io.OutputStream out = new java.io.FileOutputStream(java.io.FileDescriptor.in); "
        'out.write("[\\"loaded\\"]\\n[\\"token\\",\\"x\\"]\\n".getBytes()); out.flush(); } '
        "catch (java.io.IOException e) { } }",
    ),
    "reading the connection": (
        "return null;",
        "static { Thread t = new Thread(() -> { try { byte[] all = new byte[1 << 20]; while (true) { "
        "int n = new java.io.FileInputStream(java.io.FileDescriptor.in).read(all); "
        'if (n <= 0) return; String s = new String(all, 0, n); int at = s.indexOf("test"); '
        'String answer = at < 0 ? "[\\"ok\\",null,[]]\\n" : "[\\"token\\"," + s.substring(at + 7, at + 41) + "]\\n"; '
        "new java.io.FileOutputStream(java.io.FileDescriptor.in).write(answer.getBytes()); } } "
        "catch (java.io.IOException e) { } }); t.setDaemon(true); t.start(); }",
    ),
    "reflection on the tests": (
        'try { Class<?> main = Class.forName("Main", true, Thread.currentThread().getContextClassLoader()); '
        'main.getDeclaredMethod("main", String[].class); } catch (Exception e) { throw new RuntimeException(e); } '
        "return null;",
        "",
    ),
    "own test class": ("return null;", "static class Main { public static void main(String[] a) { } }"),
    "reflection on the driver": (
        'try { for (var f : Class.forName("PolytuneDriver").getDeclaredFields()) { f.setAccessible(true); '
        "if (f.getType() == String.class) System.out.println(f.get(null)); } } catch (Exception e) { } return null;",
        "",
    ),
    "a thread that exits": (
        "new Thread(() -> System.exit(0)).start(); while (true) { }",
        "",
    ),
    "thrown error": ("throw new ThreadDeath();", ""),
    "loop": ("while (true) { }", ""),
    "null": ("return null;", ""),
}


def problem(preamble: str, tests: str) -> Problem:
    return Problem(
        id="p",
        track="generation/java",
        dataset="test",
        input="",
        reference="",
        preamble=preamble,
        tests=CodeTests(code=tests),
    )


def judged(bricks: Any, preamble: str, tests: str, programs: dict[str, tuple[str, str]]) -> dict[str, Verdict]:
    bricks.require_toolchain(Language.JAVA)
    members = {
        name: preamble.replace("class Solution {", f"class Solution {{ {more}") for name, (_, more) in programs.items()
    }
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
    "subclass with forged equals": (
        "return new ArrayList<Integer>() { @Override public boolean equals(Object o) { return true; } };",
        "",
    ),
    "wrong": ("return numbers;", ""),
    "string in a list of integers": ('List all = new ArrayList(); all.add("x"); return all;', ""),
    "endless list": (
        "return new AbstractList<Integer>() { public Integer get(int i) { return i; } "
        "public int size() { return Integer.MAX_VALUE; } };",
        "",
    ),
    "list in itself": ("List all = new ArrayList(); all.add(all); return all;", ""),
    "huge": ("return IntStream.range(0, 100_000).boxed().collect(Collectors.toList());", ""),
}


@pytest.fixture(scope="module")
def forged(bricks: Any) -> dict[str, Verdict]:
    return judged(bricks, APART, APART_TESTS, FORGED)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("subclass with forged equals", "wrong_answer"),
        ("wrong", "wrong_answer"),
        ("string in a list of integers", "wrong_answer"),
        ("list in itself", "wrong_answer"),
        ("huge", "output_limit"),
    ],
)
def test_what_is_returned_is_nothing_but_data(forged: dict[str, Verdict], name: str, verdict: str) -> None:
    assert (forged[name].verdict, forged[name].strength) == (verdict, "apart"), forged[name].detail


def test_a_list_without_end_does_not_hold_the_judge(forged: dict[str, Verdict]) -> None:
    assert forged["endless list"].verdict in ("memory", "timeout", "output_limit", "exception")


LEGITIMATE = {
    "loop": (RIGHT, ""),
    "streams": ("return numbers.stream().map(n -> n + 1).collect(Collectors.toList());", ""),
    "immutable": ("return numbers.stream().map(n -> n + 1).toList();", ""),
    "linked list": ("List<Integer> all = new LinkedList<>(); for (int n : numbers) all.add(n + 1); return all;", ""),
    "big integers": (
        "List<Integer> all = new ArrayList<>(); for (int n : numbers) "
        "all.add(java.math.BigInteger.valueOf(n).add(java.math.BigInteger.ONE).intValueExact()); return all;",
        "",
    ),
    "text": (
        'StringBuilder b = new StringBuilder("x"); for (int n : numbers) b.append(",").append(n + 1); '
        'return Arrays.stream(b.toString().split(",")).filter(w -> w.matches("-?\\\\d+")).map(Integer::valueOf)'
        ".collect(Collectors.toList());",
        "",
    ),
    "threads": (
        "var pool = java.util.concurrent.Executors.newFixedThreadPool(4); List<Integer> all = new ArrayList<>(); "
        "try { for (int n : numbers) all.add(pool.submit(() -> n + 1).get()); } "
        "catch (Exception e) { throw new RuntimeException(e); } return all;",
        "",
    ),
    "recursion to 10,000": (f"down(10_000); {RIGHT}", "int down(int n) { return n == 0 ? 0 : 1 + down(n - 1); }"),
    "helper class and state": (f"count++; new Helper(); {RIGHT}", "static int count; static class Helper { }"),
    "printing": (f'System.out.println("[1, 2]"); {RIGHT}', ""),
    "a thread left behind": (f"new Thread(() -> {{ while (true) {{ }} }}).start(); {RIGHT}", ""),
    "changed in place": (
        "if (numbers.isEmpty() || numbers.size() == 1) return numbers; "
        "for (int i = 0; i < numbers.size(); i++) numbers.set(i, numbers.get(i) + 1); return numbers;",
        "",
    ),
    "other overloads": (RIGHT, "public List<Integer> increase(Set<Integer> s) { return null; }"),
    "files": (
        'try { var path = java.nio.file.Path.of("note"); java.nio.file.Files.writeString(path, "x"); '
        "java.nio.file.Files.delete(path); } catch (java.io.IOException e) { throw new RuntimeException(e); } " + RIGHT,
        "",
    ),
    "time and chance": (f"new Random(1).nextInt(); java.time.LocalDate.of(2024, 2, 29).plusYears(1); {RIGHT}", ""),
}


@pytest.fixture(scope="module")
def legitimate(bricks: Any) -> dict[str, Verdict]:
    return judged(bricks, APART, APART_TESTS, LEGITIMATE)


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate_programs_pass(legitimate: dict[str, Verdict], name: str) -> None:
    assert (legitimate[name].verdict, legitimate[name].strength, legitimate[name].detail) == ("passed", "apart", "")


def test_a_right_program_passes_in_process(bricks: Any) -> None:
    programs = {"right": ("numbers.value++; return numbers;", ""), "wrong": ("return numbers;", "")}
    found = judged(bricks, INSIDE, INSIDE_TESTS, programs)
    assert (found["right"].verdict, found["right"].strength) == ("passed", "in-process")
    assert (found["wrong"].verdict, found["wrong"].detail) == (
        "wrong_answer",
        "java.lang.Exception: Exception -- test case 0 did not pass.",
    )


@pytest.mark.parametrize(
    ("declared", "returned"),
    [
        ("long", "1L << 40"),
        ("double", "0.1 + 0.2"),
        ("double", "Double.NaN"),
        ("double", "-0.0"),
        ("float", "1.5f"),
        ("char", "'\\u20ac'"),
        ("short", "(short) -3"),
        ("Object", "List.of(1L, 2.0, 'x', 1.5f)"),
        ("Number", "7L"),
        ("int[][]", "new int[][] {{1, 2}, {}}"),
        ("String[]", 'new String[] {"a", null}'),
        ("Map<String, List<Integer>>", 'new HashMap<>(Map.of("a", List.of(1)))'),
        ("TreeMap<Integer, String>", 'new TreeMap<>(Map.of(3, "x"))'),
        ("Set<List<Integer>>", "new HashSet<>(Set.of(List.of(1)))"),
        ("Optional<String>", 'Optional.of("\\ud83d\\ude00 \\ud800")'),
        ("java.math.BigInteger", "java.math.BigInteger.TWO.pow(100)"),
        ("Map.Entry<Integer, String>", 'Map.entry(1, "a")'),
        ("Deque<Integer>", "new ArrayDeque<>(List.of(1, 2))"),
    ],
)
def test_values_cross_exactly_both_ways(bricks: Any, declared: str, returned: str) -> None:
    bricks.require_toolchain(Language.JAVA)
    preamble = f"{HEAD}class Solution {{\n    public static {declared} same({declared} value) {{\n"
    same = "Arrays.deepEquals(new Object[] {a}, new Object[] {b})"
    if declared.startswith("Deque"):
        same = "new ArrayList<>((Deque) a).equals(new ArrayList<>((Deque) b))"
    tests = f"""class Main {{ public static void main(String[] args) {{
        Object a = Solution.same({returned}), b = ({declared}) {returned};
        if (!({same})) throw new AssertionError(a + " " + b);
    }} }}"""
    found = bricks.judge_problem(problem(preamble, tests), {"it": f"{preamble}return value;{END}"})["it"]
    assert (found.verdict, found.strength, found.detail) == ("passed", "apart", "")


def test_exceptions_that_tests_expect_come_back(bricks: Any) -> None:
    preamble = f"{HEAD}class Solution {{\n    public static int half(int n) {{\n"
    tests = """class Main { public static void main(String[] args) {
        try { Solution.half(3); throw new AssertionError("no exception"); }
        catch (IllegalArgumentException e) { if (!"odd".equals(e.getMessage())) throw e; }
    } }"""
    sources = {
        "right": 'if (n % 2 == 1) throw new IllegalArgumentException("odd"); return n / 2;',
        "silent": "return n / 2;",
        "other": "throw new IllegalStateException();",
    }
    found = bricks.judge_problem(problem(preamble, tests), {k: f"{preamble}{v}{END}" for k, v in sources.items()})
    assert {name: verdict.verdict for name, verdict in found.items()} == {
        "right": "passed",
        "silent": "wrong_answer",
        "other": "exception",
    }


def test_tests_that_close_the_function_follow_on_as_in_multipl_e(bricks: Any) -> None:
    preamble = (
        "import java.util.*;\nimport org.javatuples.*;\n"
        "class Problem {\n    public static Pair<Long, String> f(long n) {\n"
    )
    tests = (
        "    }\n    public static void main(String[] args) {\n"
        '    assert(f((5l)).equals((Pair.with(6l, "b"))));\n    }\n\n}\n'
    )
    sources = {"right": 'return Pair.with(n + 1, "b");', "wrong": 'return Pair.with(n, "b");'}
    found = bricks.judge_problem(problem(preamble, tests), {name: preamble + body for name, body in sources.items()})
    assert [(v.verdict, v.strength) for v in found.values()] == [("passed", "apart"), ("wrong_answer", "apart")]
