"""The bodies of train, generate, execute and score: the only place where trainers meet evaluators.

One decision: a body is an ordinary function of specs, records and a folder. Ray's wrappers around it
are a few lines elsewhere, so a test or a debugger calls exactly what a cluster runs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from orchestrator.trial import TrackSource, TrialSpec
from tasks.readers import read_examples, read_problems
from tasks.records import Completion, Example, Language, Problem, Record, Task, Track, Verdict
from trainers.spec import MethodKind, ModelSpec, Runtime

if TYPE_CHECKING:
    from evaluators.contamination import Contamination
    from evaluators.quality import FileQuality
    from trainers.train import Row, TrainingSummary, Validate

TEXT_METRICS = ("bleu", "chrf", "rouge_l", "exact_match")
CODE_METRICS = (
    "codebleu", "codebleu_ngram", "codebleu_weighted", "codebleu_syntax", "codebleu_dataflow",
    "bleu", "chrf", "exact_match",
)  # fmt: skip


class Weights(Record):
    """What to load for generation: the base, and a folder of trained weights unless it is frozen."""

    model: ModelSpec
    kind: MethodKind
    folder: str | None


class ScoredCell(Record):
    """One (track, data set) of one trial, scored: a row for each completion, and what is of the whole.

    `rows` holds `problem_id`, `sample`, `empty`, `parses`, `scores`, `counts` and `rules`;
    `reference_counts` and `reference_rules` those of the references, by problem id.
    """

    track: str
    dataset: str
    rows: tuple[dict[str, JsonValue], ...]
    corpus: dict[str, float]
    signatures: dict[str, str]
    health: dict[str, JsonValue]
    health_warnings: tuple[str, ...]
    reference_counts: dict[str, dict[str, float]]
    reference_rules: dict[str, dict[str, float]]
    notes: tuple[str, ...]


def read_all_examples(sources: Sequence[TrackSource], *, root: Path) -> tuple[Example, ...]:
    """Every example of several sources, in their order."""
    return tuple(e for s in sources for e in read_examples(s.source, track=Track.parse(s.track), root=root))


def read_all_problems(sources: Sequence[TrackSource], *, root: Path) -> tuple[Problem, ...]:
    """Every problem of several sources, in their order."""
    return tuple(p for s in sources for p in read_problems(s.source, track=Track.parse(s.track), root=root))


def train(
    trial: TrialSpec, folder: Path, *, root: Path, runtime: Runtime, report: "Callable[[Row], None]"
) -> "TrainingSummary":
    """Train one trial's model into `folder`; `summary.json` there says what was done."""
    from trainers.train import Hooks, TrainingData
    from trainers.train import train as run_training

    spec = trial.training_spec
    assert spec is not None
    validates = bool(spec.settings.validate_every)
    data = TrainingData(
        train=read_all_examples(trial.train, root=root),
        validation=read_all_examples(trial.validation, root=root) if validates else (),
    )
    judge = _validator(trial, root=root) if validates and spec.settings.select_by == "similarity" else None
    summary = run_training(spec, data=data, out=folder, runtime=runtime, hooks=Hooks(report=report, validate=judge))
    if (folder / summary.weights).is_dir() and _is_first_process():
        (folder / "summary.json").write_text(summary.model_dump_json(indent=1), encoding="utf-8")
    return summary


def _is_first_process() -> bool:
    import torch

    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def _validator(trial: TrialSpec, *, root: Path) -> "Validate":
    """Judge generated validation output: CodeBLEU for code, BLEU for prose, the mean over tracks."""
    from evaluators.generation import generate
    from trainers.model import load_tokenizer

    problems = read_all_problems(trial.validation, root=root)
    tokenizer = load_tokenizer(trial.model)
    greedy = trial.generation.model_copy(update={"samples": 1, "temperature": 0.0})

    def judge(model: Any) -> dict[str, float]:
        completions = generate(model, tokenizer, problems, settings=greedy, batch_size=16)
        cells = [score_cell(*cell, quality=False) for cell in cells_of(problems, completions)]
        values = {
            f"{cell.track}/{name}": cell.corpus[name]
            for cell in cells
            for name in (["codebleu"] if Track.parse(cell.track).writes_code else ["bleu"])
        }
        return {**values, "similarity": sum(values.values()) / len(values)}

    return judge


def programs_of(problems: Mapping[str, Problem], completions: Sequence[Completion]) -> "list[Any]":
    """The programs to run: extracted from the completions whose problems carry tests."""
    from evaluators.extraction import extract_program
    from evaluators.sandbox.records import Program

    return [
        Program(
            problem_id=c.problem_id,
            sample=c.sample,
            source=extract_program(c.text, problem=problems[c.problem_id]) if c.text.strip() else "",
        )
        for c in completions
        if problems[c.problem_id].tests is not None
    ]


def execute(problems: Sequence[Problem], completions: Sequence[Completion], *, trial: TrialSpec) -> tuple[Verdict, ...]:
    """Verdicts for the completions whose problems carry tests.

    An empty completion is given no process: its verdict is `compile_error`, with the reason.
    """
    from evaluators.sandbox import execute as run_programs

    by_id = {problem.id: problem for problem in problems}
    programs = programs_of(by_id, completions)
    written = [program for program in programs if program.source.strip()]
    judged = run_programs(problems, written, limits=trial.limits) if written else ()
    found = {(v.task_id, v.sample): v for v in judged}
    return tuple(
        found.get((p.problem_id, p.sample))
        or Verdict(task_id=p.problem_id, sample=p.sample, verdict="compile_error", detail="the completion is empty")
        for p in programs
    )


def cells_of(
    problems: Sequence[Problem], completions: Sequence[Completion]
) -> list[tuple[tuple[Problem, ...], tuple[Completion, ...]]]:
    """Completions with their problems, one group for each (track, data set), in order of appearance."""
    by_id = {problem.id: problem for problem in problems}
    groups: dict[tuple[str, str], list[Completion]] = {}
    for completion in completions:
        groups.setdefault((completion.track, completion.dataset), []).append(completion)
    return [(tuple(by_id[c.problem_id] for c in group), tuple(group)) for group in groups.values()]


def contamination_of(trial: TrialSpec, problems: Sequence[Problem], *, root: Path) -> "dict[str, Contamination]":
    """What each problem shares with the trial's training and validation data; empty for a frozen model."""
    from evaluators.contamination import Pair, find_contamination

    examples = read_all_examples((*trial.train, *trial.validation), root=root)
    if not examples:
        return {}
    items = [Pair(input=p.input, output=p.reference) for p in problems]
    found = find_contamination(items, (Pair(input=e.input, output=e.output) for e in examples))
    return {p.id: item for p, item in zip(problems, found, strict=True)}


def score_cell(
    problems: Sequence[Problem],
    completions: Sequence[Completion],
    *,
    quality: bool,
    contamination: "Mapping[str, Contamination] | None" = None,
) -> ScoredCell:
    """Similarity, quality and health of one (track, data set); `problems[i]` is that of `completions[i]`."""
    from evaluators import health
    from evaluators.similarity import parses, score_pairs

    track = problems[0].parsed_track
    outputs = [_output(c, p) for c, p in zip(completions, problems, strict=True)]
    metrics = CODE_METRICS if track.writes_code else TEXT_METRICS
    scores = score_pairs(outputs, [p.reference for p in problems], metrics=metrics, language=track.target)
    parsed = [None if track.target is None else bool(o.strip()) and parses(o, language=track.target) for o in outputs]
    files, references, notes = _quality(outputs, problems, track.target if quality else None)
    state = health.check(
        [
            health.Output(
                text=o,
                finish=c.finish,
                prompt=p.input,
                reference=p.reference,
                parses=ok,
                preamble=p.preamble,
                raw=c.text,
                contamination=(contamination or {}).get(p.id),
            )
            for o, c, p, ok in zip(outputs, completions, problems, parsed, strict=True)
        ]
    )
    rows = [
        {
            "problem_id": c.problem_id,
            "sample": c.sample,
            "empty": not outputs[i].strip(),
            "parses": parsed[i],
            "scores": {name: values[i] for name, values in scores.per_instance.items() if values[i] is not None},
            "counts": dict(files[i].counts),
            "rules": files[i].rules,
        }
        for i, c in enumerate(completions)
    ]
    return ScoredCell(
        track=str(track),
        dataset=problems[0].dataset,
        rows=tuple(json.loads(json.dumps(rows))),
        corpus={name: value for name, value in scores.corpus.items() if value is not None},
        signatures=dict(scores.signatures),
        health=state.model_dump(mode="json"),
        health_warnings=health.warnings(state),
        reference_counts={key: dict(file.counts) for key, file in references.items()},
        reference_rules={key: dict(file.rules) for key, file in references.items()},
        notes=notes,
    )


def _output(completion: Completion, problem: Problem) -> str:
    """What is scored: the extracted program or summary; nothing where the model wrote nothing."""
    from evaluators.extraction import extract_program, extract_summary

    if not completion.text.strip():
        return ""
    if problem.parsed_track.task is Task.SUMMARIZATION:
        return extract_summary(completion.text)
    return extract_program(completion.text, problem=problem)


def _quality(
    outputs: Sequence[str], problems: Sequence[Problem], language: Language | None
) -> "tuple[list[FileQuality], dict[str, FileQuality], tuple[str, ...]]":
    """Each output's quality, that of the references by problem, and a note for each tool that is missing.

    Outputs and references are analysed as one batch: the tools are slow to start and their counts
    do not depend on company.
    """
    from evaluators.quality import FileQuality, analyze, default_folder

    if language is None:
        return [FileQuality(parses=False)] * len(outputs), {}, ()
    distinct = list(dict.fromkeys((*outputs, *(p.reference for p in problems))))
    report = analyze(distinct, language=language, cache=default_folder())
    by_source = dict(zip(distinct, report.files, strict=True))
    references = {p.id: by_source[p.reference] for p in problems}
    notes = tuple(f"no {tool}: {reason}" for tool, reason in report.missing.items())
    return [by_source[output] for output in outputs], references, notes
