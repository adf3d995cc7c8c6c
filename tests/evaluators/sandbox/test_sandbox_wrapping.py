"""From what a model writes to a file that a compiler takes, without moving a line."""

import pytest

from evaluators.sandbox.languages.wrapping import wrap
from tasks.records import Language


@pytest.mark.parametrize(
    ("language", "source"),
    [
        (Language.JAVA, "static int f() { return 1; }"),
        (Language.JAVA, "static int[] table = {1, 2};\nstatic int f() { return table[0]; }"),
        (Language.JAVA, "// class A { }\nstatic int f() { return '}'; }"),
        (Language.JAVA, 'static String f() { return "} class A {"; }'),
        (Language.JAVA, "class A { }\nstatic int f() { return 1; }"),
        (Language.JAVA, "static <T> Class<?> f() { return null; }"),
        (Language.CSHARP, "static int f() => 1;"),
        (Language.CSHARP, 'static string f() { return @"c:\\" + "}"; }'),
        (Language.CSHARP, "static T f<T>(T x) where T : class { return x; }"),
        (Language.CSHARP, ""),
    ],
)
def test_bare_methods_get_a_class(language: Language, source: str) -> None:
    assert "public class Candidate {" in wrap(source, language=language)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        (Language.JAVA, "public class A { static int f() { return 1; } }"),
        (Language.JAVA, "import java.util.*;\n/** a method() { */\nfinal class A { }\ninterface B { }\nenum C { X }"),
        (Language.JAVA, "record P(int x) { }\nclass A { }"),
        (Language.CSHARP, "namespace N { class A { } }"),
        (Language.CSHARP, "namespace N;\nstruct A { }"),
        (Language.CSHARP, "[Serializable]\npublic static class A { static int f() => 1; }"),
    ],
)
def test_whole_classes_stay_as_they_are(language: Language, source: str) -> None:
    assert "Candidate" not in wrap(source, language=language)


def test_lines_keep_their_numbers() -> None:
    source = "package a.b;\nimport java.util.List;\n\nstatic int f() {\n    return 1;\n}"
    lines = wrap(source, language=Language.JAVA).split("\n")
    assert lines[3].strip() == "static int f() {"
    assert lines[4] == "    return 1;"


def test_imports_are_hoisted_once_and_package_is_dropped() -> None:
    source = (
        "package a;\nimport java.util.*;\nimport  java.util.List;\nimport java.util.List;\nstatic int f() { return 1; }"
    )
    head = wrap(source, language=Language.JAVA).partition("public class")[0]
    assert head.count("import java.util.*;") == 1
    assert head.count("import java.util.List;") == 1
    assert "package" not in head


def test_using_statements_in_methods_stay_where_they_are() -> None:
    source = "using System;\nusing X = System.Text;\nstatic int f() { using (var r = new R()) { return 1; } }"
    head, _, body = wrap(source, language=Language.CSHARP).partition("public class")
    assert head.count("using System;") == 1
    assert "using X = System.Text;" in head
    assert "using (var r" in body


def test_classes_beside_methods_become_static_in_java() -> None:
    source = "final class A { }\nstatic class B { }\ninterface I { }\nstatic int f() { return 1; }"
    wrapped = wrap(source, language=Language.JAVA)
    assert "static final class A" in wrapped
    assert "static static" not in wrapped
