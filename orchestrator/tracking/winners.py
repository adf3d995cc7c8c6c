"""Which adapters of a study are worth an entry in MLflow's registry: the best one of each model and set of tracks.

One decision: what decides is the metric of the study's question, or what its pages open on, as a mean over a trial's
tracks, and nothing is entered before all adapters it could lose to have ended. So an entry changes only when trials are
added. The best of several was chosen on the very problems that its score is of, which its description says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.ledger.progress import State
from orchestrator.study.schema import Study, short_name
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.figures import HOURS, SUMMARIES, metric_asked

ALIAS = "best"
_ENDED = (State.DONE, State.FAILED, State.NOT_RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A trial with how it stands, and its figures by metric."""

    trial: TrialSpec
    state: State
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The best adapter of one model and set of tracks: `run` is its key among the standings, `why` in words."""

    registered: str
    run: str
    trial: TrialSpec
    metric: str
    score: float
    why: str


def choose_winners(study: Study, standings: Mapping[str, Standing]) -> tuple[Winner, ...]:
    """For each model and set of tracks the adapter with the best score, if all that might be better have ended."""
    rivals: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, standing in standings.items():
        if standing.trial.traits.has_adapter:
            rivals.setdefault((short_name(standing.trial.model), standing.trial.tracks), []).append(name)
    found = (_choose(study, {name: standings[name] for name in names}) for names in rivals.values())
    return tuple(winner for winner in found if winner is not None)


def _choose(study: Study, rivals: Mapping[str, Standing]) -> Winner | None:
    done = {name: standing for name, standing in rivals.items() if standing.state == State.DONE}
    if not done or any(standing.state not in _ENDED for standing in rivals.values()):
        return None
    names = (metric_asked(study.question), *SUMMARIES)
    metric = next((m for m in names if m and all(m in standing.figures for standing in done.values())), None)
    if metric is None:
        return None

    def rank(name: str) -> tuple[float, float, str]:
        standing = done[name]
        return (-standing.figures[metric], standing.figures.get(HOURS, 0.0), standing.trial.label)

    best = min(done, key=rank)
    trial, score = done[best].trial, done[best].figures[metric]
    return Winner(
        registered=name_of(study, trial), run=best, trial=trial, metric=metric, score=score,
        why=_why(trial.label, metric, score, among=len(done)),
    )  # fmt: skip


def name_of(study: Study, trial: TrialSpec) -> str:
    """What the registry calls the best adapter for a trial's model and tracks: `STUDY.MODEL.TASKS`."""
    tasks = "all" if set(trial.tracks) == set(study.tasks) else trial.group
    return f"{study.study}.{short_name(trial.model)}.{tasks}".replace("/", "-").replace(":", "-")


def _why(label: str, metric: str, score: float, *, among: int) -> str:
    told = f"{label}: {metric} {score:.1f}, the mean over the tracks that this metric stands for"
    if among == 1:
        return f"{told}. The only adapter for these tasks."
    return f"{told}. The best of {among} adapters for these tasks, chosen on the problems that this score is of."
