"""HumanEvalPack: HumanEval's programs in Python and Java, with their descriptions apart from their code.

One decision: the function to summarise is `declaration` + `canonical_solution`, which holds no
documentation of its own (in the founding study 54 of 100 inputs held their own reference), and the
reference is the description alone, on one line, without examples. Java's tests are a whole `Main`
class to be compiled beside the solution; they are not said as data, so Java problems carry no tests
and generation in Java is scored by similarity alone.

Source: Muennighoff et al. 2023 (OctoPack), https://github.com/bigcode-project/octopack, evaluation/create.
"""

from pathlib import Path

from tasks.readers.docstrings import prose
from tasks.readers.files import content_digest, locate, locate_folder, read_rows
from tasks.readers.humaneval import HumanEvalRow, check_tests
from tasks.readers.reader import tests_alone
from tasks.readers.source import Source
from tasks.records import Language, Problem, Task, Track

_LANGUAGES = (Language.PYTHON, Language.JAVA)
# Whose tests define a function that is called with the candidate.
_CALLED = frozenset({Language.PYTHON})


class HumanEvalPackRow(HumanEvalRow):
    """One line of the pack; its buggy solutions and other renderings are not read."""

    declaration: str
    docstring: str

    @property
    def number(self) -> str:
        """The problem's number, which it shares with HumanEval and with the other languages."""
        return self.task_id.rpartition("/")[2]


def _problem(row: HumanEvalPackRow, *, track: Track) -> Problem:
    if track.task is Task.GENERATION:
        return _generation_problem(row, track=track)
    return Problem(
        id=f"humanevalpack/{track}/{row.number}",
        track=str(track),
        dataset="humanevalpack",
        input=row.declaration + row.canonical_solution,
        reference=prose(row.docstring, entry_point=row.entry_point),
    )


def _generation_problem(row: HumanEvalPackRow, *, track: Track) -> Problem:
    return Problem(
        id=f"humanevalpack/{track}/{row.number}",
        track=str(track),
        dataset="humanevalpack",
        input=row.prompt,
        reference=row.prompt + row.canonical_solution,
        preamble=row.prompt,
        tests=check_tests(row.test, entry_point=row.entry_point) if track.target in _CALLED else None,
    )


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    language = track.target or track.source
    assert language is not None
    rows = read_rows(_file(source, root=root, language=language), row=HumanEvalPackRow)
    return tuple(_problem(row, track=track) for row in rows)


def _file(source: Source, *, root: Path, language: Language) -> Path:
    # The folder, never one file: a file of the other language would read without a fault.
    locate_folder(source, root=root)
    return locate(source, root=root, name=f"humanevalpack_{language}.jsonl")


def _content(source: Source, root: Path) -> str:
    return content_digest((str(language), _file(source, root=root, language=language)) for language in _LANGUAGES)


READER = tests_alone(
    version=1,
    tracks=("generation/python", "generation/java", "summarization/python", "summarization/java"),
    problems=_problems,
    content=_content,
    because="HumanEval and HumanEvalPack hold the same 164 programs and are for tests alone",
)

__all__ = ["READER", "HumanEvalPackRow"]
