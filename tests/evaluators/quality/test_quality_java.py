"""PMD: rules and metrics of whole files and of bare methods, one virtual machine for all."""

import random

import pytest

from evaluators.quality import FileQuality, analyze
from evaluators.quality.pmd import CATEGORIES
from tasks.records import Language

METHOD = "public static int sum(int left, int right) {\n    int extra = 3;\n    return left + right;\n}\n"
WHOLE = "package a;\n\n/** Adds. */\npublic final class Solution {\n    private Solution() { }\n}\n"
NESTED = f"int f() {{ return {'(' * 3000}1{')' * 3000}; }}"

pytestmark = [pytest.mark.usefixtures("needs_pmd"), pytest.mark.slow]


def measure(*sources: str) -> tuple[FileQuality, ...]:
    return analyze(sources, language=Language.JAVA).files


def rules(file: FileQuality) -> list[tuple[str, int]]:
    return [(message.rule, message.line) for message in file.messages]


def test_rules_are_counted_by_category() -> None:
    (file,) = measure(METHOD)
    assert ("UnusedLocalVariable", 2) in rules(file)
    assert file.rules["pmd.UnusedLocalVariable"] == 1
    for category in CATEGORIES:
        said = [message for message in file.messages if message.category == category]
        assert file.counts[f"pmd.{category}"] == len(said)
    assert file.counts["pmd.bestpractices"] == 1


def test_wrapping_a_bare_method_adds_no_message_and_moves_no_line() -> None:
    member = "    @Override\n    public String toString() { int extra = 3; return null; }\n"
    inside, bare, imported = measure(
        f"package a;\npublic class B {{\n{member}\n}}\n", member, f"import java.util.List;\n\n{member}"
    )
    in_member = [(rule, line - 2) for rule, line in rules(inside) if line in (3, 4)]
    assert rules(bare) == in_member == [("UnusedLocalVariable", 2)]
    assert [(rule, line - 2) for rule, line in rules(imported) if line > 2] == in_member


def test_what_only_the_rest_of_a_class_could_tell_is_not_held_against_a_method() -> None:
    private, equals = measure(
        "private int one() { return 1; }", "@Override public boolean equals(Object o) { return true; }"
    )
    assert "pmd.UnusedPrivateMethod" not in private.rules
    assert "pmd.OverrideBothEqualsAndHashcode" not in equals.rules


def test_complexity_is_summed_over_the_methods_and_given_of_the_worst() -> None:
    (file,) = measure(
        "int f(int x) { for (int i = 0; i < x; i++) { if (i > 2) { return i; } } return 0; } int g() { return 1; }"
    )
    # f: one path, the loop and the condition; the condition is nested, so it weighs twice as cognition goes.
    assert (file.counts["pmd.cyclomatic"], file.counts["pmd.cyclomatic_max"]) == (4, 3)
    assert (file.counts["pmd.cognitive"], file.counts["pmd.cognitive_max"]) == (3, 3)


def test_code_cannot_ask_pmd_to_look_away() -> None:
    plain, marked, annotated = measure(
        "int f() {\n    int extra = 3;\n    return 1;\n}",
        "int f() {\n    int extra = 3; // NOPMD\n    return 1;\n}",
        '@SuppressWarnings("PMD") int f() {\n    int extra = 3;\n    return 1;\n}',
    )
    assert plain.rules["pmd.UnusedLocalVariable"] == 1
    assert marked.rules["pmd.UnusedLocalVariable"] == annotated.rules["pmd.UnusedLocalVariable"] == 1


def test_messages_depend_neither_on_order_nor_on_company() -> None:
    sources = [METHOD, WHOLE, NESTED, "int g() { return 0; }", "class A { int x; void f() { x = x; } }"]
    together = measure(*sources)
    order = random.Random(3).sample(range(len(sources)), len(sources))
    shuffled = measure(*(sources[index] for index in order))
    assert [shuffled[order.index(index)] for index in range(len(sources))] == list(together)
    assert measure(sources[4]) == together[4:]


def test_deep_nesting_and_broken_code_end_no_batch() -> None:
    nested, broken, method = measure(NESTED, "int f( {", METHOD)
    assert nested.parses and ("pmd.design" in nested.counts or "pmd" in nested.failed)
    assert not broken.parses and not broken.counts
    assert method.counts["pmd.bestpractices"] == 1
