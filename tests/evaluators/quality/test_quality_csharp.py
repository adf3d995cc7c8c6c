"""mono's diagnostics: syntax errors, other errors and warnings kept apart."""

import pytest

from evaluators.quality import FileQuality, analyze
from tasks.records import Language

pytestmark = [pytest.mark.usefixtures("needs_mcs"), pytest.mark.slow]


def measure(*sources: str) -> tuple[FileQuality, ...]:
    return analyze(sources, language=Language.CSHARP).files


def test_warnings_of_code_that_compiles_have_their_lines() -> None:
    (file,) = measure("public int F(int x) {\n    int unused;\n    return x;\n}\n")
    assert file.counts["mcs.compiles"] == 1
    assert file.counts["mcs.warning"] == 1
    assert [(message.rule, message.line) for message in file.messages] == [("CS0168", 2)]


def test_code_that_does_not_compile_has_no_warnings_rather_than_none() -> None:
    unresolved, wrong = measure("int F(Foo x) {\n    int unused;\n    return x.y;\n}", 'int F() {\n    return "a";\n}')
    assert (unresolved.counts["mcs.unresolved"], unresolved.counts["mcs.error"]) == (1, 0)
    assert (wrong.counts["mcs.unresolved"], wrong.counts["mcs.error"]) == (0, 1)
    for file in (unresolved, wrong):
        assert file.counts["mcs.compiles"] == 0
        assert "mcs.warning" not in file.counts


def test_what_the_compiler_is_too_old_for_is_no_error_of_the_file() -> None:
    (file,) = measure('class A { string G(object o) => o switch { null => "a", _ => "b" }; }')
    assert not [name for name in file.counts if name.startswith("mcs.")]


def test_syntax_errors_are_a_count_of_their_own() -> None:
    (file,) = measure("class A { int G() { var f = (int y = 1) => y; return f(); } }")
    assert file.counts["mcs.syntax_error"] > 0
    assert (file.counts["mcs.error"], file.counts["mcs.compiles"]) == (0, 0)


def test_bare_constructor_and_usings_are_wrapped_as_they_need() -> None:
    constructor, using = measure(
        "public Foo(int x) { }",
        "using System.IO;\npublic string F(List<int> a) { return Path.PathSeparator + a.ToString(); }",
    )
    assert constructor.counts["mcs.compiles"] == 1
    assert using.counts["mcs.compiles"] == 1


def test_deep_nesting_ends_no_batch() -> None:
    nested, plain = measure(f"int F() {{ return {'(' * 3000}1{')' * 3000}; }}", "int F() { return 1; }")
    assert "mcs.compiles" in nested.counts or "mcs" in nested.failed
    assert plain.counts["mcs.compiles"] == 1
