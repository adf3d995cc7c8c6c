"""Where descriptions end and examples begin, and how documentation leaves code."""

import ast

import pytest

from tasks.readers.docstrings import prose, signature, summary, without_docstring
from tasks.records import Language


@pytest.mark.parametrize(
    ("docstring", "kept"),
    [
        ("Return the\nlargest.\n>>> top([1])\n1", "Return the largest."),
        ("Return it.\nFor example:\ntop([1]) => 1\nNote: lost.", "Return it."),
        ("Return it.\n\nExample 1:\nInput: 3", "Return it."),
        ("Return it.\ntop([1]) == 1\ntop([]) == 0", "Return it."),
        ("top returns it.\n  Nothing else.", "top returns it. Nothing else."),
        ("Sort.\nIt must work like this:\n>>> top([1])", "Sort."),
        ("Defined as follows:\ntop(0) == 1\nSo be it.\n>>> top(1)", "Defined as follows: top(0) == 1 So be it."),
        ("Task\nReturn it.\n<p>\nExamples\ntop(1)", "Return it."),
        ("Balanced. For example: '()' is. Return it.", "Balanced. For example: '()' is. Return it."),
    ],
)
def test_prose_is_what_comes_before_the_first_example(docstring: str, kept: str) -> None:
    assert prose(docstring, entry_point="top") == kept


@pytest.mark.parametrize(
    ("docstring", "kept"),
    [
        ("Adds two\n  numbers.\n\nSlowly.", "Adds two numbers."),
        ("Adds two. @param a one", "Adds two."),
        ("@return the sum", "@return the sum"),
    ],
)
def test_a_summary_is_the_first_paragraph(docstring: str, kept: str) -> None:
    assert summary(docstring) == kept


def test_a_docstring_leaves_and_the_code_stays() -> None:
    head, body = 'def f(a: dict[str, int] = {"x": 1}) -> int:\n', '    b = """kept"""\n    return 1\n'
    bare = without_docstring(f'{head}    """Say.\n\n    More.\n    """\n{body}')
    assert bare == head + body
    function = ast.parse(bare).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function) is None


def test_python_2_loses_its_docstring_too() -> None:
    code = "def f(x):\n    '''Say.'''\n    print x\n    raise E, 'no'\n"
    assert without_docstring(code) == "def f(x):\n    print x\n    raise E, 'no'\n"


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    return 1\n",
        "def f():\n    'a'.join(x)\n",
        "x = 1",
        "def f(:\n  (",
        "def f():\n    # why\n    return 2\n",
    ],
)
def test_code_without_a_docstring_is_unchanged(code: str) -> None:
    assert without_docstring(code) == code


def test_a_head_ends_where_the_body_begins() -> None:
    python = "@cache\ndef f(a={'k': 1},\n      b=lambda: 2) -> int:\n    return 1"
    java = '@SuppressWarnings({"a"})\npublic static <T> int f(T t) throws E {\n    return 1;\n}'
    assert signature(python, language=Language.PYTHON) == "@cache\ndef f(a={'k': 1},\n      b=lambda: 2) -> int:"
    assert signature(java, language=Language.JAVA).endswith("int f(T t) throws E")
    assert signature("x = 1", language=Language.PYTHON) == ""
