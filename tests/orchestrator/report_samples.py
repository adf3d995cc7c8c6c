"""A study's results as a real one would leave them, made from a seed.

One decision: problems have a difficulty that all methods share, so that pairing matters here as it
does in real results.
"""

import random
from collections.abc import Mapping, Sequence
from statistics import fmean

from evaluators.health import Health, warnings
from orchestrator.ledger.progress import State
from orchestrator.report.results import CellScores, InstanceRow, StageOutcome, StudyResults, TrialOutcome
from tasks.records import Track, VerdictName

TRACKS = (
    "generation/python",
    "generation/java",
    "translation/java-csharp",
    "translation/csharp-java",
    "summarization/python",
    "summarization/java",
)
STAGES = ("train", "generate", "execute", "score")
NO_COMPILER = "not judged: no C# compiler on PATH; install mono-mcs"
NO_MEMORY = "out of memory with a micro-batch of 1: needs about 15.2 GiB, the machine has 11.9 GiB"
SKILLS: Mapping[str, float] = {"frozen": 0.15, "qlora-together": 0.42, "qlora-apart": 0.4, "full-together": 0.36}


def make_study(*, problems: int = 100, seed: int = 7) -> StudyResults:
    """Six trials on six tracks: frozen, QLoRA together, QLoRA apart (one failed), full together."""
    rng = random.Random(seed)
    trials = (
        make_trial("frozen", kind="frozen", tracks=TRACKS),
        make_trial("qlora-together", kind="qlora", tracks=TRACKS),
        make_trial("qlora-apart-generation", kind="qlora", grouping="apart", tracks=TRACKS[:2]),
        make_trial("qlora-apart-translation", kind="qlora", grouping="apart", tracks=TRACKS[2:4]),
        make_trial("qlora-apart-summarization", kind="qlora", grouping="apart", tracks=TRACKS[4:], fails=True),
        make_trial("full-together", kind="full", tracks=TRACKS),
    )
    difficulty = {(track, index): rng.gauss(0, 0.25) for track in TRACKS for index in range(problems)}
    rows = [
        make_row(trial, track, index=index, ease=difficulty[track, index], rng=rng)
        for trial in trials
        if trial.finished
        for track in trial.tracks
        for index in range(problems)
    ]
    return StudyResults(
        study="quickstart",
        question="Is one QLoRA adapter for three tasks as good as one for each, or as full fine-tuning?",
        trials=trials,
        rows=tuple(rows),
        cells=tuple(make_cell(t, track, rows=rows) for t in trials if t.finished for track in t.tracks),
        provenance={"python": "3.11.9", "torch": "2.13.0", "hardware": "2 CPU cores, 24 GiB", "git": "3f2a9c1"},
        isolation="landlock + seccomp + namespaces",
    )


def make_trial(
    name: str, *, kind: str, tracks: tuple[str, ...], grouping: str = "together", fails: bool = False, seed: int = 1
) -> TrialOutcome:
    """A trial with its stages and, if it was trained, its curve."""
    stages = STAGES[1:] if kind == "frozen" else STAGES
    return TrialOutcome(
        trial=name,
        model="builtin:micro",
        method=kind,
        kind=kind,
        grouping=grouping,
        tracks=tracks,
        seed=seed,
        stages=_fail(stages) if fails else tuple(_finish(stage, kind=kind) for stage in stages),
        curve=() if kind == "frozen" or fails else _learn(kind),
    )


def _fail(stages: tuple[str, ...]) -> tuple[StageOutcome, ...]:
    failed = StageOutcome(stage=stages[0], state="failed", seconds=8.5, cause=NO_MEMORY, log_path="runs/x/train.log")
    return (failed, *(StageOutcome(stage=stage, state=State.WAITING) for stage in stages[1:]))


def _finish(stage: str, *, kind: str) -> StageOutcome:
    seconds = {"train": 913.0, "generate": 241.5, "execute": 64.2, "score": 9.1}[stage]
    trainable = 4_600_000 if kind == "full" else 184_320
    facts: dict[str, object] = {"trainable_parameters": trainable, "total_parameters": 4_784_320, "steps": 600}
    facts |= {"tokens": 4_915_200, "peak_memory_bytes": 1_610_612_736}
    changed: dict[str, object] = {"adapter_changes_outputs": 0.97}
    known: dict[str, dict[str, object]] = {"train": facts, "generate": {} if kind == "frozen" else changed}
    return StageOutcome(stage=stage, state="done", seconds=seconds, facts=known.get(stage, {}))


def _learn(kind: str) -> tuple[dict[str, float], ...]:
    start = {"qlora": 2.1, "full": 1.9}[kind]
    curve = []
    for step in range(10, 610, 10):
        point = {"step": float(step), "loss": start * step**-0.22 + 0.04 * ((step * 7919) % 13) / 13}
        if step % 100 == 0:
            point["validation/loss"] = start * step**-0.2 + 0.06
        curve.append(point)
    return tuple(curve)


def make_row(trial: TrialOutcome, track: str, *, index: int, ease: float, rng: random.Random) -> InstanceRow:
    """One completion, better where the method is skilled and the problem easy."""
    skill = SKILLS[f"{trial.kind}-{trial.grouping}" if trial.kind != "frozen" else "frozen"]
    quality = min(1.0, max(0.0, skill + ease + rng.gauss(0, 0.12)))
    code = Track.parse(track).writes_code
    empty = rng.random() < 0.03 * (trial.kind == "frozen")
    parses = (quality > 0.05 and not empty) if code else None
    return InstanceRow(
        trial=trial.trial,
        track=track,
        dataset="micro",
        problem_id=f"{track}/{index}",
        sample=0,
        empty=empty,
        parses=parses,
        verdict=_judge(track, index=index, quality=quality, parses=parses),
        detail=NO_COMPILER if track.endswith("csharp") else "",
        scores=_compare(track, quality=quality),
        counts=_count(track, quality=quality) if parses else {},
    )


def _judge(track: str, *, index: int, quality: float, parses: bool | None) -> VerdictName | None:
    if parses is None:
        return None
    if track.endswith("csharp") or (track == "generation/java" and index % 33 == 5):
        return "unjudged"
    if not parses:
        return "compile_error"
    return "passed" if quality > 0.5 else "exception" if quality < 0.2 else "wrong_answer"


def _compare(track: str, *, quality: float) -> dict[str, float]:
    if track.startswith("summarization"):
        return {"bleu": 40 * quality**2, "rouge_l": 60 * quality, "chrf": 15 + 45 * quality}
    return {"codebleu": 20 + 75 * quality, "exact_match": 100.0 * (quality > 0.9)}


def _count(track: str, *, quality: float) -> dict[str, float]:
    size = 4 + round(10 * quality)
    counts = {"lizard.nloc": float(size), "lizard.ccn": 1.0 + size // 4, "lizard.tokens": 9.0 * size}
    if track == "generation/python":
        counts |= {"pylint.error": float(quality < 0.3), "pylint.warning": 0.0, "pylint.convention": 2.0}
        counts |= {"pylint.refactor": float(quality > 0.7), "radon.maintainability": 80.0 - size}
    return counts


def make_cell(trial: TrialOutcome, track: str, *, rows: Sequence[InstanceRow]) -> CellScores:
    """The whole of one trial on one track; corpus figures lie a little off the means, as they do."""
    mine = [row for row in rows if (row.trial, row.track) == (trial.trial, track)]
    code, frozen = Track.parse(track).writes_code, trial.kind == "frozen"
    health = Health(
        num_outputs=len(mine),
        skipped=0.0,
        empty=0.03 if frozen else 0.0,
        truncated=0.12 if frozen else 0.01,
        degenerate=0.0,
        unparseable=(0.31 if frozen else 0.04) if code else None,
        first_character_lost=0.0,
        reference_in_prompt=0.54 if track == "summarization/python" else 0.0,
        prompt_echoed=0.0,
        chat_leftovers=0.0,
        training_overlap=None if frozen else 0.02,
        training_duplicate=None if frozen else 0.0,
    )
    metric = "codebleu" if code else "bleu"
    return CellScores(
        trial=trial.trial,
        track=track,
        dataset="micro",
        corpus={name: 1.04 * fmean(row.scores[name] for row in mine) for name in mine[0].scores},
        signatures={metric: f"own|version:1|lang:{track.rpartition('-')[2]}" if code else "sacrebleu|nrefs:1|tok:13a"},
        health=health,
        health_warnings=warnings(health),
        reference_counts={row.problem_id: {"lizard.nloc": 8.0, "lizard.ccn": 2.0} for row in mine} if code else {},
        notes=(NO_COMPILER,) if track.endswith("csharp") else (),
    )
