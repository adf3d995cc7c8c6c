"""Ray Data: generation, execution and scoring over as many nodes as there are.

One decision: one pipeline serves all trials that are due. An actor loads a trial's weights when the
first prompt of that trial reaches it, so processes start once for a study and not once for a trial;
results stream back, and a trial's stage is recorded as soon as its last row is in.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evaluators.contamination import Contamination
from evaluators.generation import GenerationSettings
from orchestrator.stages import ScoredCell, Weights, cells_of, execute, score_cell
from orchestrator.study import Resources
from orchestrator.trial import TrialSpec
from tasks.records import Completion, Problem, Record, Verdict
from trainers.spec import Runtime

_PROGRAMS_PER_TASK = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationJob:
    """What one trial's generation needs; `key` is its stage's."""

    key: str
    weights: Weights
    settings: GenerationSettings
    problems: tuple[Problem, ...]


class _Order(Record):
    """How an actor is to generate for one job."""

    weights: Weights
    settings: GenerationSettings
    runtime: Runtime
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingJob:
    """What one trial's execution or scoring needs; `key` is its stage's.

    `contamination` is what scoring is told of the problems, by id.
    """

    key: str
    trial: TrialSpec
    problems: tuple[Problem, ...]
    completions: tuple[Completion, ...]
    contamination: Mapping[str, Contamination] = field(default_factory=dict)


class Generator:
    """A Ray Data actor that writes completions with whichever trial's model a batch asks for.

    It is told everything by its rows: constructor arguments would live in the object store, and an
    actor that is restarted after they are gone fails.
    """

    def __init__(self) -> None:
        self._loaded: tuple[str, Any, Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Completions for a batch with columns `key`, `job` and `problem` (the last two JSON)."""
        import torch

        from evaluators.generation import generate

        out: dict[str, list[str]] = {"key": [], "completion": []}
        for key, text in dict.fromkeys(zip(map(str, batch["key"]), map(str, batch["job"]), strict=True)):
            order = _Order.model_validate_json(text)
            torch.set_num_threads(order.runtime.threads)
            rows = [str(p) for k, p in zip(batch["key"], batch["problem"], strict=True) if k == key]
            model, tokenizer = self._model(key, order)
            problems = [Problem.model_validate_json(row) for row in rows]
            for done in generate(model, tokenizer, problems, settings=order.settings, batch_size=order.batch_size):
                out["key"].append(key)
                out["completion"].append(done.model_dump_json())
        return out

    def _model(self, key: str, order: "_Order") -> tuple[Any, Any]:
        from trainers.model import load_tokenizer, load_trained

        if self._loaded is None or self._loaded[0] != key:
            weights = order.weights
            self._loaded = None  # frees the previous model before the next is loaded
            folder = Path(weights.folder) if weights.folder else None
            model = load_trained(weights.model, kind=weights.kind, weights=folder, runtime=order.runtime)
            self._loaded = (key, model, load_tokenizer(weights.model))
        return self._loaded[1], self._loaded[2]


def _quiet() -> None:
    """Ray Data draws bars and logs plans; what a person watches is drawn by the command line."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def run_generation(
    jobs: Sequence[GenerationJob], *, resources: Resources
) -> Iterator[tuple[str, tuple[Completion, ...]]]:
    """Generate for all jobs; yields each job's key and completions, in its problems' order, when done."""
    import ray.data

    _quiet()
    # Batches of like prompts waste little on padding, and a job's rows stay together so that an
    # actor seldom changes models.
    size = resources.generation_batch
    runtime = Runtime(threads=resources.generator_cpus, device="auto")
    items = [
        {"key": job.key, "job": order.model_dump_json(), "problem": problem.model_dump_json()}
        for job in jobs
        for order in [_Order(weights=job.weights, settings=job.settings, runtime=runtime, batch_size=size)]
        for problem in sorted(job.problems, key=lambda p: (p.track, len(p.input)))
    ]
    dataset = ray.data.from_items(items, override_num_blocks=-(-len(items) // size)).map_batches(
        Generator,
        batch_size=size,
        compute=ray.data.ActorPoolStrategy(size=resources.generators),
        num_cpus=resources.generator_cpus,
        num_gpus=resources.generator_gpus,
    )
    waiting = {job.key: len(job.problems) * job.settings.samples for job in jobs}
    orders = {job.key: {problem.id: i for i, problem in enumerate(job.problems)} for job in jobs}
    found: dict[str, list[Completion]] = {job.key: [] for job in jobs}
    for row in dataset.iter_rows():
        key = row["key"]
        found[key].append(Completion.model_validate_json(row["completion"]))
        if len(found[key]) == waiting[key]:
            order = orders[key]
            yield key, tuple(sorted(found.pop(key), key=lambda c: (order[c.problem_id], c.sample)))


def execute_chunk(row: dict[str, str]) -> dict[str, str]:
    """A Ray Data task: run one chunk of one trial's programs."""
    problems = [Problem.model_validate(p) for p in json.loads(row["problems"])]
    completions = [Completion.model_validate(c) for c in json.loads(row["completions"])]
    verdicts = execute(problems, completions, trial=TrialSpec.model_validate_json(row["trial"]))
    return {"key": row["key"], "verdicts": json.dumps([v.model_dump(mode="json") for v in verdicts])}


def run_execution(jobs: Sequence[JudgingJob]) -> Iterator[tuple[str, tuple[Verdict, ...]]]:
    """Execute for all jobs; yields each job's key and verdicts when done.

    A job of a data set without tests (CodeXGLUE's pairs) has nothing to run and is done at once.
    """
    items = [
        {"key": job.key, "trial": job.trial.model_dump_json(), **_packed(problems, completions)}
        for job in jobs
        for problems, completions in _chunks(job)
    ]
    testable = {item["key"] for item in items}
    yield from ((job.key, ()) for job in jobs if job.key not in testable)
    if not items:
        return
    import ray.data

    _quiet()
    dataset = ray.data.from_items(items, override_num_blocks=len(items)).map(execute_chunk, num_cpus=1)
    waiting = {job.key: sum(item["key"] == job.key for item in items) for job in jobs}
    found: dict[str, list[Verdict]] = {job.key: [] for job in jobs}
    for row in dataset.iter_rows():
        key = row["key"]
        found[key] += [Verdict.model_validate(v) for v in json.loads(row["verdicts"])]
        waiting[key] -= 1
        if waiting[key] == 0:
            yield key, tuple(sorted(found.pop(key), key=lambda v: (v.task_id, v.sample)))


def score_chunk(row: dict[str, str]) -> dict[str, str]:
    """A Ray Data task: score one (track, data set) of one trial."""
    problems = [Problem.model_validate(p) for p in json.loads(row["problems"])]
    completions = [Completion.model_validate(c) for c in json.loads(row["completions"])]
    by_id = {problem.id: problem for problem in problems}
    trial = TrialSpec.model_validate_json(row["trial"])
    contamination = {key: Contamination(**found) for key, found in json.loads(row["contamination"]).items()}
    cell = score_cell(
        [by_id[c.problem_id] for c in completions],
        completions,
        quality=trial.quality,
        contamination=contamination,
    )
    return {"key": row["key"], "cell": cell.model_dump_json()}


def run_scoring(jobs: Sequence[JudgingJob]) -> Iterator[tuple[str, tuple[ScoredCell, ...]]]:
    """Score all jobs; yields each job's key and cells when done."""
    import ray.data

    _quiet()
    items = [
        {
            "key": job.key,
            "trial": job.trial.model_dump_json(),
            "contamination": json.dumps(
                {p.id: asdict(job.contamination[p.id]) for p in problems if p.id in job.contamination}
            ),
            **_packed(tuple({p.id: p for p in problems}.values()), completions),
        }
        for job in jobs
        for problems, completions in cells_of(job.problems, job.completions)
    ]
    dataset = ray.data.from_items(items, override_num_blocks=len(items)).map(score_chunk, num_cpus=1)
    waiting = {job.key: sum(item["key"] == job.key for item in items) for job in jobs}
    found: dict[str, list[ScoredCell]] = {job.key: [] for job in jobs}
    for row in dataset.iter_rows():
        key = row["key"]
        found[key].append(ScoredCell.model_validate_json(row["cell"]))
        waiting[key] -= 1
        if waiting[key] == 0:
            yield key, tuple(sorted(found.pop(key), key=lambda cell: (cell.track, cell.dataset)))


def _chunks(job: JudgingJob) -> Iterator[tuple[tuple[Problem, ...], tuple[Completion, ...]]]:
    """Testable completions of one language at a time, so that a warm compiler serves a whole chunk."""
    by_id = {problem.id: problem for problem in job.problems}
    by_language: dict[object, list[Completion]] = {}
    for completion in job.completions:
        problem = by_id[completion.problem_id]
        if problem.tests is not None:
            by_language.setdefault(problem.parsed_track.target, []).append(completion)
    for group in by_language.values():
        for start in range(0, len(group), _PROGRAMS_PER_TASK):
            chunk = tuple(group[start : start + _PROGRAMS_PER_TASK])
            yield tuple({c.problem_id: by_id[c.problem_id] for c in chunk}.values()), chunk


def _packed(problems: Sequence[Problem], completions: Sequence[Completion]) -> dict[str, str]:
    """Records as JSON: what crosses between processes is plain text."""
    return {
        "problems": json.dumps([p.model_dump(mode="json") for p in problems]),
        "completions": json.dumps([c.model_dump(mode="json") for c in completions]),
    }
