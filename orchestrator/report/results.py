"""A study's results as plain values: what reports, comparisons and MLflow are made from.

One decision: everything downstream reads per-instance rows keyed by problem id. A figure is always
computed from rows, so it can always be paired, counted and shown with what was left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evaluators.health import Health
from orchestrator.ledger.progress import State
from orchestrator.report.setup import Setup
from orchestrator.report.texts import Texts, no_texts
from orchestrator.study.question import Question
from orchestrator.study.stages import StageName
from tasks.records import UnjudgedReason, VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRow:
    """One completion of one trial with all that was measured of it.

    `verdict` is None where the track or problem has no tests; `reason` says why one is unjudged. `scores` are
    similarity metrics in 0-100; `counts` are quality counts of one file, absent where a tool is missing or the
    code does not parse; `rules` are its messages by tool and rule, where one that was not broken is absent.
    `parses` is None for prose.
    """

    trial: str
    track: str
    dataset: str
    problem_id: str
    sample: int
    empty: bool
    parses: bool | None
    verdict: VerdictName | None
    detail: str = ""
    reason: UnjudgedReason | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    rules: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScores:
    """What belongs to a whole (trial, track, dataset) rather than to one row.

    `corpus` holds corpus-level similarity (0-100), `signatures` how each metric was computed,
    `reference_counts` and `reference_rules` those of each problem's reference, by its id, `notes` sentences
    such as "not judged: no JDK ..." that must stand wherever the cell is shown.
    """

    trial: str
    track: str
    dataset: str
    corpus: Mapping[str, float]
    signatures: Mapping[str, str]
    health: Health
    health_warnings: tuple[str, ...]
    reference_counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reference_rules: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing_tools: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutcome:
    """One stage of one trial: its state and what it took; `usd` is None where the study names no price."""

    stage: StageName
    state: State
    seconds: float | None = None
    usd: float | None = None
    cause: str = ""
    log_path: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """One trial with its stages, in order, and its training curve.

    `curve` holds rows with `step` and whatever was logged there: `loss`, `loss/TRACK`,
    `validation/loss`, `gradient_norm`, `tokens_per_s`.
    """

    trial: str
    model: str
    method: str
    kind: str
    grouping: str
    tracks: tuple[str, ...]
    seed: int
    stages: tuple[StageOutcome, ...]
    curve: tuple[Mapping[str, float], ...] = ()

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return all(stage.state == State.DONE for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResults:
    """All that a report may speak of.

    `question` is its words alone, `asked` all of it. `provenance` holds versions, hardware and git state;
    `isolation` is the class that generated code ran under, with the shares of it that ran apart from its tests and in
    their process. `setup` is what the trials were given. `read_texts` reads what was asked and written, which takes a
    while and is done by who shows it.
    """

    study: str
    question: str
    trials: tuple[TrialOutcome, ...]
    rows: tuple[InstanceRow, ...]
    cells: tuple[CellScores, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)
    isolation: str = ""
    asked: Question = field(default_factory=Question)
    setup: Setup = field(default_factory=Setup)
    read_texts: Callable[[], Texts] = field(default=no_texts, compare=False, repr=False)
