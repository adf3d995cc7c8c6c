"""The threads of a run: what one of them meets is not the others' fault."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_studies import commit, finish_training, make_study

from orchestrator.ledger.ledger import Ledger
from orchestrator.run import driver
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.cluster import ClusterWatch
from orchestrator.run.pipelines import record_as_they_arrive
from orchestrator.run.state import Listener, StudyRun
from orchestrator.study.cells import expand
from orchestrator.study.trial import TrialSpec


def test_thread_that_breaks_off_stops_the_run_and_fails_no_trial_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path, seeds=[0, 1], methods={"qlora": {"kind": "qlora"}})
    ledger, (written, trained) = Ledger(study.storage), expand(study).trials
    for trial in (written, trained):
        finish_training(ledger, trial)
    for stage, file in (("generate", "completions.jsonl"), ("execute", "verdicts.jsonl")):
        commit(ledger, written, stage, files={file: ""})  # type: ignore[arg-type]

    def stage(name: str, due: int) -> None:
        if name == "generate":
            raise KeyError("a fault of ours")

    def scoring(run: StudyRun, due: Sequence[TrialSpec], joining: object) -> None:
        def stream(jobs: Sequence[str], told: object, more: object) -> Iterator[tuple[str, list[Any]]]:
            with run.changed:
                assert run.changed.wait_for(lambda: "generate" not in run.working, timeout=30)
            raise RuntimeError("Ray was shut down")
            yield

        record_as_they_arrive(run, "score", due, job=lambda trial: trial.key("score"), stream=stream)

    monkeypatch.setitem(driver.PIPELINES, "score", scoring)
    with ledger.lease(study.study) as lease:
        meter = Meter(study, ledger, Limits())
        run = StudyRun(expand(study), ledger, lease=lease, listener=Listener(stage=stage), meter=meter)
        run.done.look()
        with meter, pytest.raises(KeyError, match="a fault of ours"):
            driver._run_threads(run, ClusterWatch(study.resources, note=print))
    assert run.outcome.failed == {}
    assert ledger.last_failure(written.key("score")) is None
    assert run.outcome.stopped == "generate broke off: KeyError"
