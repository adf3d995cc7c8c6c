"""Causes are read from real exceptions; what follows from them is the queue's to say."""

import errno

import pytest
import torch

from orchestrator.causes import kind_of, wait_before
from orchestrator.errors import LedgerError, StageFailed
from trainers.loop.divergence import TrainingDiverged


def test_memory_that_the_host_does_not_have_is_a_matter_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert kind_of(caught.value) == "memory"


def test_a_gpu_out_of_memory_is_known_by_its_own_exception() -> None:
    assert kind_of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")) == "memory"


def test_a_wrapped_cause_counts_for_its_wrapper() -> None:
    try:
        try:
            raise MemoryError
        except MemoryError as inner:
            raise RuntimeError("the worker group failed") from inner
    except RuntimeError as error:
        assert kind_of(error) == "memory"


def test_processes_that_lost_a_peer_are_lost_and_no_fault_of_ours() -> None:
    class WorkerGroupError(Exception):
        """As Ray Train raises it: with the failures of its processes by rank."""

        def __init__(self) -> None:
            super().__init__("2 workers failed")
            self.worker_failures = {0: RuntimeError("Connection closed by peer [127.0.0.1]:4711"), 1: ValueError("x")}

    assert kind_of(WorkerGroupError()) == "lost"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (LedgerError("cannot be written", errno=errno.ENOSPC), "disk"),
        (TrainingDiverged("step 3: loss nan", {}), "diverged"),
        (ValueError("lora.targets names no_such_proj"), "settings"),
        (KeyError("weights"), "code"),
        (StageFailed("not run: no g++", kind="missing"), "missing"),
    ],
)
def test_each_cause_has_its_kind(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_waiting_doubles_up_to_five_minutes() -> None:
    assert [wait_before(tries) for tries in (1, 2, 3, 4, 9, 10, 60)] == [1, 2, 4, 8, 256, 300, 300]
