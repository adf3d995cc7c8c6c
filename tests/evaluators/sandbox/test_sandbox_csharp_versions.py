"""C# as it is written today: directives first, and what mono's compiler is too old for."""

from typing import Any

import pytest

from evaluators.languages.csharp.newer import GRAMMAR, is_newer
from evaluators.sandbox import Limits, Program, execute
from tasks.records import CallTests, Case, Language, Parameter, Problem, UnjudgedReason

pytestmark = pytest.mark.slow

TESTS = CallTests(
    entry_point="AddOne",
    parameters=(Parameter(name="x", type="int"),),
    returns="int",
    cases=(Case(arguments=(1,), expected=2),),
)
METHOD = "public static int AddOne(int x)\n{\n    return x + 1;\n}\n"
CLASS = f"public class Solution\n{{\n{METHOD}}}\n"
DIRECTED = {
    "a region": f"#region A\n{CLASS}#endregion\n",
    "a warning": f"#pragma warning disable CS0168\n{CLASS}",
    "a definition": "#define FAST\n" + CLASS.replace("return x + 1;", "\n#if FAST\nreturn x + 1;\n#endif\n"),
    "a nullable context": f"#nullable enable\n{CLASS}",
    "a region around bare methods": f"#region A {{\n{METHOD}#endregion\n",
    "a byte order mark": f"\ufeff{CLASS}",
    "imports after a directive": f"#nullable disable\nusing System.IO;\n{CLASS}",
    "a namespace for the file": f"#region A\nnamespace My.Own;\n#endregion\nusing System;\n{CLASS}",
    "a global import": f"global using System.IO;\nglobal using static System.Math;\n{CLASS}",
    "a comment before it": f"// first\n#region it's\n{CLASS}#endregion",
    "an indented one": f"  #  region A\n{CLASS}  #  endregion\n",
    "a line that is none": CLASS.replace("return x", 'var s = @"\n#define A\n"; return s.Length > 0 ? 2 : x'),
}
NEWER = {
    "switch": "x switch { 1 => 2, _ => x + 1 }",
    "local function": "{ int F(int y) => y + 1; return F(x); }",
    "target-typed new": "{ List<int> l = new() { x }; return l[0] + 1; }",
    "index from the end": "{ var l = new int[] { x }; return l[^1] + 1; }",
    "range": "{ var l = new int[] { 0, x }; return l[1..][0] + 1; }",
    "collection expression": "{ int[] l = [x]; return l[0] + 1; }",
    "relational pattern": "x is > 0 and < 9 ? x + 1 : 0",
    "null-coalescing assignment": '{ string s = null; s ??= "a"; return x + s.Length; }',
    "nullable reference": '{ string? s = "a"; return x + s.Length; }',
    "null-forgiving": '{ string s = "a"; return x + s!.Length; }',
    "using declaration": "{ using var s = new System.IO.MemoryStream(); return x + 1; }",
    "raw string": '{ var s = """a"""; return x + s.Length; }',
    "a method since": "new[] { x }.Chunk(1).First()[0] + 1",
    "a type since": "{ PriorityQueue<int, int> q = null; return q == null ? x + 1 : 0; }",
}
WRONG = {
    "an unknown name": CLASS.replace("x + 1", "y + 1"),
    "no end": CLASS.replace("}\n}", ""),
    "a body alone": "return x + 1;",
    "prose": "Sure! Here is the method.",
    "an old pattern": CLASS.replace("return x + 1", "switch (x) { case 1: return y; default: return 0; }"),
    "a nullable value": CLASS.replace("return x + 1", "int? z = x; return z"),
    "new syntax that is broken": CLASS.replace("return x + 1", "return x switch { 1 => 2, _ => }"),
}


def problem() -> Problem:
    return Problem(id="p", track="generation/csharp", dataset="d", input="", reference=CLASS, tests=TESTS)


def judge(bricks: Any, sources: dict[str, str]) -> dict[str, Any]:
    bricks.require_toolchain(Language.CSHARP)
    programs = [Program(problem_id="p", source=source) for source in sources.values()]
    return dict(zip(sources, execute([problem()], programs, limits=Limits()), strict=True))


def test_a_program_may_open_with_directives(bricks: Any) -> None:
    found = judge(bricks, DIRECTED)
    assert {name: (v.verdict, v.detail) for name, v in found.items() if v.verdict != "passed"} == {}


def test_directives_leave_the_lines_as_they_are(bricks: Any) -> None:
    source = f"#define A\n#region B\n{CLASS.replace('x + 1', 'y + 1')}"
    assert judge(bricks, {"it": source})["it"].detail.startswith("line 7: CS0103")


def test_what_the_compiler_is_too_old_for_is_not_judged(bricks: Any) -> None:
    whole = "public class Solution {{ public static int AddOne(int x) {} }}"
    sources = {name: whole.format(f"=> {text};" if text[0] != "{" else text) for name, text in NEWER.items()}
    sources["a record"] = (
        "public record P(int X);\npublic class S { public static int AddOne(int x) => new P(x).X + 1; }"
    )
    sources["bare methods"] = "static int AddOne(int x) { static int F(int y) => y + 1; return F(x); }"
    found = judge(bricks, sources)
    unjudged = {name for name, v in found.items() if v.reason is UnjudgedReason.TOOLCHAIN_TOO_OLD}
    assert {name: v.detail for name, v in found.items() if name not in unjudged} == {}


def test_what_no_compiler_takes_is_a_compile_error(bricks: Any) -> None:
    assert {name: v.verdict for name, v in judge(bricks, WRONG).items() if v.verdict != "compile_error"} == {}


@pytest.mark.parametrize("source", ["class S { int F() => [1]", "x switch { 1 => 2 }"])
def test_what_the_grammar_refuses_is_not_newer(source: str) -> None:
    assert not is_newer(source, "line 1: CS1644: Feature `x' cannot be used", grammar=GRAMMAR)


def test_java_that_its_compiler_knows_from_later_versions_is_not_judged(bricks: Any) -> None:
    bricks.require_toolchain(Language.JAVA)
    source = "static int addOne(Object x) { return switch (x) { case Integer i when i > 0 -> i + 1; default -> 0; }; }"
    tests = TESTS.model_copy(update={"entry_point": "addOne"})
    found = bricks.judge(source, tests=tests, track="generation/java")
    said = (found.verdict, found.reason)
    assert said in (("passed", None), ("unjudged", UnjudgedReason.TOOLCHAIN_TOO_OLD)), found
