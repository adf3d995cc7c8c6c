"""MultiPL-E: HumanEval and MBPP compiled to other languages, scored by running.

One decision: the data set has no solutions, so every reference is empty; its tests close the function
that the prompt opens, and follow on from a completion as they are. Stop tokens are the caller's.

Source: Cassano et al. 2022, https://github.com/nuprl/MultiPL-E; rows as in nuprl/MultiPL-E on the hub.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.readers.files import read_rows
from tasks.readers.polyglot import files_digest, language_of, locate_language
from tasks.readers.reader import tests_alone
from tasks.readers.source import Source
from tasks.records import CodeTests, Language, Problem, Track

_SHORT = {Language.PYTHON: "py", Language.JAVA: "java", Language.CSHARP: "cs"}
_FILES = {language: f"humaneval-{short}.jsonl" for language, short in _SHORT.items()}


class MultiplERow(BaseModel):
    """One line of a language's file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    language: str
    prompt: str
    tests: str
    stop_tokens: tuple[str, ...] = ()


def _problem(row: MultiplERow, *, track: Track) -> Problem:
    return Problem(
        id=row.name,
        track=str(track),
        dataset="multipl-e",
        input=row.prompt,
        reference="",
        preamble=row.prompt,
        tests=CodeTests(code=row.tests),
    )


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    rows = read_rows(locate_language(source, root=root, files=_FILES, track=track), row=MultiplERow)
    names = (_SHORT[language_of(track)], str(language_of(track)))
    return tuple(_problem(row, track=track) for row in rows if row.language in names)


def _content(source: Source, root: Path) -> str:
    return files_digest(source, root=root, files=_FILES)


READER = tests_alone(
    version=1,
    tracks=("generation/python", "generation/java", "generation/csharp"),
    problems=_problems,
    content=_content,
    because="MultiPL-E is HumanEval and MBPP in other languages and has no solutions",
)

__all__ = ["READER", "MultiplERow"]
