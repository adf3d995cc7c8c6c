"""The queue of trainings: order, retries by cause, room, and a stop. No Ray is needed to decide."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StageFailed
from orchestrator.run.queue import TrainingQueue
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.work.training import TrainingOrder
from tests.orchestrator.small_studies import make_study

METHODS = {
    "lora": {"kind": "lora"},
    "apart": {"kind": "lora", "grouping": "apart"},
    "full": {"kind": "full", "training": {"batch_size": 16}},
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(
        tmp_path, methods=METHODS, seeds=[0, 1], resources={"micro_tokens": 4096, "full_workers": 2}, evaluation={}
    )


def queue_of(study: Study, told: list[Any] | None = None, **options: Any) -> TrainingQueue:
    told = [] if told is None else told
    return TrainingQueue(
        expand(study).trials, resources=study.resources, ended=lambda *end: told.append(end), **options
    )


def take(queue: TrainingQueue, **options: Any) -> TrainingOrder:
    order = queue.next(**options)
    assert order is not None
    return order


def drained(queue: TrainingQueue) -> list[str]:
    labels = []
    while (order := queue.next()) is not None:
        labels.append(order.trial.label)
        queue.end(order.trial, None)
    return labels


def test_full_fine_tunings_start_first_and_few_tracks_last_where_nothing_else_is_known(study: Study) -> None:
    labels = drained(queue_of(study))
    assert [label.split("/")[1] for label in labels] == ["full", "full", "lora", "lora", *["apart"] * 4]


def test_the_longest_starts_first_and_unknown_ones_before_it(study: Study) -> None:
    def hours(trial: TrialSpec) -> float | None:
        return {"micro/lora/seed0": 1.0, "micro/lora/seed1": 3.0, "micro/full/seed0": 2.0}.get(trial.label)

    labels = drained(queue_of(study, hours=hours))
    assert labels[0] == "micro/full/seed1"
    assert labels[-3:] == ["micro/lora/seed1", "micro/full/seed0", "micro/lora/seed0"]


def test_a_training_by_several_processes_waits_for_room_and_is_not_overtaken(study: Study) -> None:
    queue = queue_of(study)
    first, second = take(queue, room=3), queue.next(room=3)
    assert (first.trial.kind, second) == ("full", None)
    queue.end(first.trial, None)
    assert take(queue, room=3).trial.kind == "full"
    assert take(queue, room=4).trial.kind == "lora"


def test_a_training_larger_than_the_cluster_starts_when_it_is_alone(study: Study) -> None:
    assert take(queue_of(study), room=1).trial.kind == "full"


def test_a_lost_training_begins_again_later_without_limit(study: Study) -> None:
    told: list[Any] = []
    queue = queue_of(study, told)
    order = take(queue)
    waiting = [t for t in expand(study).trials if t.label != order.trial.label]
    queue.end(order.trial, StageFailed("the node died", kind="lost"))
    assert told == [(order.trial, told[0][1], "goes on in 1 s")]
    # The others go on meanwhile, and the queue is not finished for as long as one may come back.
    assert sorted(drained(queue)) == sorted(trial.label for trial in waiting)
    assert not queue.finished


def test_what_runs_out_of_memory_gets_half_the_tokens_a_pass_and_so_do_its_siblings(study: Study) -> None:
    told: list[Any] = []
    queue = queue_of(study, told)
    order = take(queue)
    assert (order.trial.label, order.resources.micro_tokens) == ("micro/full/seed0", 4096)
    queue.end(order.trial, StageFailed("CUDA out of memory", kind="memory"))
    assert told[0][2] == "goes on with 2048 tokens a pass instead of 4096"
    again, sibling, other = take(queue), take(queue), take(queue)
    assert (again.trial, again.resources.micro_tokens) == (order.trial, 2048)
    assert [(retry.kind, retry.cause) for retry in again.retried] == [("memory", "CUDA out of memory")]
    assert (sibling.trial.label, sibling.resources.micro_tokens) == ("micro/full/seed1", 2048)
    assert (other.trial.label, other.resources.micro_tokens) == ("micro/lora/seed0", 4096)
    # The global batch is identity and stays.
    assert again.trial.key("train") == order.trial.key("train")


def test_half_of_a_pass_counts_from_what_a_process_really_sees(study: Study) -> None:
    raised = study.model_copy(update={"resources": study.resources.model_copy(update={"micro_tokens": 10**6})})
    told: list[Any] = []
    queue = queue_of(raised, told)
    queue.end(take(queue).trial, StageFailed("out of memory", kind="memory"))
    # 16 examples of at most 512 tokens by two processes are 4096 tokens each.
    assert told[0][2] == "goes on with 2048 tokens a pass instead of 4096"


def test_pass_of_hardly_an_example_that_does_not_fit_is_the_end(study: Study) -> None:
    told: list[Any] = []
    queue = queue_of(study, told)
    trial = take(queue).trial
    for _ in range(6):
        queue.end(trial, StageFailed("out of memory", kind="memory"))
        assert take(queue).trial == trial
    queue.end(trial, StageFailed("out of memory", kind="memory"))
    assert told[-1][2] == "goes on with activations that are computed again"
    order = take(queue)
    assert (order.resources.micro_tokens, order.resources.gradient_checkpointing) == (64, True)
    queue.end(trial, StageFailed("out of memory", kind="memory"))
    assert told[-1][2] == ""


@pytest.mark.parametrize("kind", ["diverged", "settings", "code", "disk", "missing"])
def test_other_causes_are_not_tried_again(study: Study, kind: str) -> None:
    told: list[Any] = []
    queue = queue_of(study, told)
    order = take(queue)
    queue.end(order.trial, StageFailed("no", kind=kind))
    assert told[0][2] == ""
    assert order.trial.label not in drained(queue)
    assert queue.finished


def test_nothing_starts_after_a_stop_and_what_runs_is_waited_for(study: Study) -> None:
    queue = queue_of(study)
    order = take(queue)
    queue.stop()
    assert queue.next() is None
    assert not queue.finished
    queue.end(order.trial, StageFailed("the node died", kind="lost"))
    assert queue.finished


def test_a_training_that_would_pass_a_limit_is_left_out_and_shorter_ones_go_on(study: Study) -> None:
    queue = queue_of(study, may_start=lambda trial: trial.kind != "full")
    assert len(drained(queue)) == 6
    assert queue.finished
