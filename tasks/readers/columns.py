"""Which columns of anybody's rows hold what the model reads, what it writes, and the tests.

One decision: a usual name is taken only where it is the one candidate of its strength; where two columns
could be meant the person is asked, since a model that was trained on the wrong one scores like any other.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from tasks.readers.source import Columns, DataError
from tasks.records import Language, Task, Track

_LANGUAGES: Mapping[Language, tuple[str, ...]] = {
    Language.PYTHON: ("python", "py"),
    Language.JAVA: ("java",),
    Language.CSHARP: ("csharp", "cs", "c#"),
}
_READ = ("prompt", "input", "instruction")
_WRITTEN = ("completion", "output", "response")
_REFERENCE = ("reference", "canonical_solution", "solution", "answer")
_REQUEST = ("question", "problem", "description", "text", "nl", "intent", "query")
_PROSE = ("summary", "docstring", "comment", "nl", "description")
# The pair of columns of Alpaca and its many descendants: a request, and perhaps what it is about.
ALPACA = ("instruction", "input")
CHAT = ("messages", "conversations", "conversation")
_USUAL: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "id": (("id", "task_id", "problem_id", "instance_id", "question_id", "_id"), ("qid", "idx", "index", "number")),
    "tests": (("tests", "test"), ("test_list", "test_code", "test_cases", "unit_tests", "asserts")),
    "entry_point": (("entry_point",), ("function_name", "func_name", "fn_name", "method_name")),
    "setup": (("setup", "test_setup", "test_setup_code"), ("test_imports",)),
    "preamble": (("preamble",),),
    "track": (("track",),),
}
_OF_EXAMPLES = ("input", "output", "id", "track")
_OF_PROBLEMS = ("input", "output", "id", "tests", "entry_point", "setup", "preamble", "track")
_ROLE_TITLES = {"input": "reads", "output": "writes", "entry_point": "entry point"}


def recognise(present: Sequence[str], *, given: Columns | None, track: Track, problems: bool, name: str) -> Columns:
    """The column of each role: the one that is given, else the one with a usual name.

    Args:
        present: the columns that there are.
        given: what the study says of them.
        track: what the data is for, which decides what a column `code` or `java` is.
        problems: whether test problems are read; only they have tests, and a reference may be absent.
        name: what errors call the data.

    Raises:
        DataError: if a column that is given is absent, or none or several could be meant for a role.
    """
    said = given.model_dump(exclude_none=True) if given else {}
    _check_given(said.values(), present, name=name)
    chat = _chat(present) if not {"input", "output"} & said.keys() else ""
    found = {**({"input": chat, "output": chat} if chat else {}), **said}
    # What an answer goes on from may be what the model reads.
    taken = {column for role, column in said.items() if role != "preamble"}
    for role in _OF_PROBLEMS if problems else _OF_EXAMPLES:
        if role not in found:
            column = _usual(role, [column for column in present if column not in taken], track=track, name=name)
            found.update({role: column} if column else {})
    needed = ("input",) if problems and "tests" in found else ("input", "output")
    absent = [role for role in needed if role not in found]
    if absent:
        wanted = " and ".join({"input": "what the model reads", "output": "what it should write"}[r] for r in absent)
        asked = [*absent, *(["tests"] if problems and track.target and "tests" not in found else [])]
        said_so = ", ".join(f"{role}: COLUMN" for role in asked)
        remedy = f"rename them, or name them in the study, as in {{path: FILE, columns: {{{said_so}}}}}"
        raise DataError(name, f"no column has a usual name for {wanted}; its columns are: {', '.join(present)}", remedy)
    return Columns.model_validate(found)


def columns_said(columns: Columns) -> str:
    """The choice in words, as in `reads prompt, writes completion, tests test_list`."""
    chosen = columns.model_dump(exclude_none=True)
    return ", ".join(f"{_ROLE_TITLES.get(role, role)} {column}" for role, column in chosen.items())


def _chat(present: Sequence[str]) -> str:
    """The column of conversations, in data that has no columns for the two sides."""
    plain = {_plain(column): column for column in present}
    if any(name in plain for name in (*_READ, *_WRITTEN)):
        return ""
    return next((plain[name] for name in CHAT if name in plain), "")


def _check_given(given: Iterable[str], present: Sequence[str], *, name: str) -> None:
    missing = [column for column in given if column not in present and column.partition(".")[0] not in present]
    if missing:
        close = difflib.get_close_matches(missing[0], present, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise DataError(
            f"column {', '.join(missing)}", f"not in {name}", f"{hint}its columns are: {', '.join(present)}"
        )


def _usual(role: str, present: Sequence[str], *, track: Track, name: str) -> str:
    for names in _names_of(role, track=track):
        meant = [column for column in present if _plain(column) in names]
        if role == "input" and sorted(map(_plain, meant)) == sorted(ALPACA):
            return next(column for column in meant if _plain(column) == ALPACA[0])
        if len(meant) > 1:
            raise DataError(
                f"{name}, columns {' and '.join(meant)}",
                f"each could be the {role}",
                f"set columns: {{{role}: {meant[0]}}}",
            )
        if meant:
            return meant[0]
    return ""


def _names_of(role: str, *, track: Track) -> tuple[tuple[str, ...], ...]:
    """A role's usual names, the strongest first."""
    source, target = (_LANGUAGES[lang] if lang else () for lang in (track.source, track.target))
    if role == "input":
        weaker = {
            Task.GENERATION: _REQUEST,
            Task.TRANSLATION: (*source, "source", f"source_{track.source}"),
            Task.SUMMARIZATION: ("code", "function", "source_code", *source),
        }[track.task]
        return (_READ, weaker)
    if role == "output":
        weaker = {
            Task.GENERATION: ("code", *target),
            Task.TRANSLATION: (*target, "target", f"target_{track.target}"),
            Task.SUMMARIZATION: _PROSE,
        }[track.task]
        return (_WRITTEN, _REFERENCE, weaker)
    return _USUAL[role]


def _plain(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())


__all__ = ["ALPACA", "CHAT", "columns_said", "recognise"]
