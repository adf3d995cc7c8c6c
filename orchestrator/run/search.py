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

from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.artifacts import curve_of
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.manifest import write_named
from orchestrator.plan.estimates import passes_on_this_machine
from orchestrator.run.budget import Meter
from orchestrator.run.queue import TrainingQueue
from orchestrator.run.tune import Pruning, run_trainings
from orchestrator.study.cells import Cells, candidates_of
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.schema import Study
from orchestrator.study.space import Search, Values
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Record

_UNTRAINED = StageFailed("it was not trained", kind=Cause.SETTINGS)
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


def resolved(cells: Cells, ledger: Ledger) -> Cells:
    """The study with what its finished searches found."""
    for name, method in cells.study.methods.items():
        if method.search is None:
            continue
        texts = {
            place: ledger.read_study_file(cells.study.study, _file(method.search, candidates))
            for place, candidates in candidates_of(cells, name).items()
        }
        chosen = {place: Found.model_validate_json(text).chosen for place, text in texts.items() if text}
        cells = cells.of(_with_chosen(cells.study, name, chosen))
    return cells


def as_if_found(cells: Cells) -> Cells:
    """The study as if each unfinished search had found its first candidate: all data that it is going to read."""
    study = cells.study
    for name, method in study.methods.items():
        if method.search is not None:
            first = method.search.candidates()[0]
            study = _with_chosen(study, name, dict.fromkeys(_open(cells, name), first) | method.search.chosen)
    return cells.of(study)


def unfinished(cells: Cells) -> dict[str, int]:
    """Searches that have found nothing for some model or group yet, with the number of their trainings."""
    return {
        name: len(open_) * method.search.trainings
        for name, method in cells.study.methods.items()
        if method.search is not None and (open_ := _open(cells, name))
    }


def under_search(cells: Cells, ledger: Ledger) -> tuple[TrialSpec, ...]:
    """The trainings that unfinished searches have asked for so far: until these have ended, a study names them."""
    found: list[TrialSpec] = []
    for name, method in cells.study.methods.items():
        for place, first in _open(cells, name).items() if method.search is not None else ():
            assert method.search is not None
            mark, more = _mark(method.search, first), first
            tried = 0
            while more:
                found += _all(more)
                tried += len(more)
                text = ledger.read_study_file(cells.study.study, _round_file(mark, tried))
                asked = _Round.model_validate_json(text).candidates if text else ()
                more = candidates_of(cells, name, asked, after=tried)[place] if asked else ()
    return tuple(found)


class Searches:
    """What a study's searches still lack, run by one thread while another looks after limits and lease."""

    def __init__(self, cells: Cells, ledger: Ledger, *, meter: Meter, note: Callable[[str], None]) -> None:
        self.cells, self.study = cells, cells.study
        self.ledger, self.meter, self.note = ledger, meter, note
        # Why a search found nothing, by the label that its winner would have had.
        self.failed: dict[str, StageFailed] = {}
        self.queue: TrainingQueue | None = None
        self.stopping = False

    def run(self) -> None:
        """Search after search, until none is open or all is stopped."""
        for name, method in self.study.methods.items():
            if method.search is None:
                continue
            for place, first in _open(self.cells, name).items():
                if not self.stopping:
                    self._run(name, method.search, place, first)

    def _run(self, name: str, search: Search, place: str, first: _Candidates) -> None:
        self.note(f"search for {name} on {place}: {search.trainings} trainings on the validation split")
        found = _Running(self, name, place, first).run()
        if isinstance(found, StageFailed):
            self.failed[f"{place} {name}"] = found
            return
        self.note(f"search for {name} on {place} chose {found.chosen}, {search.metric} {found.value:.4f}")
        self.ledger.create_study_file(self.study.study, _file(search, first), found.model_dump_json(indent=1))

    def active(self) -> list[tuple[TrialSpec, StageName]]:
        """What is being trained now."""
        return [(trial, StageName.TRAIN) for trial in self.queue.running()] if self.queue else []

    def stop(self) -> None:
        """Start nothing more, and leave what runs."""
        self.stopping = True
        if self.queue is not None:
            self.queue.stop()


def _open(cells: Cells, name: str) -> dict[str, _Candidates]:
    search = cells.study.methods[name].search
    assert search is not None
    return {place: found for place, found in candidates_of(cells, name).items() if place not in search.chosen}


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
    keys = [[trial.key(StageName.TRAIN) for trial in candidate] for candidate in first]
    plain = search.model_copy(update={"chosen": {}})
    return f"search-{fingerprint({'search': plain, 'keys': keys})[:16]}"


class _Running:
    """One search under way, for one model and group: rounds of candidates, until no more are asked for."""

    def __init__(self, over: Searches, name: str, place: str, first: _Candidates) -> None:
        search = over.study.methods[name].search
        assert search is not None
        self.over, self.cells, self.study, self.ledger = over, over.cells, over.study, over.ledger
        self.name, self.place, self.search = name, place, search
        self.mark = _mark(search, first)
        self.tried: list[Values] = []
        self.candidates: list[tuple[TrialSpec, ...]] = []
        self.stopped_early: dict[str, str] = {}
        self.causes: dict[str, StageFailed] = {}
        # Labels of trainings that the study's limits left no room for.
        self.refused: set[str] = set()

    def run(self) -> Found | StageFailed:
        """Train round after round; what was found, or why nothing was."""
        decisions: tuple[Decision, ...] = ()
        while more := self._asked(decisions):
            after = len(self.tried)
            self.tried += more
            self.candidates += candidates_of(self.cells, self.name, more, after=after)[self.place]
            write_named(self.ledger, self.study.study, (*self.cells.trials, *under_search(self.cells, self.ledger)))
            self._train(_all(self.candidates[after:]))
            if self.over.stopping or self.refused:
                why = self.over.meter.reached() or self.over.meter.left_out() or "the run was stopped"
                return StageFailed(f"the search is not finished: {why}", kind=Cause.SETTINGS)
            decisions = self._decisions()
        return _found(self.name, self.place, self.search, self.tried, decisions)

    def _asked(self, decisions: Sequence[Decision]) -> Sequence[Values]:
        """The next round, as it was written down when it was first asked for."""
        if not self.tried:
            return self.search.candidates()
        if self.search.algorithm != "tpe":
            return ()
        from orchestrator.run.tpe import ask

        means = _means(self.tried, decisions)
        asked = ask(self.search, [(values, means.get(number)) for number, values in enumerate(self.tried)])
        text = _Round(candidates=asked).model_dump_json()
        kept = self.ledger.create_study_file(self.study.study, _round_file(self.mark, len(self.tried)), text)
        return _Round.model_validate_json(kept).candidates

    def _train(self, trials: Sequence[TrialSpec]) -> None:
        study, ledger = self.study, self.ledger
        self._recall(trials)
        given_up = self.stopped_early.keys() | self.causes.keys()
        due = [
            t for t in trials if t.key(StageName.TRAIN) not in given_up and StageName.TRAIN not in ledger.records_of(t)
        ]
        if not due:
            return
        self.over.queue = queue = TrainingQueue(
            due,
            resources=study.resources,
            ended=self._ended,
            may_start=self._may_start,
            hours=lambda trial: self.over.meter.hours(trial, StageName.TRAIN),
            passes=passes_on_this_machine(study.resources, self.over.meter.history),
        )
        if self.over.stopping:
            queue.stop()
        pruning = _pruning(study, self.name) if self.search.algorithm == "asha" else None
        with TemporaryDirectory(prefix="polytune-search-", ignore_cleanup_errors=True) as scratch:
            run_trainings(queue, ledger=ledger, root=Path(study.data.root), scratch=Path(scratch), pruning=pruning)

    def _recall(self, trials: Sequence[TrialSpec]) -> None:
        """What earlier runs of the search know of these candidates, other than that they are trained."""
        for trial in trials:
            key = trial.key(StageName.TRAIN)
            word = self.ledger.read_study_file(self.study.study, self._word_file(trial))
            if word:
                self.stopped_early[key] = word
        if self.ledger.read_study_file(self.study.study, _round_file(self.mark, len(self.tried))) is None:
            return
        # The next round was asked for, so all of these had come to an end; what failed is not tried once more.
        for trial in trials:
            if (failure := self.ledger.last_failure(trial.key(StageName.TRAIN))) is not None:
                self.causes[trial.key(StageName.TRAIN)] = StageFailed(
                    failure[0].cause, str(failure[1]), failure[0].kind
                )

    def _word_file(self, trial: TrialSpec) -> str:
        """Where is kept that a training was stopped early, and why."""
        return f"{self.mark}-{trial.key(StageName.TRAIN)[:16]}.json"

    def _may_start(self, trial: TrialSpec) -> bool:
        may = self.over.meter.may_start(trial, StageName.TRAIN)
        if not may:
            self.refused.add(trial.label)
        return may

    def _ended(self, trial: TrialSpec, failed: StageFailed | None, again: str) -> None:
        if failed is None:
            self.over.meter.trained(trial)
        if failed is None or (self.over.stopping and failed.kind != Cause.PRUNED):
            return
        if again:
            self.over.note(f"{trial.label} train {again}: {failed.cause}")
            return
        self.causes[trial.key(StageName.TRAIN)] = failed
        if failed.kind == Cause.PRUNED:
            self.stopped_early[trial.key(StageName.TRAIN)] = self.ledger.create_study_file(
                self.study.study, self._word_file(trial), failed.cause
            )

    def _decisions(self) -> tuple[Decision, ...]:
        found = []
        for number, (values, trials) in enumerate(zip(self.tried, self.candidates, strict=True)):
            for trial in trials:
                key = trial.key(StageName.TRAIN)
                record = self.ledger.records_of(trial).get(StageName.TRAIN)
                value = _best(self.search, [row for row in curve_of(self.ledger, record)]) if record else None
                state: Literal["done", "stopped", "failed"] = "stopped" if key in self.stopped_early else "failed"
                cause = self.stopped_early.get(key) or self.causes.get(key, _UNTRAINED).cause
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
    return list({trial.key(StageName.TRAIN): trial for candidate in candidates for trial in candidate}.values())


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
        return StageFailed(f"no candidate of the search was trained to its end: {causes}", kind=Cause.SETTINGS)
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


__all__ = ["Decision", "Found", "Searches", "as_if_found", "resolved", "under_search", "unfinished"]
