"""A cell of tests, as people write it, to tests that can be judged.

One decision: what is JSON is calls and what is not is code, and both are checked as they are read: tests
that cannot run would fail every answer without a word.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from tasks.readers.files import validation_said
from tasks.readers.humaneval import check_tests
from tasks.records import CallTests, CodeTests, Language, Tests, ValueType

_ADAPTER: TypeAdapter[CallTests | CodeTests] = TypeAdapter(Tests)
_ARGUMENTS = ("arguments", "args", "inputs", "input")
_EXPECTED = ("expected", "output", "result", "returns")
_TYPE_NAMES = {bool: "bool", int: "int", float: "float", str: "str"}
_CLASS = re.compile(r"\b(?:class|static\s+void\s+[Mm]ain)\b")
_JAVA_MAIN = """\
class Main {
    public static void main(String[] args) throws Exception {
%s
    }
}
"""
# The library's own `Debug.Assert` does nothing in a program that is not compiled for debugging.
_CSHARP_MAIN = """\
class Program {
    static class Debug {
        public static void Assert(bool holds, string said = "an assertion does not hold") {
            if (!holds) throw new System.Exception(said);
        }
    }
    public static void Main(string[] args) {
%s
    }
}
"""


# What statements of a compiled language stand in; a test in Python needs no program around it.
_MAINS = {Language.JAVA: _JAVA_MAIN, Language.CSHARP: _CSHARP_MAIN}


def tests_of(cell: Any, *, entry_point: str | None, setup: str, language: Language) -> CallTests | CodeTests:
    """The tests that a cell holds.

    Args:
        cell: a list of calls (`{"arguments": [2], "expected": 4}`), tests in Polytune's own form, code, or a
            list of lines of code; any of them may be written as JSON or as Python writes it.
        entry_point: the function that is called.
        setup: code that comes before tests that are code.
        language: what the answers, and tests that are code, are in.

    Raises:
        ValueError: saying what is wrong with it.
    """
    value = _decoded(cell)
    if isinstance(value, Mapping):
        return _of_object(value, entry_point=entry_point)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(item, str) for item in value):
            return _code("\n".join(item.strip("\n") for item in value), entry_point, setup, language)
        return _calls(value, entry_point=entry_point)
    if isinstance(value, str):
        return _code(value, entry_point, setup, language)
    raise ValueError(f"tests are of type {type(value).__name__}; write code, or a list of calls")


def _decoded(cell: Any) -> Any:
    """What a text stands for, if it is data: JSON, or a list or mapping as Python prints it."""
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell


def _of_object(value: Mapping[str, Any], *, entry_point: str | None) -> CallTests | CodeTests:
    if "kind" in value:
        try:
            # Through JSON, so that a list is taken for a tuple as in a file of one's own.
            return _ADAPTER.validate_json(json.dumps(value))
        except ValidationError as error:
            raise ValueError(f"tests: {validation_said(error)}") from None
    if "cases" in value:
        return _calls(value["cases"], entry_point=value.get("entry_point", entry_point))
    if set(value) & set(_ARGUMENTS):
        return _calls([value], entry_point=entry_point)
    raise ValueError('tests: an object needs "kind", "cases", or "arguments" and "expected"')


def _calls(cases: Any, *, entry_point: str | None) -> CallTests:
    if not entry_point:
        raise ValueError("tests are calls and no column names the function; add a column entry_point")
    if not isinstance(cases, list | tuple) or not cases:
        raise ValueError("tests: no call in the list")
    calls = [_call(case, number) for number, case in enumerate(cases, start=1)]
    if len({len(arguments) for arguments, _ in calls}) > 1:
        raise ValueError("tests: the calls have different numbers of arguments; write them as code")
    columns = list(zip(*(arguments for arguments, _ in calls), strict=True))
    parameters = [
        {"name": f"a{number}", "type": _type_of(values, f"argument {number}")}
        for number, values in enumerate(columns, start=1)
    ]
    made = {
        "kind": "calls",
        "entry_point": entry_point,
        "parameters": parameters,
        "returns": _type_of([expected for _, expected in calls], "what is expected"),
        "cases": [{"arguments": arguments, "expected": expected} for arguments, expected in calls],
    }
    try:
        return CallTests.model_validate_json(json.dumps(made))
    except (ValidationError, TypeError, ValueError) as error:
        said = validation_said(error) if isinstance(error, ValidationError) else str(error)
        raise ValueError(f"tests: {said}") from None


def _call(case: Any, number: int) -> tuple[list[Any], Any]:
    if not isinstance(case, Mapping):
        raise ValueError(f'tests: call {number} is no object with "arguments" and "expected"')
    arguments = next((case[name] for name in _ARGUMENTS if name in case), None)
    expected = [case[name] for name in _EXPECTED if name in case]
    if not isinstance(arguments, list | tuple) or not expected:
        raise ValueError(f'tests: call {number} needs "arguments", a list, and "expected"')
    return list(arguments), expected[0]


def _type_of(values: Sequence[Any], what: str) -> ValueType:
    """The one type that all values of a place have."""
    lists = [isinstance(value, list | tuple) for value in values]
    inner = [item for value in values for item in value] if all(lists) else list(values)
    kinds = {_TYPE_NAMES.get(type(item), type(item).__name__) for item in inner} or {"int"}
    kind = "float" if kinds == {"int", "float"} else kinds.pop() if len(kinds) == 1 else ""
    name = f"list[{kind}]" if all(lists) else kind
    known = get_args(ValueType)
    if name not in known:
        raise ValueError(f"tests: {what} is none of {', '.join(known)} in every call; write the tests as code")
    return name  # type: ignore[return-value]


def _code(text: str, entry_point: str | None, setup: str, language: Language) -> CodeTests:
    if not text.strip():
        raise ValueError("tests are empty")
    if language not in _MAINS:
        return _python(text, entry_point, setup)
    if not _CLASS.search(text):
        # Statements alone stand in a program of their own.
        text = _MAINS[language] % text.rstrip()
    return CodeTests(entry_point=entry_point, setup=setup, code=text)


def _python(text: str, entry_point: str | None, setup: str) -> CodeTests:
    try:
        tree = ast.parse(text)
        ast.parse(setup)
    except (SyntaxError, ValueError, RecursionError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"tests are neither calls in JSON nor Python: {said}{where}") from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body):
        # Asserts name the function themselves; a named entry point would have `check` called.
        return CodeTests(setup=setup, code=f"{text.strip()}\n")
    if not entry_point:
        raise ValueError("tests define check(candidate) and no column names the function; add a column entry_point")
    return check_tests(text, entry_point=entry_point).model_copy(update={"setup": setup})


__all__ = ["tests_of"]
