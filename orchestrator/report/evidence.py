"""A study's rows, grouped the way that a reader asks for them: by arm and by place.

One decision: an arm gathers the trials that together answer for one way of training. The trials of
`apart` have disjoint tracks, so they fill one line of a table, right below `together`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from orchestrator.report.results import CellScores, InstanceRow, StudyResults, TrialOutcome
from tasks.records import Task, Track
from trainers.methods.table import traits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where scores are taken: a track and one of its test sets. `dataset` is empty if nothing ran."""

    track: str
    dataset: str
    title: str

    @property
    def task(self) -> Task:
        """The task of the track."""
        return Track.parse(self.track).task

    @property
    def writes_code(self) -> bool:
        """Whether the outputs are code."""
        return Track.parse(self.track).writes_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of adapting one model: the trials that cover its tracks, none of them twice.

    `title` tells it from the other arms of the study; `way` leaves out what model and seed it has.
    """

    model: str
    kind: str
    grouping: str
    seed: int
    way: str
    title: str
    trials: tuple[TrialOutcome, ...]

    @property
    def method(self) -> str:
        """The method's name in the study file."""
        return self.trials[0].method

    @property
    def is_frozen(self) -> bool:
        """Whether the model is used as it came."""
        return not traits_of(self.kind).is_trained

    def trial_for(self, track: str) -> TrialOutcome | None:
        """The trial that answers for a track, None if the arm was not asked for it."""
        return next((trial for trial in self.trials if track in trial.tracks), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Results with their indexes. `names` are what trials are called, by label."""

    results: StudyResults
    arms: tuple[Arm, ...]
    names: Mapping[str, str]
    places: tuple[Place, ...]
    rows: Mapping[tuple[str, str, str], tuple[InstanceRow, ...]]
    cells: Mapping[tuple[str, str, str], CellScores]

    def rows_at(self, trial: TrialOutcome, place: Place) -> tuple[InstanceRow, ...]:
        """What a trial wrote at a place, one row a completion; empty if nothing is recorded."""
        return self.rows.get((trial.trial, place.track, place.dataset), ())

    def cell_at(self, trial: TrialOutcome, place: Place) -> CellScores | None:
        """What is known of a trial at a place as a whole."""
        return self.cells.get((trial.trial, place.track, place.dataset))


def gather(results: StudyResults) -> Evidence:
    """Index a study's results by arm and place."""
    rows: dict[tuple[str, str, str], list[InstanceRow]] = defaultdict(list)
    for row in results.rows:
        rows[row.trial, row.track, row.dataset].append(row)
    arms = _title_arms(_form_arms(results.trials))
    return Evidence(
        results=results,
        arms=arms,
        names={trial.trial: name_of(trial) for trial in results.trials},
        places=_find_places(results),
        rows={key: tuple(value) for key, value in rows.items()},
        cells={(cell.trial, cell.track, cell.dataset): cell for cell in results.cells},
    )


def group_ways(arms: Iterable[Arm]) -> Mapping[tuple[str, str], tuple[Arm, ...]]:
    """Arms by model and way: those of one group differ in their seeds alone."""
    ways: dict[tuple[str, str], tuple[Arm, ...]] = {}
    for arm in arms:
        ways[arm.model, arm.way] = (*ways.get((arm.model, arm.way), ()), arm)
    return ways


def name_of(trial: TrialOutcome) -> str:
    """What a trial is called in the page, in every file and in MLflow: the label that commands print and take."""
    return trial.trial


def name_trial(trial: TrialOutcome, *, head: str) -> str:
    """`head`, with the tasks of a trial that shares its arm with others."""
    if trial.grouping != "apart":
        return head
    tasks = dict.fromkeys(str(Track.parse(track).task) for track in trial.tracks)
    return f"{head} · {', '.join(tasks)}"


def _find_places(results: StudyResults) -> tuple[Place, ...]:
    """Places in the order of the studies' tracks, tasks kept together."""
    datasets: dict[str, dict[str, None]] = {track: {} for trial in results.trials for track in trial.tracks}
    scored: tuple[InstanceRow | CellScores, ...] = (*results.rows, *results.cells)
    for item in scored:
        datasets.setdefault(item.track, {})[item.dataset] = None
    places = [
        Place(track=track, dataset=name, title=f"{track} · {name}" if len(names) > 1 else track)
        for track, names in datasets.items()
        for name in (names or {"": None})
    ]
    order = list(Task)
    return tuple(sorted(places, key=lambda place: order.index(place.task)))


def _form_arms(trials: Iterable[TrialOutcome]) -> list[Arm]:
    """Give each trial to the first arm of its kind that lacks its tracks."""
    arms: list[Arm] = []
    for trial in trials:
        for index, arm in enumerate(arms):
            if _fits(trial, arm):
                arms[index] = replace(arm, trials=(*arm.trials, trial))
                break
        else:
            arms.append(_open_arm(trial))
    models = list(dict.fromkeys(arm.model for arm in arms))
    return sorted(arms, key=lambda arm: (models.index(arm.model), not arm.is_frozen))


def _open_arm(trial: TrialOutcome) -> Arm:
    says_grouping = traits_of(trial.kind).is_trained and trial.grouping not in trial.method
    way = f"{trial.method} {trial.grouping}".strip() if says_grouping else trial.method
    return Arm(
        model=trial.model,
        kind=trial.kind,
        grouping=trial.grouping,
        seed=trial.seed,
        way=way,
        title=way,
        trials=(trial,),
    )


def _fits(trial: TrialOutcome, arm: Arm) -> bool:
    first = arm.trials[0]
    same = (first.model, first.method, first.kind, first.grouping, first.seed)
    taken = {track for member in arm.trials for track in member.tracks}
    mine = (trial.model, trial.method, trial.kind, trial.grouping, trial.seed)
    return mine == same and taken.isdisjoint(trial.tracks)


def _title_arms(arms: list[Arm]) -> tuple[Arm, ...]:
    """Say the model and the seed only where the study has several, the trial only where that is not enough."""
    several_models = len({arm.model for arm in arms}) > 1
    ways = [(arm.model, arm.way) for arm in arms]
    titled = []
    for arm in arms:
        seed = f"seed {arm.seed}" if ways.count((arm.model, arm.way)) > 1 else ""
        model = arm.model if several_models else ""
        titled.append(replace(arm, title=" · ".join(part for part in (model, arm.way, seed) if part)))
    titles = [arm.title for arm in titled]
    return tuple(
        replace(arm, title=f"{arm.title} ({arm.trials[0].trial})") if titles.count(arm.title) > 1 else arm
        for arm in titled
    )
