"""The bodies of train, generate, execute and score: the only place where trainers meet evaluators.

One decision: a body is an ordinary function of specs, records and a folder. Ray's wrappers around it
are a few lines elsewhere, so a test or a debugger calls exactly what a cluster runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.ledger.artifacts import ScoredCell, ScoredRow, write_summary
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.study.trial import TrackSource, TrialSpec
from tasks.readers import read_examples, read_problems
from tasks.records import Completion, Example, Language, Problem, Record, Task, Track, Verdict
from trainers.spec import MethodKind, ModelSpec, Runtime

if TYPE_CHECKING:
    from evaluators.contamination import Contamination
    from evaluators.quality import FileQuality
    from evaluators.sandbox.records import Isolation, Limits, Program
    from trainers.train import Row, TrainingSummary, Validate

# METEOR is the variant without WordNet: a study's figures must not depend on what a machine has installed.
TEXT_METRICS = (
    "bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "meteor_exact_stem", "exact_match", "edit_similarity",
)  # fmt: skip
CODE_METRICS = (
    "codebleu", "codebleu_ngram", "codebleu_weighted", "codebleu_syntax", "codebleu_dataflow",
    "bleu", "chrf", "exact_match", "edit_similarity",
)  # fmt: skip

_JUDGING_ATTEMPTS = 2
_HARNESS_FAILED = "not judged: the harness failed"  # as the sandbox says it


class Weights(Record):
    """What to load for generation: the base, and unless it is frozen the training's record in a ledger."""

    model: ModelSpec
    kind: MethodKind
    storage: str
    record: StageRecord | None

    def folder(self) -> Path | None:
        """The trained weights on this machine, verified; None for the base alone.

        Raises:
            ArtifactDamaged: if they are not what the training wrote.
        """
        if self.record is None:
            return None
        name = str(self.record.facts["weights"])
        return Ledger(self.storage).folder(self.record, under=f"{name}/") / name


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
        write_summary(folder, summary)
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


def program_of(problem: Problem, text: str, *, sample: int) -> "Program":
    """The program to run: extracted from what a model wrote, empty where it wrote nothing."""
    from evaluators.extraction import extract_program
    from evaluators.sandbox.records import Program

    source = extract_program(text, problem=problem) if text.strip() else ""
    return Program(problem_id=problem.id, sample=sample, source=source)


def judge_programs(
    problems: Sequence[Problem],
    programs: "Sequence[Program]",
    *,
    limits: "Limits",
    workers: int = 1,
    isolation: "Isolation" = "auto",
) -> "Iterator[Verdict]":
    """Each program's verdict as soon as it is known.

    An empty program is given no process: its verdict is `compile_error`, with the reason. What the
    harness failed to judge is tried once more at the end, with everything started afresh.

    Raises:
        ValueError, IsolationError: as `evaluators.sandbox.execute` does.
    """
    from evaluators.sandbox import judged_programs

    due = [program for program in programs if program.source.strip()]
    for program in programs:
        if not program.source.strip():
            yield Verdict(
                task_id=program.problem_id,
                sample=program.sample,
                verdict="compile_error",
                detail="the completion is empty",
                strength="none",
            )
    for attempt in range(_JUDGING_ATTEMPTS):
        faulty = []
        for program, verdict in judged_programs(problems, due, limits=limits, workers=workers, isolation=isolation):
            if verdict.detail.startswith(_HARNESS_FAILED) and attempt + 1 < _JUDGING_ATTEMPTS:
                faulty.append(program)
            else:
                yield verdict
        due = faulty
        if not due:
            return


def execute(problems: Sequence[Problem], completions: Sequence[Completion], *, trial: TrialSpec) -> tuple[Verdict, ...]:
    """Verdicts for the completions whose problems carry tests, in their order."""
    by_id = {problem.id: problem for problem in problems}
    testable = [c for c in completions if by_id[c.problem_id].tests is not None]
    programs = [program_of(by_id[c.problem_id], c.text, sample=c.sample) for c in testable]
    found = {(v.task_id, v.sample): v for v in judge_programs(problems, programs, limits=trial.limits)}
    return tuple(found[c.problem_id, c.sample] for c in testable)


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
        ScoredRow(
            problem_id=c.problem_id,
            sample=c.sample,
            empty=not outputs[i].strip(),
            parses=parsed[i],
            scores={name: value for name, values in scores.per_instance.items() if (value := values[i]) is not None},
            counts=dict(files[i].counts),
            rules=dict(files[i].rules),
        )
        for i, c in enumerate(completions)
    ]
    return ScoredCell(
        track=str(track),
        dataset=problems[0].dataset,
        rows=tuple(rows),
        corpus={name: value for name, value in scores.corpus.items() if value is not None},
        signatures=dict(scores.signatures),
        health=state.model_dump(mode="json"),
        health_warnings=health.warnings(state),
        reference_counts={key: dict(file.counts) for key, file in references.items()},
        reference_rules={key: dict(file.rules) for key, file in references.items()},
        notes=(*notes, *(f"{name}: not scored: {note}" for name, found in scores.notes.items() for note in found)),
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
