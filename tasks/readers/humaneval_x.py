"""HumanEval-X: HumanEval's problems with hand-written tests in Python and Java, scored by running.

One decision: test code follows the program in one file and calls itself, as its authors run it. In Python
that call, `check(NAME)`, says which function is under test, and is left to whoever runs the tests, as
HumanEval leaves it: the prompt defines the same name, without a body, and must not be what is judged.

Source: Zheng et al. 2023 (CodeGeeX), https://github.com/THUDM/CodeGeeX, codegeex/benchmark/humaneval-x.
"""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.readers.files import read_rows
from tasks.readers.humaneval import check_tests
from tasks.readers.polyglot import files_digest, language_of, locate_language
from tasks.readers.reader import tests_alone
from tasks.readers.source import Source
from tasks.records import CodeTests, Language, Problem, Track

_FILES = {language: f"humaneval_{language}.jsonl" for language in (Language.PYTHON, Language.JAVA)}
_CALL = re.compile(r"^check\((\w+)\)\s*\Z", re.MULTILINE)


class HumanEvalXRow(BaseModel):
    """One line of a language's file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str
    prompt: str
    canonical_solution: str
    test: str


def _tests(row: HumanEvalXRow) -> CodeTests:
    call = _CALL.search(row.test)
    return check_tests(row.test, entry_point=call[1]) if call else CodeTests(code=row.test)


def _problem(row: HumanEvalXRow, *, track: Track) -> Problem:
    return Problem(
        id=row.task_id,
        track=str(track),
        dataset="humaneval-x",
        input=row.prompt,
        reference=row.prompt + row.canonical_solution,
        preamble=row.prompt,
        tests=_tests(row),
    )


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    path = locate_language(source, root=root, files=_FILES, track=track)
    prefix = f"{language_of(track).title}/"
    rows = read_rows(path, row=HumanEvalXRow)
    return tuple(_problem(row, track=track) for row in rows if row.task_id.startswith(prefix))


def _content(source: Source, root: Path) -> str:
    return files_digest(source, root=root, files=_FILES)


READER = tests_alone(
    version=1,
    tracks=("generation/python", "generation/java"),
    problems=_problems,
    content=_content,
    because="HumanEval-X holds HumanEval's 164 programs and is for tests alone",
)

__all__ = ["READER", "HumanEvalXRow"]
