"""From what a model writes to a file that a compiler takes, without moving a line."""

import pytest

from evaluators.languages.braced.wrapping import Wrapping, wrap
from evaluators.languages.csharp.stubs import STUBS as CSHARP
from evaluators.languages.java.stubs import STUBS as JAVA


@pytest.mark.parametrize(
    ("rules", "source"),
    [
        (JAVA.wrapping, "static int f() { return 1; }"),
        (JAVA.wrapping, "static int[] table = {1, 2};\nstatic int f() { return table[0]; }"),
        (JAVA.wrapping, "// class A { }\nstatic int f() { return '}'; }"),
        (JAVA.wrapping, 'static String f() { return "} class A {"; }'),
        (JAVA.wrapping, "class A { }\nstatic int f() { return 1; }"),
        (JAVA.wrapping, "static <T> Class<?> f() { return null; }"),
        (CSHARP.wrapping, "static int f() => 1;"),
        (CSHARP.wrapping, 'static string f() { return @"c:\\" + "}"; }'),
        (CSHARP.wrapping, "static T f<T>(T x) where T : class { return x; }"),
        (CSHARP.wrapping, ""),
    ],
)
def test_bare_methods_get_a_class(rules: Wrapping, source: str) -> None:
    assert "public class Candidate {" in wrap(source, rules=rules)


@pytest.mark.parametrize(
    ("rules", "source"),
    [
        (JAVA.wrapping, "public class A { static int f() { return 1; } }"),
        (JAVA.wrapping, "import java.util.*;\n/** a method() { */\nfinal class A { }\ninterface B { }\nenum C { X }"),
        (JAVA.wrapping, "record P(int x) { }\nclass A { }"),
        (CSHARP.wrapping, "namespace N { class A { } }"),
        (CSHARP.wrapping, "namespace N;\nstruct A { }"),
        (CSHARP.wrapping, "[Serializable]\npublic static class A { static int f() => 1; }"),
    ],
)
def test_whole_classes_stay_as_they_are(rules: Wrapping, source: str) -> None:
    assert "Candidate" not in wrap(source, rules=rules)


def test_lines_keep_their_numbers() -> None:
    source = "package a.b;\nimport java.util.List;\n\nstatic int f() {\n    return 1;\n}"
    lines = wrap(source, rules=JAVA.wrapping).split("\n")
    assert lines[3].strip() == "static int f() {"
    assert lines[4] == "    return 1;"


def test_imports_are_hoisted_once_and_package_is_dropped() -> None:
    source = (
        "package a;\nimport java.util.*;\nimport  java.util.List;\nimport java.util.List;\nstatic int f() { return 1; }"
    )
    head = wrap(source, rules=JAVA.wrapping).partition("public class")[0]
    assert head.count("import java.util.*;") == 1
    assert head.count("import java.util.List;") == 1
    assert "package" not in head


def test_using_statements_in_methods_stay_where_they_are() -> None:
    source = "using System;\nusing X = System.Text;\nstatic int f() { using (var r = new R()) { return 1; } }"
    head, _, body = wrap(source, rules=CSHARP.wrapping).partition("public class")
    assert head.count("using System;") == 1
    assert "using X = System.Text;" in head
    assert "using (var r" in body


def test_classes_beside_methods_become_static_in_java() -> None:
    source = "final class A { }\nstatic class B { }\ninterface I { }\nstatic int f() { return 1; }"
    wrapped = wrap(source, rules=JAVA.wrapping)
    assert "static final class A" in wrapped
    assert "static static" not in wrapped
