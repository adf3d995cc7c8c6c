"""A study whose truth is known: who wins, and which faults lie in it.

One decision: every fault is one that real studies have had (a chat template that eats a character, a test set that
was trained on, problems that were lost, a seed that went astray, a training that ran out of memory), and each lies
where nothing else does, so a report that misses it can be told which.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

from evaluators.health import Health, warnings
from orchestrator.ledger.progress import State
from orchestrator.report.findings import Findings, find
from orchestrator.report.results import CellScores, InstanceRow, StageOutcome, StudyResults, TrialOutcome
from tasks.records import Task, Track, VerdictName

TRACKS = (
    "generation/python",
    "generation/java",
    "translation/java-csharp",
    "translation/csharp-java",
    "summarization/python",
    "summarization/java",
)
MODELS: Mapping[str, float] = {"coder-0.5b": 0.5e9, "coder-1.5b": 1.5e9, "coder-7b": 7.6e9}
"""Models with their sizes in parameters."""
SEEDS = (1, 2, 3)
BASE: Mapping[str, float] = {"coder-0.5b": 0.34, "coder-1.5b": 0.46, "coder-7b": 0.6}
GAIN: Mapping[str, float] = {"frozen": -0.16, "qlora-together": 0.06, "qlora-apart": 0.06, "full-together": -0.03}
"""What a way adds to a model's skill. So together and apart are equals, and both beat full fine-tuning."""
WINNER, EQUAL, LOSER = "qlora-together", "qlora-apart", "full-together"

BROKEN = ("coder-1.5b", "full-together")
"""Its chat template eats the first character of most answers."""
LEAKED = "translation/java-csharp"
"""A track whose test problems are in the training data."""
MISSING = ("coder-0.5b", "qlora-apart", "generation/java")
"""A quarter of its problems were lost."""
ASTRAY = ("coder-7b", "qlora-together", 3)
"""A seed that learned far less than the others."""
FAILED = ("coder-7b", "full-together", 2)
NO_MEMORY = "out of memory with one example a pass: needs about 92.1 GiB, the GPU has 79.1 GiB"
_HOURS: Mapping[str, float] = {"qlora-together": 2.1, "qlora-apart": 2.4, "full-together": 3.3}
_NOISE = 0.05
_BY_NATURE = {"pylint.missing-function-docstring": 2.0, "pylint.missing-module-docstring": 1.0}
"""All the conventions that a snippet breaks here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of training as the planted study names it."""

    name: str
    kind: str
    grouping: str


_WAYS = (
    Way(name="frozen", kind="frozen", grouping="together"),
    Way(name="qlora-together", kind="qlora", grouping="together"),
    Way(name="qlora-apart", kind="qlora", grouping="apart"),
    Way(name="full-together", kind="full", grouping="together"),
)


def plant_study(
    *, problems: int = 100, seeds: Sequence[int] = SEEDS, models: Sequence[str] = tuple(MODELS)
) -> StudyResults:
    """The study with all its faults; the same each time."""
    rng = random.Random(11)
    trials = tuple(_list_trials(models, seeds))
    hardness = {(track, index): rng.random() for track in TRACKS for index in range(problems)}
    rows = [row for trial in trials if trial.finished for row in _write(trial, hardness, random.Random(trial.trial))]
    by_cell: dict[tuple[str, str], list[InstanceRow]] = {}
    for row in rows:
        by_cell.setdefault((row.trial, row.track), []).append(row)
    return StudyResults(
        study="planted",
        question="Is one QLoRA adapter for three tasks as good as one for each, and as good as full fine-tuning?",
        trials=trials,
        rows=tuple(rows),
        cells=tuple(_sum_up(t, track, by_cell[t.trial, track]) for t in trials if t.finished for track in t.tracks),
        provenance={"python": "3.11.9", "torch": "2.13.0", "gpus": "1 x H100", "git": "3f2a9c1"},
        isolation="strict (92.3 % apart, 7.7 % in-process)",
    )


@cache
def find_planted() -> Findings:
    """What a report finds in a study of 60 problems a track; made once for all tests, which takes seconds."""
    return find(plant_study(problems=60))


def _list_trials(models: Sequence[str], seeds: Sequence[int]) -> Iterator[TrialOutcome]:
    for model in models:
        for way in _WAYS:
            for seed in seeds[:1] if way.kind == "frozen" else seeds:
                for tracks in _divide() if way.grouping == "apart" else (TRACKS,):
                    yield _make_trial(model, way, seed=seed, tracks=tracks)


def _divide() -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(track for track in TRACKS if Track.parse(track).task == task)
        for task in Task
        if any(Track.parse(track).task == task for track in TRACKS)
    )


def _make_trial(model: str, way: Way, *, seed: int, tracks: tuple[str, ...]) -> TrialOutcome:
    part = f"/{Track.parse(tracks[0]).task}" if way.grouping == "apart" else ""
    trial = TrialOutcome(
        trial=f"{model}/{way.name}{part}/seed{seed}",
        model=model,
        method=way.name,
        kind=way.kind,
        grouping=way.grouping,
        tracks=tracks,
        seed=seed,
        stages=(),
        curve=_learn(way, tracks, seed=seed) if way.kind != "frozen" else (),
    )
    stages = ("generate", "execute", "score") if way.kind == "frozen" else ("train", "generate", "execute", "score")
    if (model, way.name, seed) == FAILED:
        failed = StageOutcome(stage="train", state=State.FAILED, seconds=190.0, usd=0.13, cause=NO_MEMORY)
        rest = tuple(StageOutcome(stage=stage, state=State.WAITING) for stage in stages[1:])
        return replace(trial, stages=(failed, *rest), curve=())
    return replace(trial, stages=tuple(_finish(stage, trial) for stage in stages))


def _finish(stage: str, trial: TrialOutcome) -> StageOutcome:
    size = MODELS[trial.model]
    share = len(trial.tracks) / len(TRACKS)
    hours = {
        "train": _HOURS.get(trial.method, 0.0) * size / 7.6e9,
        "generate": 0.4 * size / 7.6e9,
        "execute": 0.08,
        "score": 0.02,
    }[stage] * share
    facts: dict[str, object] = {}
    if stage == "train":
        whole = trial.kind == "full"
        facts = {"trainable_parameters": size if whole else 0.004 * size, "total_parameters": size, "steps": 600}
        facts |= {"peak_memory_bytes": (18.0 if whole else 2.6) * size, "tokens": 4_915_200}
    elif stage == "generate" and trial.kind != "frozen":
        facts = {"adapter_changes_outputs": 0.97}
    return StageOutcome(stage=stage, state=State.DONE, seconds=3600 * hours, usd=2.5 * hours, facts=facts)


def _learn(way: Way, tracks: Sequence[str], *, seed: int) -> tuple[dict[str, float], ...]:
    curve = []
    start = 1.9 if way.kind == "full" else 2.1
    for step in range(10, 610, 10):
        noise = 0.03 * ((step * 7919 * seed) % 13) / 13
        point = {"step": float(step), "loss": start * step**-0.22 + noise}
        point |= {f"loss/{track}": start * (1 + 0.1 * i) * step**-0.24 + noise for i, track in enumerate(tracks)}
        if step % 100 == 0:
            validation = {f"validation/loss/{t}": start * (1 + 0.1 * i) * step**-0.2 for i, t in enumerate(tracks)}
            point |= {"validation/loss": start * step**-0.2 + 0.06, **validation}
        curve.append(point)
    return tuple(curve)


def _write(trial: TrialOutcome, hardness: Mapping[tuple[str, int], float], rng: random.Random) -> Iterator[InstanceRow]:
    skill = BASE[trial.model] + GAIN[trial.method]
    if (trial.model, trial.method, trial.seed) == ASTRAY:
        skill -= 0.25
    for (track, index), hard in hardness.items():
        lost = (trial.model, trial.method, track) == MISSING and index % 4 == 0
        if track in trial.tracks and not lost:
            margin = skill - hard + rng.gauss(0, _NOISE)
            if (trial.model, trial.method) == BROKEN and rng.random() < 0.6:
                margin = -0.3
            yield _make_row(trial, track, index=index, margin=margin, messages=1.0 + 2.0 * rng.random())


def _make_row(trial: TrialOutcome, track: str, *, index: int, margin: float, messages: float) -> InstanceRow:
    quality = min(1.0, max(0.0, 0.5 + margin))
    code = Track.parse(track).writes_code
    verdict: VerdictName | None = None
    if code:
        verdict = "passed" if margin > 0 else "compile_error" if margin < -0.6 else "wrong_answer"
    untidy = messages + (1.2 if trial.kind == "full" else 0.0)
    counts = {"lizard.nloc": 9.0, "lizard.ccn": 2.0, "pylint.error": 0.0, "pylint.warning": untidy}
    counts |= {"pylint.convention": 3.0, "pylint.refactor": 0.0}
    scores = (
        {"codebleu": 20 + 75 * quality, "exact_match": 100.0 * (quality > 0.97)}
        if code
        else {"bleu": 40 * quality**2, "rouge_l": 60 * quality}
    )
    return InstanceRow(
        trial=trial.trial,
        track=track,
        dataset="made",
        problem_id=f"{track}/{index}",
        sample=0,
        empty=False,
        parses=(verdict != "compile_error") if code else None,
        verdict=verdict,
        scores=scores,
        counts=counts if code and verdict != "compile_error" else {},
        rules=_BY_NATURE if code else {},
    )


def _sum_up(trial: TrialOutcome, track: str, rows: Sequence[InstanceRow]) -> CellScores:
    code, frozen = Track.parse(track).writes_code, trial.kind == "frozen"
    broken, leaked = (trial.model, trial.method) == BROKEN, track == LEAKED and not frozen
    health = Health(
        num_outputs=len(rows),
        skipped=0.0,
        empty=0.0,
        truncated=0.09 if frozen else 0.01,
        degenerate=0.03 if frozen else 0.0,
        unparseable=(0.31 if frozen else 0.04) if code else None,
        first_character_lost=0.6 if broken else 0.0,
        reference_in_prompt=0.0,
        prompt_echoed=0.02 if frozen else 0.0,
        chat_leftovers=0.0,
        training_overlap=None if frozen else 0.62 if leaked else 0.02,
        training_duplicate=None if frozen else 0.31 if leaked else 0.0,
    )
    metric = "codebleu" if code else "bleu"
    lines = {row.problem_id: {"lizard.nloc": 8.0, "lizard.ccn": 2.0, "pylint.error": 0.0, "pylint.warning": 0.5,
                              "pylint.convention": 3.0, "pylint.refactor": 0.0} for row in rows}  # fmt: skip
    return CellScores(
        trial=trial.trial,
        track=track,
        dataset="made",
        corpus={name: 1.04 * fmean(row.scores[name] for row in rows) for name in rows[0].scores},
        signatures={metric: f"own|version:1|lang:{track.rpartition('-')[2]}" if code else "sacrebleu|nrefs:1|tok:13a"},
        health=health,
        health_warnings=warnings(health),
        reference_counts=lines if code else {},
        reference_rules={row.problem_id: _BY_NATURE for row in rows} if code else {},
    )
