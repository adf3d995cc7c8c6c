"""Searches: candidates trained on the validation split, each decision kept, and the best one's settings.

One decision: a candidate is a trial without problems, trained like any other and found in the ledger by its
key, and what a search found goes back into the study as plain settings. So the winner is an ordinary trial,
alone sees the test split, and whatever reads a study need not know that there was a search.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Literal

from orchestrator.collect import curve_of
from orchestrator.errors import StageFailed
from orchestrator.fingerprint import fingerprint
from orchestrator.ledger import Ledger
from orchestrator.limits import Meter
from orchestrator.schedule import Pruning, run_trainings
from orchestrator.space import Search, Values
from orchestrator.study import Study
from orchestrator.trainings import TrainingQueue
from orchestrator.trial import TrialSpec, candidates_of
from tasks.records import Record

_Candidates = tuple[tuple[TrialSpec, ...], ...]


class Decision(Record):
    """What became of one training of a search: its end, and the metric's best value as it was logged."""

    candidate: int
    values: Values
    seed: int
    key: str
    state: Literal["done", "stopped", "failed"]
    value: float | None
    cause: str = ""


class Found(Record):
    """A finished search: every decision, and the candidate with the best mean over its seeds."""

    method: str
    place: str
    search: Search
    decisions: tuple[Decision, ...]
    chosen: Values
    value: float


def resolved(study: Study, ledger: Ledger) -> Study:
    """The study with what its finished searches found."""
    for name, method in study.methods.items():
        if method.search is None:
            continue
        texts = {
            place: ledger.read_study_file(study.study, _file(method.search, candidates))
            for place, candidates in candidates_of(study, name).items()
        }
        chosen = {place: Found.model_validate_json(text).chosen for place, text in texts.items() if text}
        study = _with_chosen(study, name, chosen)
    return study


def unfinished(study: Study) -> dict[str, int]:
    """Searches that have found nothing for some model or group yet, with the number of their trainings."""
    return {
        name: sum(len(candidate) for candidates in open_.values() for candidate in candidates)
        for name, method in study.methods.items()
        if method.search is not None and (open_ := _open(study, name))
    }


def run_searches(
    study: Study, ledger: Ledger, *, meter: Meter, note: Callable[[str], None]
) -> tuple[Study, dict[str, StageFailed]]:
    """Run what a study's searches still lack; returns the study with what was found, and why some found nothing."""
    failed: dict[str, StageFailed] = {}
    for name, method in study.methods.items():
        if method.search is None:
            continue
        for place, candidates in _open(study, name).items():
            note(f"search for {name} on {place}: {sum(map(len, candidates))} trainings on the validation split")
            found = _run(study, name, place, candidates, ledger=ledger, meter=meter, note=note)
            if isinstance(found, StageFailed):
                failed[f"{place} {name}"] = found
                continue
            note(f"search for {name} on {place} chose {found.chosen}, {method.search.metric} {found.value:.4f}")
            ledger.create_study_file(study.study, _file(method.search, candidates), found.model_dump_json(indent=1))
    return resolved(study, ledger), failed


def _open(study: Study, name: str) -> dict[str, _Candidates]:
    search = study.methods[name].search
    assert search is not None
    return {place: found for place, found in candidates_of(study, name).items() if place not in search.chosen}


def _with_chosen(study: Study, name: str, chosen: dict[str, Values]) -> Study:
    method = study.methods[name]
    assert method.search is not None
    search = method.search.model_copy(update={"chosen": chosen})
    return study.model_copy(update={"methods": {**study.methods, name: method.model_copy(update={"search": search})}})


def _file(search: Search, candidates: _Candidates) -> str:
    """Named by all that decides what a search finds."""
    keys = [[trial.key("train") for trial in candidate] for candidate in candidates]
    plain = search.model_copy(update={"chosen": {}}).model_dump(mode="json")
    return f"search-{fingerprint({'search': plain, 'keys': keys})[:16]}.json"


def _run(
    study: Study,
    name: str,
    place: str,
    candidates: _Candidates,
    *,
    ledger: Ledger,
    meter: Meter,
    note: Callable[[str], None],
) -> Found | StageFailed:
    search = study.methods[name].search
    assert search is not None
    mark = _file(search, candidates).removesuffix(".json")
    stopped_early = {
        trial.key("train"): word
        for trial in _all(candidates)
        if (word := ledger.read_study_file(study.study, f"{mark}-{trial.key('train')[:16]}.json"))
    }
    causes: dict[str, StageFailed] = {}

    def ended(trial: TrialSpec, failed: StageFailed | None, again: str) -> None:
        meter.tick([(running, "train") for running in queue.running()])
        if meter.reached():
            queue.stop()
        if failed is not None and again:
            note(f"{trial.label} train {again}: {failed.cause}")
        elif failed is not None:
            causes[trial.key("train")] = failed
            if failed.kind == "pruned":
                stopped_early[trial.key("train")] = ledger.create_study_file(
                    study.study, f"{mark}-{trial.key('train')[:16]}.json", failed.cause
                )

    due = [t for t in _all(candidates) if t.key("train") not in stopped_early and "train" not in ledger.records_of(t)]
    queue = TrainingQueue(
        due,
        resources=study.resources,
        ended=ended,
        may_start=lambda trial: meter.may_start(trial, "train"),
        hours=lambda trial: meter.hours(trial, "train"),
    )
    if due:
        pruning = _pruning(study, name) if search.algorithm == "asha" else None
        with TemporaryDirectory(prefix="polytune-search-", ignore_cleanup_errors=True) as scratch:
            run_trainings(queue, ledger=ledger, root=Path(study.data.root), scratch=Path(scratch), pruning=pruning)
    if meter.reached() or meter.left_out():
        return StageFailed("the search was stopped by the study's limits", kind="settings")
    decisions = _decisions(search, candidates, ledger, stopped_early, causes)
    return _found(name, place, search, decisions)


def _all(candidates: _Candidates) -> list[TrialSpec]:
    return list({trial.key("train"): trial for candidate in candidates for trial in candidate}.values())


def _pruning(study: Study, name: str) -> Pruning:
    method = study.methods[name]
    assert method.search is not None and method.training is not None and method.training.validate_every is not None
    return Pruning(metric=method.search.metric, first_step=method.training.validate_every)


def _decisions(
    search: Search,
    candidates: _Candidates,
    ledger: Ledger,
    stopped_early: dict[str, str],
    causes: dict[str, StageFailed],
) -> tuple[Decision, ...]:
    found = []
    for number, (values, trials) in enumerate(zip(search.candidates(), candidates, strict=True)):
        for trial in trials:
            key = trial.key("train")
            record = ledger.records_of(trial).get("train")
            value = _best(search, [row for row in curve_of(ledger, record)]) if record else None
            state: Literal["done", "stopped", "failed"] = "stopped" if key in stopped_early else "failed"
            cause = stopped_early.get(key) or str(causes.get(key, "it was not trained"))
            found.append(
                Decision(
                    candidate=number,
                    values=values,
                    seed=trial.seed,
                    key=key,
                    state="done" if record else state,
                    value=value,
                    cause="" if record else cause,
                )
            )
    return tuple(found)


def _best(search: Search, rows: Sequence[dict[str, float]]) -> float | None:
    """The best that a training logged: the lowest loss, or the highest similarity."""
    seen = [row[search.metric] for row in rows if math.isfinite(row.get(search.metric, math.nan))]
    if not seen:
        return None
    return min(seen) if search.metric == "validation/loss" else max(seen)


def _found(name: str, place: str, search: Search, decisions: tuple[Decision, ...]) -> Found | StageFailed:
    means = {}
    for number, values in enumerate(search.candidates()):
        own = [decision.value for decision in decisions if decision.candidate == number]
        if own and all(value is not None for value in own):
            means[number] = (fmean(value for value in own if value is not None), values)
    if not means:
        causes = "; ".join(dict.fromkeys(decision.cause for decision in decisions if decision.cause))
        return StageFailed(f"no candidate of the search was trained to its end: {causes}", kind="settings")
    sign = 1 if search.metric == "validation/loss" else -1
    number = min(means, key=lambda n: (sign * means[n][0], n))
    return Found(
        method=name,
        place=place,
        search=search.model_copy(update={"chosen": {}}),
        decisions=decisions,
        chosen=means[number][1],
        value=means[number][0],
    )


__all__ = ["Decision", "Found", "resolved", "run_searches", "unfinished"]
