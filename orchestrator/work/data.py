"""What a study's stages read: examples, problems, and what the two share.

One decision: local data is read once before anything is trained, so that a fault in it stops a study early.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.study.trial import TrackSource, TrialSpec
from tasks.readers import DataError, digest, read_examples, read_problems
from tasks.records import Example, Problem, Track

if TYPE_CHECKING:
    from evaluators.contamination import Contamination


def read_all_examples(sources: Sequence[TrackSource], *, root: Path) -> tuple[Example, ...]:
    """Every example of several sources, in their order.

    Raises:
        DataError: if a source cannot be read, is not what it was when the study was expanded, or has an empty answer.
    """
    _refuse_edited(sources, root=root)
    return tuple(
        e for s in sources for e in _answered(s, read_examples(s.source, track=Track.parse(s.track), root=root))
    )


def _answered(source: TrackSource, examples: Sequence[Example]) -> Sequence[Example]:
    """Examples, if all of them have an answer: behind an empty one a model learns to say nothing."""
    empty = [example.id for example in examples if not example.output.strip()]
    if empty:
        raise DataError(
            source.source.name,
            f"{len(empty)} of {len(examples)} examples of {source.track} have an empty answer, the first is {empty[0]}",
            "leave them out of the data, or name the column that holds the answers",
        )
    return examples


def read_all_problems(sources: Sequence[TrackSource], *, root: Path) -> tuple[Problem, ...]:
    """Every problem of several sources, in their order.

    Raises:
        DataError: if a source cannot be read, is not what it was when the study was expanded, or names a problem as
            another does.
    """
    _refuse_edited(sources, root=root)
    found: dict[str, Problem] = {}
    for s in sources:
        for problem in read_problems(s.source, track=Track.parse(s.track), root=root):
            other = found.setdefault(problem.id, problem)
            if other is not problem:
                # Answers, verdicts and scores go by it.
                said = f"{other.track} and {problem.track} both have a problem of this id"
                raise DataError(
                    f"{s.source.name}, id {problem.id!r}", said, "make ids unique over the tracks of a trial"
                )
    return tuple(found.values())


def _refuse_edited(sources: Sequence[TrackSource], *, root: Path) -> None:
    """Let nothing be made from a file's new content under the name of its old one."""
    for s in sources:
        if s.identity is not None and digest(s.source, root=root) != s.identity:
            raise DataError(
                s.source.name,
                "was edited after this run began, and a result belongs to what its data were",
                "run the study again: what read the old data stays, what reads the new is made anew",
            )


def contamination_of(trial: TrialSpec, problems: Sequence[Problem], *, root: Path) -> "dict[str, Contamination]":
    """What each problem shares with the trial's training and validation data; empty for a frozen model."""
    from evaluators.contamination import Pair, find_contamination

    examples = read_all_examples((*trial.train, *trial.validation), root=root)
    if not examples:
        return {}
    items = [Pair(input=p.input, output=p.reference) for p in problems]
    found = find_contamination(items, (Pair(input=e.input, output=e.output) for e in examples))
    return {p.id: item for p, item in zip(problems, found, strict=True)}


def check_data(trials: Sequence[TrialSpec], *, root: Path) -> None:
    """Read every local source once, so that a fault in data stops a study before anything is trained.

    Raises:
        DataError: if a source cannot be read or holds nothing for its track.
    """
    seen: set[str] = set()
    for trial in trials:
        for role, sources in (("examples", (*trial.train, *trial.validation)), ("problems", trial.test)):
            for source in sources:
                mark = f"{role} {source.model_dump_json()}"
                if mark in seen or source.source.repository is not None:
                    continue
                seen.add(mark)
                (read_all_examples if role == "examples" else read_all_problems)((source,), root=root)


__all__ = ["check_data", "contamination_of", "read_all_examples", "read_all_problems"]
