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
from orchestrator.named import write_named
from orchestrator.schedule import Pruning, run_trainings
from orchestrator.space import Search, Values
from orchestrator.study import Study
from orchestrator.trainings import TrainingQueue
from orchestrator.trial import TrialSpec, candidates_of, trials_of
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


class _Round(Record):
    """Candidates that were asked for at once."""

    candidates: tuple[Values, ...]


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


def as_if_found(study: Study) -> Study:
    """The study as if each unfinished search had found its first candidate: all data that it is going to read."""
    for name, method in study.methods.items():
        if method.search is not None:
            first = method.search.candidates()[0]
            study = _with_chosen(study, name, dict.fromkeys(_open(study, name), first) | method.search.chosen)
    return study


def unfinished(study: Study) -> dict[str, int]:
    """Searches that have found nothing for some model or group yet, with the number of their trainings."""
    return {
        name: len(open_) * method.search.trainings
        for name, method in study.methods.items()
        if method.search is not None and (open_ := _open(study, name))
    }


def under_search(study: Study, ledger: Ledger) -> tuple[TrialSpec, ...]:
    """The trainings that unfinished searches have asked for so far: until these have ended, a study names them."""
    found: list[TrialSpec] = []
    for name, method in study.methods.items():
        for place, first in _open(study, name).items() if method.search is not None else ():
            assert method.search is not None
            mark, more = _mark(method.search, first), first
            tried = 0
            while more:
                found += _all(more)
                tried += len(more)
                text = ledger.read_study_file(study.study, _round_file(mark, tried))
                asked = _Round.model_validate_json(text).candidates if text else ()
                more = candidates_of(study, name, asked, after=tried)[place] if asked else ()
    return tuple(found)


def run_searches(
    study: Study, ledger: Ledger, *, meter: Meter, note: Callable[[str], None]
) -> tuple[Study, dict[str, StageFailed]]:
    """Run what a study's searches still lack; returns the study with what was found, and why some found nothing."""
    failed: dict[str, StageFailed] = {}
    for name, method in study.methods.items():
        if method.search is None:
            continue
        for place, first in _open(study, name).items():
            note(f"search for {name} on {place}: {method.search.trainings} trainings on the validation split")
            found = _Running(study, name, place, first, ledger=ledger, meter=meter, note=note).run()
            if isinstance(found, StageFailed):
                failed[f"{place} {name}"] = found
                continue
            note(f"search for {name} on {place} chose {found.chosen}, {method.search.metric} {found.value:.4f}")
            ledger.create_study_file(study.study, _file(method.search, first), found.model_dump_json(indent=1))
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


def _file(search: Search, first: _Candidates) -> str:
    return f"{_mark(search, first)}.json"


def _round_file(mark: str, tried: int) -> str:
    """Where the round that comes after so many candidates is kept."""
    return f"{mark}-after{tried}.json"


def _mark(search: Search, first: _Candidates) -> str:
    """A name from all that decides what a search finds; `first` are the candidates that it begins with."""
    keys = [[trial.key("train") for trial in candidate] for candidate in first]
    plain = search.model_copy(update={"chosen": {}}).model_dump(mode="json")
    return f"search-{fingerprint({'search': plain, 'keys': keys})[:16]}"


class _Running:
    """One search under way, for one model and group: rounds of candidates, until no more are asked for."""

    def __init__(
        self,
        study: Study,
        name: str,
        place: str,
        first: _Candidates,
        *,
        ledger: Ledger,
        meter: Meter,
        note: Callable[[str], None],
    ) -> None:
        search = study.methods[name].search
        assert search is not None
        self.study, self.name, self.place, self.search = study, name, place, search
        self.ledger, self.meter, self.note = ledger, meter, note
        self.mark = _mark(search, first)
        self.tried: list[Values] = []
        self.candidates: list[tuple[TrialSpec, ...]] = []
        self.stopped_early: dict[str, str] = {}
        self.causes: dict[str, StageFailed] = {}

    def run(self) -> Found | StageFailed:
        """Train round after round; what was found, or why nothing was."""
        decisions: tuple[Decision, ...] = ()
        while more := self._asked(decisions):
            after = len(self.tried)
            self.tried += more
            self.candidates += candidates_of(self.study, self.name, more, after=after)[self.place]
            write_named(self.ledger, self.study.study, (*trials_of(self.study), *under_search(self.study, self.ledger)))
            self._train(_all(self.candidates[after:]))
            if self.meter.reached() or self.meter.left_out():
                return StageFailed("the search was stopped by the study's limits", kind="settings")
            decisions = self._decisions()
        return _found(self.name, self.place, self.search, self.tried, decisions)

    def _asked(self, decisions: Sequence[Decision]) -> Sequence[Values]:
        """The next round, as it was written down when it was first asked for."""
        if not self.tried:
            return self.search.candidates()
        if self.search.algorithm != "tpe":
            return ()
        from orchestrator.tpe import ask

        means = _means(self.tried, decisions)
        asked = ask(self.search, [(values, means.get(number)) for number, values in enumerate(self.tried)])
        text = _Round(candidates=asked).model_dump_json()
        kept = self.ledger.create_study_file(self.study.study, _round_file(self.mark, len(self.tried)), text)
        return _Round.model_validate_json(kept).candidates

    def _train(self, trials: Sequence[TrialSpec]) -> None:
        study, ledger, meter = self.study, self.ledger, self.meter
        self.stopped_early |= {
            trial.key("train"): word
            for trial in trials
            if (word := ledger.read_study_file(study.study, f"{self.mark}-{trial.key('train')[:16]}.json"))
        }

        def ended(trial: TrialSpec, failed: StageFailed | None, again: str) -> None:
            meter.tick([(running, "train") for running in queue.running()])
            if meter.reached():
                queue.stop()
            if failed is not None and again:
                self.note(f"{trial.label} train {again}: {failed.cause}")
            elif failed is not None:
                self.causes[trial.key("train")] = failed
                if failed.kind == "pruned":
                    self.stopped_early[trial.key("train")] = ledger.create_study_file(
                        study.study, f"{self.mark}-{trial.key('train')[:16]}.json", failed.cause
                    )

        due = [t for t in trials if t.key("train") not in self.stopped_early and "train" not in ledger.records_of(t)]
        queue = TrainingQueue(
            due,
            resources=study.resources,
            ended=ended,
            may_start=lambda trial: meter.may_start(trial, "train"),
            hours=lambda trial: meter.hours(trial, "train"),
        )
        if due:
            pruning = _pruning(study, self.name) if self.search.algorithm == "asha" else None
            with TemporaryDirectory(prefix="polytune-search-", ignore_cleanup_errors=True) as scratch:
                run_trainings(queue, ledger=ledger, root=Path(study.data.root), scratch=Path(scratch), pruning=pruning)

    def _decisions(self) -> tuple[Decision, ...]:
        found = []
        for number, (values, trials) in enumerate(zip(self.tried, self.candidates, strict=True)):
            for trial in trials:
                key = trial.key("train")
                record = self.ledger.records_of(trial).get("train")
                value = _best(self.search, [row for row in curve_of(self.ledger, record)]) if record else None
                state: Literal["done", "stopped", "failed"] = "stopped" if key in self.stopped_early else "failed"
                cause = self.stopped_early.get(key) or str(self.causes.get(key, "it was not trained"))
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


def _all(candidates: Sequence[tuple[TrialSpec, ...]]) -> list[TrialSpec]:
    return list({trial.key("train"): trial for candidate in candidates for trial in candidate}.values())


def _pruning(study: Study, name: str) -> Pruning:
    method = study.methods[name]
    assert method.search is not None and method.training is not None and method.training.validate_every is not None
    return Pruning(metric=method.search.metric, first_step=method.training.validate_every)


def _best(search: Search, rows: Sequence[dict[str, float]]) -> float | None:
    """The best that a training logged: the lowest loss, or the highest similarity."""
    seen = [row[search.metric] for row in rows if math.isfinite(row.get(search.metric, math.nan))]
    if not seen:
        return None
    return min(seen) if search.lowest else max(seen)


def _means(tried: Sequence[Values], decisions: Sequence[Decision]) -> dict[int, float]:
    """Each candidate's mean over its seeds, where every one of them has a value."""
    means = {}
    for number in range(len(tried)):
        own = [decision.value for decision in decisions if decision.candidate == number]
        if own and all(value is not None for value in own):
            means[number] = fmean(value for value in own if value is not None)
    return means


def _found(
    name: str, place: str, search: Search, tried: Sequence[Values], decisions: tuple[Decision, ...]
) -> Found | StageFailed:
    means = _means(tried, decisions)
    if not means:
        causes = "; ".join(dict.fromkeys(decision.cause for decision in decisions if decision.cause))
        return StageFailed(f"no candidate of the search was trained to its end: {causes}", kind="settings")
    sign = 1 if search.lowest else -1
    number = min(means, key=lambda n: (sign * means[n], n))
    return Found(
        method=name,
        place=place,
        search=search.model_copy(update={"chosen": {}}),
        decisions=decisions,
        chosen=tried[number],
        value=means[number],
    )


__all__ = ["Decision", "Found", "as_if_found", "resolved", "run_searches", "under_search", "unfinished"]
