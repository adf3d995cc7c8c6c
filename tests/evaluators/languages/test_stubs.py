"""Stubs written from a problem's own signature, and what cannot be said in one."""

import pytest

from evaluators.languages.braced.stubs import StubRules, closing_braces, stub_source
from evaluators.languages.csharp.stubs import STUBS as IN_CSHARP
from evaluators.languages.java.stubs import STUBS as IN_JAVA
from evaluators.languages.runtimes import Rejected

JAVA = "import java.util.*;\nclass Solution {\n    public %s {\n"
CSHARP = "namespace N\n{\n    public class P\n    {\n        public static %s\n        {\n"


def test_a_java_stub_closes_what_the_tests_leave_open() -> None:
    found = stub_source(JAVA % "int f(List<Integer> a, int[] b)", "class Main { }", rules=IN_JAVA)
    assert isinstance(found, str)
    assert 'call("Solution", "f", new String[] {"List", "int[]"}, new Object[] {a, b})' in found
    assert "return (Integer)" in found
    assert found.count("{") == found.count("}")


def test_a_csharp_stub_leaves_to_the_tests_what_they_close() -> None:
    tests = "public static void Main() { }\n    }\n}\n"
    found = stub_source(CSHARP % "Dictionary<string, int> F (int n = 1)", tests, rules=IN_CSHARP)
    assert isinstance(found, str)
    assert 'return PolytuneBridge.Call<Dictionary<string, int>>("P", "F"' in found
    assert found.count("{") == found.count("}")


def test_braces_in_text_and_comments_of_tests_do_not_count() -> None:
    assert closing_braces("String s = \"}}\"; // }\n /* } */ char c = '}'; }", rules=IN_JAVA.wrapping) == 1


@pytest.mark.parametrize(
    ("preamble", "rules", "said"),
    [
        (JAVA % "Box f(int a)", IN_JAVA, "values of type Box cannot cross"),
        (JAVA % "<T> T f(T a)", IN_JAVA, "cannot cross"),
        (JAVA % "int f(Function<Integer, Integer> a)", IN_JAVA, "Function<Integer, Integer> cannot cross"),
        (CSHARP % "int F (ref int a)", IN_CSHARP, "values of type ref int cannot cross"),
        ("class Solution {\n", IN_JAVA, "does not end in a method"),
        ("", IN_JAVA, "does not end in a method"),
    ],
)
def test_what_cannot_cross_is_told_from_the_problem_alone(preamble: str, rules: StubRules, said: str) -> None:
    found = stub_source(preamble, "class Main { }", rules=rules)
    assert isinstance(found, Rejected)
    assert said in found.message
