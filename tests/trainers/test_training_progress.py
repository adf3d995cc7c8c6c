"""How far a training is, as a value that a disk can hold and that a training can begin from."""

import math

import pytest

from trainers.loop.divergence import diverged
from trainers.loop.progress import Best, Progress, StepRow


def after(steps: int) -> Progress:
    progress = Progress()
    for step in range(1, steps + 1):
        row: StepRow = {"step": step, "loss": 1 / step, "gradient_norm": 0.1, "learning_rate": 1e-3}
        recent = progress.with_row(row)
        progress = progress.stepped(loss=1 / step, tokens=10, seconds=0.5 * step, recent=recent)
    return progress


@pytest.mark.parametrize("progress", [Progress(), after(3), after(25).kept(value=None, folder="x"), after(2).waited()])
def test_progress_read_back_is_what_was_written(progress: Progress) -> None:
    assert Progress.model_validate_json(progress.model_dump_json()) == progress


def test_steps_add_up_and_the_last_twenty_are_remembered() -> None:
    progress = after(25)
    assert (progress.step, progress.tokens, progress.seconds) == (25, 250, 12.5)
    assert (progress.first_loss, progress.last_loss) == (1.0, 1 / 25)
    assert [row["step"] for row in progress.recent] == list(range(6, 26))


def test_best_is_the_step_that_was_kept_and_counts_validations_since() -> None:
    progress = after(4).kept(value=0.5, folder="checkpoint-4").waited().waited()
    assert progress.best == Best(step=4, value=0.5, folder="checkpoint-4", waited=2)
    assert progress.kept(value=0.4, folder="checkpoint-4").best.waited == 0


def test_evidence_of_a_divergence_has_words_for_what_json_has_no_number_for() -> None:
    steps = after(1).with_row({"step": 2, "loss": math.nan, "gradient_norm": math.inf})
    error = diverged("step 2: loss nan", steps=steps, batch=["e1"])
    assert error.evidence["last_steps"][-1] == {"step": 2, "loss": "nan", "gradient_norm": "inf"}
    assert error.evidence["last_batch"] == ["e1"]
    assert str(error) == "step 2: loss nan; lower training.learning_rate"
