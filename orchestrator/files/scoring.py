"""Score anybody's predictions: what may be asked, how files are paired, and the figures over all pairs.

One decision: whatever can be found wrong before scoring (files, ids, metrics, what a metric needs) is found first
and told at once; then every pair gets a score or a note that says why it has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import InputError
from orchestrator.files.items import FORMS, Form, Items, Pairs, Role, pair, read_items
from tasks.records import Language

if TYPE_CHECKING:
    from evaluators.similarity import JudgeSettings, Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A file of texts to score; `column` holds the text in its rows, by default a usual one."""

    path: Path
    column: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be scored, without a fault."""

    metrics: tuple[str, ...]
    language: Language | None
    model: str | None
    judge: "JudgeSettings | None"
    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigure:
    """One metric over all pairs, 0-100: over the corpus and as a mean over the `n` pairs to which it applies.

    A figure is None where there is none; `signature` says how it was computed.
    """

    corpus: float | None
    mean: float | None
    n: int
    signature: str


def check_request(
    predictions: TextFile,
    references: TextFile,
    *,
    metrics: str | Sequence[str] | None,
    language: str | None,
    form: str = "auto",
    model: str | None = None,
    judge: "JudgeSettings | None" = None,
    others: Sequence[str] = (),
) -> Request:
    """The request, with its files read and paired; `others` are faults that the caller has found.

    Raises:
        InputError: with every fault of it at once.
    """
    from evaluators.similarity import METRICS, command_metrics, faults_of, missing

    spoken, faults = _language(language)
    given = metrics.split(",") if isinstance(metrics, str) else metrics
    names = command_metrics("code" if language is not None else "prose")
    if given is not None:
        names = tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
    if not names:
        faults.append(f"--metrics {metrics!r}: names no metric; the metrics are {', '.join(METRICS)}")
    known = faults_of(names, language=spoken, model=model, judge=judge)
    # Where the language is misspelt, that it is wanted needs no saying.
    faults += [fault for fault in known if language is None or spoken is not None or "needs --language" not in fault]
    if form not in FORMS:
        faults.append(f"--format {form!r}: is unknown; the forms are {', '.join(FORMS)}")
    items = [_read(file, role=role, form=form) for file, role in _roles(predictions, references)]
    pairs, unpaired = pair(items[0], items[1], names=(predictions.path, references.path))
    faults += [*others, *unpaired, *missing(names, model=model)]
    if faults or pairs is None:
        raise InputError("\n".join([f"{len(faults)} faults", *(f"  {f}" for f in faults)]) if faults[1:] else faults[0])
    return Request(metrics=names, language=spoken, model=model, judge=judge, pairs=pairs)


def _roles(predictions: TextFile, references: TextFile) -> tuple[tuple[TextFile, Role], ...]:
    return (predictions, "predictions"), (references, "references")


def _read(file: TextFile, *, role: Role, form: str) -> Items:
    known: Form = next((known for known in FORMS if known == form), "auto")
    return read_items(file.path, role=role, form=known, column=file.column)


def _language(name: str | None) -> tuple[Language | None, list[str]]:
    if name is None:
        return None, []
    if name in set(Language):
        return Language(name), []
    near = get_close_matches(name.lower().replace("c#", "csharp").replace("_", ""), list(Language), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return None, [f"--language {name!r}: is unknown; {hint}the languages are {', '.join(Language)}"]


def score_request(request: Request) -> "Scores":
    """The scores of every pair.

    Raises:
        InputError: if a metric needs data, a model or a service that is not there.
    """
    from evaluators.similarity import MissingError, score_pairs

    pairs = request.pairs
    try:
        return score_pairs(
            pairs.predictions,
            pairs.references,
            metrics=request.metrics,
            language=request.language,
            model=request.model,
            judge=request.judge,
        )
    except MissingError as error:
        raise InputError(str(error)) from error


def figures_of(scores: "Scores", metrics: Sequence[str]) -> Mapping[str, ScoreFigure]:
    """Each metric over all pairs."""
    return {
        name: ScoreFigure(
            corpus=scores.corpus[name],
            mean=scores.mean(name),
            n=len(scores.applicable(name)),
            signature=scores.signatures[name],
        )
        for name in metrics
    }


__all__ = ["Request", "ScoreFigure", "TextFile", "check_request", "figures_of", "score_request"]
