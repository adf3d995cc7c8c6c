"""Arguments of tests that are data, checked against the types that the tests declare.

One decision: a declaration is a promise to languages with types of their own, so a value that breaks
it is a fault of the problem, named as such, and never the program's.
"""

from pydantic import JsonValue

from evaluators.isolation.values import UnsayableError
from evaluators.languages import LANGUAGES
from tasks.records import CallTests, Language

_KINDS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}


def typed_arguments(tests: CallTests, *, language: Language) -> list[list[JsonValue]]:
    """Each case's arguments as they are declared; an int where a float is declared is widened.

    Raises:
        UnsayableError: if a value is not of its type, or an int does not fit the language's own.
    """
    return [
        [
            _typed(value, parameter.type, language, where=f"case {index}, parameter {parameter.name}")
            for value, parameter in zip(case.arguments, tests.parameters, strict=True)
        ]
        for index, case in enumerate(tests.cases, start=1)
    ]


def _typed(value: JsonValue, kind: str, language: Language, *, where: str) -> JsonValue:
    if kind.startswith("list[") and isinstance(value, list):
        return [_typed(item, kind[5:-1], language, where=where) for item in value]
    if kind == "float" and type(value) is int:
        value = float(value)
    if _KINDS.get(type(value)) != kind:
        raise UnsayableError(f"{where}: {value!r:.80} is not of the declared type {kind}")
    bits = LANGUAGES[language].int_bits
    if type(value) is int and bits is not None and value not in range(-(2 ** (bits - 1)), 2 ** (bits - 1)):
        raise UnsayableError(f"{where}: {value} does not fit the {bits}-bit int of {language.title}")
    return value


__all__ = ["typed_arguments"]
