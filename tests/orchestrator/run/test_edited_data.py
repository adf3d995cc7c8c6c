"""Data that somebody edits while a study runs: one run has one set of keys, and no result under a wrong one."""

from pathlib import Path

from small_studies import make_study, opened, trial_of

from orchestrator.ledger.studies import ledger_of
from orchestrator.run.driver import run_one_in_process
from orchestrator.study.cells import expand


def test_stage_that_would_read_edited_data_fails_and_the_next_run_makes_it_under_its_own_key(
    tmp_path: Path, tiny_base: Path
) -> None:
    study = make_study(
        tmp_path,
        models=[str(tiny_base)],
        methods={"frozen": {"kind": "frozen"}},
        evaluation={"quality": False, "generation": {"max_new_tokens": 2, "max_summary_tokens": 2}},
    )
    cells, ledger = opened(study)
    (trial,) = cells.trials
    test_file = tmp_path / "data" / "test.jsonl"
    test_file.write_text(test_file.read_text(encoding="utf-8").replace("small/", "smaller/"), encoding="utf-8")
    first = run_one_in_process(cells, ledger, trial.label)
    ((failed_at, failed),) = first.failed.items()
    assert failed_at == (trial.label, "generate") and "was edited after this run began" in failed.cause
    assert first.ran == {}
    edited = trial_of(study, "frozen")
    assert edited.key("generate") != trial.key("generate")
    again = run_one_in_process(expand(study), ledger_of(study), edited.label)
    assert (again.failed, again.ran["generate"]) == ({}, 1)
    assert {record.key for record in ledger.all_records().values() if record} == {
        edited.key(stage) for stage in edited.stages
    }
