"""The body of train: one trial's model, judged by what it writes where the study asks for that.

One decision: trainers know no evaluators, so the judge of generated validation output is made here and handed down.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.ledger.artifacts import write_summary
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import read_all_examples, read_all_problems
from tasks.records import Track
from trainers.spec import Runtime

if TYPE_CHECKING:
    from trainers.loop.log import Row
    from trainers.loop.resume import Resuming
    from trainers.loop.services import Validate
    from trainers.loop.summary import TrainingSummary


def train(
    trial: TrialSpec,
    folder: Path,
    *,
    root: Path,
    runtime: Runtime,
    report: "Callable[[Row], None]",
    resuming: "Resuming | None" = None,
) -> "TrainingSummary":
    """Train one trial's model into `folder`; `summary.json` there says what was done."""
    from trainers.loop.train import Hooks, TrainingData
    from trainers.loop.train import train as run_training

    spec = trial.training_spec
    assert spec is not None
    validates = bool(spec.settings.validate_every)
    data = TrainingData(
        train=read_all_examples(trial.train, root=root),
        validation=read_all_examples(trial.validation, root=root) if validates else (),
    )
    judge = _validator(trial, root=root) if validates and spec.settings.select_by == "similarity" else None
    hooks = Hooks(report=report, validate=judge, resuming=resuming)
    summary = run_training(spec, data=data, out=folder, runtime=runtime, hooks=hooks)
    if (folder / summary.weights).is_dir() and _is_first_process():
        write_summary(folder, summary)
    return summary


def _is_first_process() -> bool:
    import torch

    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def _validator(trial: TrialSpec, *, root: Path) -> "Validate":
    """Judge generated validation output: CodeBLEU for code, BLEU for prose, the mean over tracks."""
    from evaluators.generation.transformers_engine import generate
    from models.loading import load_tokenizer
    from orchestrator.work.score import cells_of, score_cell

    problems = read_all_problems(trial.validation, root=root)
    tokenizer = load_tokenizer(trial.model)
    greedy = trial.generation.model_copy(update={"samples": 1, "temperature": 0.0})

    def judge(model: Any) -> dict[str, float]:
        completions = generate(model, tokenizer, problems, settings=greedy, slots=16)
        cells = [score_cell(*cell, quality=False) for cell in cells_of(problems, completions)]
        values = {
            f"{cell.track}/{name}": cell.corpus[name]
            for cell in cells
            for name in (["codebleu"] if Track.parse(cell.track).writes_code else ["bleu"])
        }
        return {**values, "similarity": sum(values.values()) / len(values)}

    return judge
