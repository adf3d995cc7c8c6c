"""Reading code: what parses, what shapes it has, and which values flow."""

import warnings
from collections import Counter

import pytest

from evaluators.similarity.dataflow import extract_flows
from evaluators.similarity.syntax import parse, parses, read_tree
from tasks.records import Language


@pytest.mark.parametrize(
    ("language", "code"),
    [
        (Language.PYTHON, "def f(x):\n    return x\n"),
        (Language.JAVA, "public static int f(int x) { return x; }"),
        (Language.JAVA, "import java.util.*;\nclass A { A() { super(); } }"),
        (Language.JAVA, "public A(int x) { this(x, true); }"),
        (Language.CSHARP, "public override void F(int x) { x++; }"),
        (Language.CSHARP, "using System;\nnamespace N { class A { int P { get; set; } } }"),
        (Language.CSHARP, "public A(int x): base(x) { }"),
    ],
)
def test_programs_and_bare_members_parse(language: Language, code: str) -> None:
    assert parses(code, language=language)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        (Language.PYTHON, "ef f(x):\n    return x\n"),
        (Language.PYTHON, "x = \0"),
        (Language.PYTHON, "(" * 3000 + ")" * 3000),
        (Language.PYTHON, "-" * 100_000 + "1"),
        (Language.JAVA, "ublic static int f(int x) { return x; }"),
        (Language.JAVA, "public static int f(int x) { return x;"),
        (Language.JAVA, "int f() { return 1; } } class Other {"),
        (Language.CSHARP, "public void close() throws IOException { }"),
        (Language.CSHARP, "Here is the method you asked for."),
    ],
)
def test_broken_code_does_not_parse(language: Language, code: str) -> None:
    assert not parses(code, language=language)


@pytest.mark.parametrize("language", list(Language))
def test_output_without_code_is_no_program(language: Language) -> None:
    comment = "# later\n" if language is Language.PYTHON else "// later\n"
    assert not any(parses(code, language=language) for code in ("", " \n", comment))


def test_code_that_python_warns_of_parses_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parses('x = "\\d"\nassert (x, "always true")\n', language=Language.PYTHON)


def test_comments_and_docstrings_are_not_of_the_tree_and_literals_are_whole() -> None:
    bare = read_tree('def f(a):\n    return "x y" + a\n', language=Language.PYTHON)
    tree = read_tree('def f(a):\n    """Doc."""\n    # note\n    return "x y" + a\n', language=Language.PYTHON)
    assert tree.shapes == bare.shapes
    assert {"f", "a", '"x y"'} < set(tree.names)


def test_children_are_found_by_their_fields() -> None:
    tree = read_tree("int f(int x) { y = x; }", language=Language.JAVA)
    assignment = tree.kinds.index("assignment_expression")
    left, right = tree.child(assignment, "left"), tree.child(assignment, "right")
    assert left is not None and right is not None
    assert (tree.names[left], tree.names[right]) == ("y", "x")
    assert tree.child(assignment, "body") is None


@pytest.mark.parametrize("language", list(Language))
def test_shapes_are_those_that_tree_sitter_prints(language: Language) -> None:
    code = "public int f(int x, int ) { x = x + + 1; this.y = x; return g(x; }"
    waiting, printed = [parse(code.encode(), language=language)], []
    while waiting:
        node = waiting.pop()
        printed.append(str(node))
        waiting += [child for child in node.children if child.children]
    shapes = read_tree(code, language=language).shapes
    assert sorted(shapes.values()) == sorted(Counter(printed).values())


def test_subtrees_differ_by_shape_and_not_by_name_or_operator() -> None:
    shapes = [read_tree(code, language=Language.PYTHON).shapes for code in ("a + b", "c - d", "a + f(b)")]
    assert shapes[0] == shapes[1]
    assert shapes[0] != shapes[2]


def flows(code: str, language: Language = Language.PYTHON) -> list[tuple[int, str, tuple[int, ...]]]:
    return sorted(extract_flows(read_tree(code, language=language), language=language).elements())


def test_value_flows_from_assignment_to_use() -> None:
    # y (0) is the source of x (1), which is read once.
    assert flows("x = y\nz(x)\n") == [(0, "comesFrom", ()), (1, "comesFrom", (1,)), (1, "computedFrom", (0,))]


@pytest.mark.parametrize("code", ["pass", "def f(): pass", "a\nb\nc\n", ""])
def test_code_in_which_nothing_flows_has_no_dataflow(code: str) -> None:
    assert flows(code) == []


def test_loop_hands_its_last_value_to_its_next_round() -> None:
    # The first read of `a` can only be reached by the assignment after it, in the round before.
    inside = flows("while (t) { f(a); a = b; }", Language.JAVA)
    outside = flows("{ f(a); a = b; }", Language.JAVA)
    assert any(relation == "comesFrom" and origins for _, relation, origins in inside)
    assert not any(relation == "comesFrom" and origins for _, relation, origins in outside)


def test_both_branches_reach_the_code_after_them() -> None:
    # The values of both assignments are read after the branch, so both literals flow on.
    found = flows("if (c) { x = 1; } else { x = 2; } f(x);", Language.JAVA)
    assert sum(relation == "computedFrom" for _, relation, _ in found) == 2
    assert sum(relation == "comesFrom" and bool(origins) for _, relation, origins in found) == 1


def test_csharp_declaration_flows_though_its_grammar_names_no_value() -> None:
    found = flows("int f(int a) { int b = a; return b; }", Language.CSHARP)
    assert any(relation == "comesFrom" and origins not in {(), (target,)} for target, relation, origins in found)
