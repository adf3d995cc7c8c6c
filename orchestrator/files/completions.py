"""Anybody's completions file to samples that can be judged, with every fault of the file at once.

One decision: a sample keeps the name that its file gives the problem, because verdicts are joined to the
file by it; samples of one problem count from 0 in the file's order, however a line spells the problem.
"""

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from tasks.readers.codereval import NOT_JUDGED, Generated
from tasks.readers.files import read_rows
from tasks.readers.formats import names_of
from tasks.readers.source import DataError
from tasks.records import Problem, UnjudgedReason, Verdict

if TYPE_CHECKING:
    from evaluators.sandbox.records import Program

_NO_TESTS = "not judged: the problem has no tests; give problems that have some"
_WITHOUT_TESTS = {"codereval": (UnjudgedReason.NEEDS_PROJECT, NOT_JUDGED)}


class CompletionLine(BaseModel):
    """One line: a `completion` follows the problem's prompt, a `solution` is a whole program.

    Of a line that has both, as EvalPlus writes them, the solution is read. CoderEval's own lines name the problem
    `_id` or `ques_id` and hold several programs with their results.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: int | str = Field(validation_alias=AliasChoices("task_id", "_id", "ques_id"))
    completion: str | None = None
    solution: str | None = None
    generate_results: tuple[Generated, ...] = ()

    @model_validator(mode="after")
    def _holds_one_kind(self) -> "CompletionLine":
        written = self.completion is not None or self.solution is not None
        if written == bool(self.generate_results):
            raise ValueError("needs a completion or a solution")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One thing to judge; `name` is how its file names the problem, `passed` what CoderEval's own run said."""

    problem: Problem
    name: str
    number: int
    text: str
    whole: bool
    result: Generated | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What its verdict is known by."""
        return self.name, self.number

    def known(self) -> Verdict | None:
        """The verdict that needs no run, if there is one: a result of CoderEval's own, or that nothing can run."""
        if self.result is not None:
            said, name = f"imported: CoderEval's own run, {self.result.said}", self.result.verdict
            return Verdict(task_id=self.name, sample=self.number, verdict=name, detail=said, strength="none")
        if self.problem.tests is None:
            reason, said = _WITHOUT_TESTS.get(self.problem.dataset, (UnjudgedReason.NO_TESTS, _NO_TESTS))
            return Verdict(
                task_id=self.name, sample=self.number, verdict="unjudged", reason=reason, detail=said, strength="none"
            )
        return None

    def program(self) -> "Program":
        """What is run: a whole program as it is, a completion by the study's own extraction."""
        from evaluators.sandbox.programs import program_of
        from evaluators.sandbox.records import Program

        if self.whole:
            return Program(problem_id=self.problem.id, sample=self.number, source=self.text)
        return program_of(self.problem, self._continued(), sample=self.number)

    def _continued(self) -> str:
        """MBPP+'s raw release puts its prompt, a docstring, before a completion, where that makes a program."""
        whole = self.problem.input + self.text
        return whole if self.problem.dataset == "mbpp-plus" and _is_python(whole) else self.text


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def read_samples(path: Path, problems: Sequence[Problem], *, format: str) -> tuple[Sample, ...]:
    """The samples of a completions file, in its order.

    Raises:
        DataError: if the file is absent or empty, or naming each line that is malformed or of no problem.
    """
    if not path.is_file():
        raise DataError(str(path), "no such file", "name the completions' file, plain or gzipped")
    names, by_id = names_of(problems, format=format), {problem.id: problem for problem in problems}

    def unknown(line: CompletionLine) -> str:
        if line.generate_results and format != "codereval":
            return "generate_results are CoderEval's, read with --format codereval"
        known = str(line.task_id).lower() in names
        return "" if known else f"task_id {line.task_id!r} is none of the {len(by_id)} problems'"

    lines = read_rows(path, row=CompletionLine, fault=unknown)
    if not lines:
        raise DataError(str(path), "holds no completion", 'write lines like {"task_id": ..., "completion": ...}')
    return _numbered(lines, names, by_id)


def _numbered(
    lines: Sequence[CompletionLine], names: Mapping[str, str], by_id: Mapping[str, Problem]
) -> tuple[Sample, ...]:
    samples: list[Sample] = []
    spelling: dict[str, str] = {}
    count: Counter[str] = Counter()
    for line in lines:
        problem = by_id[names[str(line.task_id).lower()]]
        name = spelling.setdefault(problem.id, str(line.task_id))
        whole = bool(line.solution) or line.completion is None
        plain = line.solution if whole else line.completion
        results: list[Generated | None] = list(line.generate_results) or [None]
        for result in results:
            text = (plain or "") if result is None else result.generate_code
            samples.append(
                Sample(
                    problem=problem,
                    name=name,
                    number=count[problem.id],
                    text=text,
                    whole=whole,
                    result=result,
                )
            )
            count[problem.id] += 1
    return tuple(samples)


def read_results(path: Path) -> tuple[tuple[Problem, ...], tuple[Sample, ...]]:
    """CoderEval's result file alone: its lines carry all that its verdicts need, so each names its own problem.

    Raises:
        DataError: if the file is absent or empty, or naming each line that is no result.
    """
    if not path.is_file():
        raise DataError(str(path), "no such file", "name CoderEval's result file, plain or gzipped")

    def no_result(line: CompletionLine) -> str:
        return "" if line.generate_results else "holds no generate_results; name the problems' file with --problems"

    lines = read_rows(path, row=CompletionLine, fault=no_result)
    if not lines:
        raise DataError(str(path), "holds no result", "name the file that CoderEval's own run wrote")
    ids = dict.fromkeys(str(line.task_id) for line in lines)
    # Nothing of these problems is shown to a model or run; the track is one that CoderEval has.
    problems = {
        id_: Problem(id=id_, track="generation/python", dataset="codereval", input="", reference="") for id_ in ids
    }
    return tuple(problems.values()), _numbered(lines, {id_.lower(): id_ for id_ in ids}, problems)


def references_of(problems: Sequence[Problem]) -> tuple[Sample, ...]:
    """The reference solutions as samples, of the problems that have one."""
    return tuple(
        Sample(problem=problem, name=problem.id, number=0, text=problem.reference, whole=True)
        for problem in problems
        if problem.reference.strip()
    )


__all__ = ["CompletionLine", "Sample", "read_results", "read_samples", "references_of"]
