"""The ledger: a record is the success, made once, of these very inputs and of whole files."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_studies import commit, finish_training, make_study, trial_of

from orchestrator.errors import LedgerError
from orchestrator.ledger import Failure, Ledger, StageRecord, create_only, digests_of, read_lines
from orchestrator.trial import TrialSpec

OUTPUT = {"completions.jsonl": '{"a": 1}\n'}
_WRITER = """
import sys, time
from pathlib import Path
from orchestrator.ledger import create_only
path, text, start = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
print("ready", flush=True)
while not start.exists():
    time.sleep(0.001)
print(create_only(path, text * 100_000))
"""


@pytest.fixture
def trial(tmp_path: Path) -> TrialSpec:
    return trial_of(make_study(tmp_path), "qlora")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs")


def failure(cause: str = "out of memory", *, failed_at: float = 1.0) -> Failure:
    return Failure(stage="train", cause=cause, kind="code", traceback="Traceback ...", failed_at=failed_at)


def path_of(ledger: Ledger, record: StageRecord) -> Path:
    (path,) = (ledger.storage / "stages" / record.key).glob("record-*.json")
    return path


def test_committed_stage_is_found_again_with_all_that_it_says(ledger: Ledger, trial: TrialSpec) -> None:
    written = finish_training(ledger, trial)
    assert ledger.record(trial.key("train"), {}) == written
    assert (ledger.folder(written) / "checkpoint-4" / "adapter_model.safetensors").read_text() == "weights"
    assert (written.seconds, written.facts) == (7200.0, {"weights": "checkpoint-4"})


def test_empty_ledger_holds_nothing_and_makes_nothing(ledger: Ledger, trial: TrialSpec) -> None:
    assert ledger.records_of(trial) == {}
    assert ledger.last_failure(trial.key("train")) is None
    assert list(ledger.attempts(trial.key("train"))) == []
    assert not ledger.storage.exists()


def test_second_commit_gives_the_first_record(ledger: Ledger, trial: TrialSpec) -> None:
    first = finish_training(ledger, trial, weights="first")
    second = finish_training(ledger, trial, weights="second")
    assert second == first
    assert ledger.record(trial.key("train"), {}) == first
    assert len(list(ledger.attempts(trial.key("train")))) == 2


def test_record_is_not_found_for_other_inputs(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    record = commit(ledger, trial, "generate", files=OUTPUT)
    assert ledger.record(record.key, record.inputs) == record
    assert ledger.record(record.key, {name: "another" for name in record.inputs}) is None
    assert ledger.record(record.key, {}) is None


def test_attempt_without_a_record_counts_for_nothing(ledger: Ledger, trial: TrialSpec) -> None:
    attempt = ledger.begin(trial.key("train"))
    (attempt.folder / "summary.json").write_text("{}")
    assert ledger.records_of(trial) == {}
    assert list(ledger.attempts(trial.key("train"))) == [attempt.folder]


@pytest.mark.parametrize("harm", ["gone", "short"])
def test_output_that_is_gone_or_short_is_an_error_with_its_remedy(ledger: Ledger, trial: TrialSpec, harm: str) -> None:
    record = finish_training(ledger, trial)
    file = ledger.folder(record) / "metrics" / "00000.jsonl"
    if harm == "gone":
        file.unlink()
    else:
        file.write_text("{")
    with pytest.raises(LedgerError) as caught:
        ledger.records_of(trial)
    remedy = f"remove {path_of(ledger, record)} to run the stage again"
    assert str(caught.value) == f"{file} is missing or cut short; {remedy}"
    path_of(ledger, record).unlink()
    assert ledger.records_of(trial) == {}


@pytest.mark.parametrize("change", [{"format": 2}, {"colour": "red"}, {"seconds": "long"}])
def test_record_that_this_version_cannot_read_is_an_error(
    ledger: Ledger, trial: TrialSpec, change: dict[str, object]
) -> None:
    path = path_of(ledger, finish_training(ledger, trial))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(LedgerError, match="written by a newer polytune: upgrade, or remove the file"):
        ledger.records_of(trial)


def test_record_that_is_no_json_is_an_error(ledger: Ledger, trial: TrialSpec) -> None:
    path_of(ledger, finish_training(ledger, trial)).write_bytes(b'{"format": \xff')
    with pytest.raises(LedgerError, match="not a record that this version can read"):
        ledger.records_of(trial)


def test_new_weights_break_the_chain_behind_them(ledger: Ledger, trial: TrialSpec) -> None:
    trained = finish_training(ledger, trial, weights="first")
    commit(ledger, trial, "generate", files=OUTPUT)
    commit(ledger, trial, "execute", files={"verdicts.jsonl": ""})
    commit(ledger, trial, "score", files={"cells.json": "[]"})
    assert set(ledger.records_of(trial)) == {"train", "generate", "execute", "score"}
    path_of(ledger, trained).unlink()
    assert ledger.records_of(trial) == {}
    finish_training(ledger, trial, weights="second")
    assert set(ledger.records_of(trial)) == {"train"}
    again = commit(ledger, trial, "generate", files=OUTPUT)
    # The same completions from other weights: what judged them before still holds.
    assert set(ledger.records_of(trial)) == {"train", "generate", "execute", "score"}
    assert len(list((ledger.storage / "stages" / again.key).glob("record-*.json"))) == 2


def test_same_weights_made_anew_find_what_followed_them(ledger: Ledger, trial: TrialSpec) -> None:
    trained = finish_training(ledger, trial)
    generated = commit(ledger, trial, "generate", files=OUTPUT)
    path_of(ledger, trained).unlink()
    assert finish_training(ledger, trial).attempt != trained.attempt
    assert ledger.records_of(trial)["generate"] == generated


def test_failure_is_remembered_and_is_no_result(ledger: Ledger, trial: TrialSpec) -> None:
    path = ledger.fail(ledger.begin(trial.key("train")), failure())
    assert ledger.last_failure(trial.key("train")) == (failure(), path)
    assert ledger.records_of(trial) == {}


def test_latest_failure_counts(ledger: Ledger, trial: TrialSpec) -> None:
    for cause, failed_at in (("first", 1.0), ("third", 3.0), ("second", 2.0)):
        ledger.fail(ledger.begin(trial.key("train")), failure(cause, failed_at=failed_at))
    found = ledger.last_failure(trial.key("train"))
    assert found and found[0].cause == "third"


def test_first_word_on_a_failure_stands(ledger: Ledger, trial: TrialSpec) -> None:
    attempt = ledger.begin(trial.key("train"))
    ledger.fail(attempt, failure("the cause"))
    ledger.fail(attempt, failure("a consequence"))
    found = ledger.last_failure(trial.key("train"))
    assert found and found[0].cause == "the cause"


def test_success_after_a_failure_is_a_success(ledger: Ledger, trial: TrialSpec) -> None:
    ledger.fail(ledger.begin(trial.key("train")), failure())
    finish_training(ledger, trial)
    assert set(ledger.records_of(trial)) == {"train"}


def test_attempts_are_told_newest_first(ledger: Ledger) -> None:
    folders = [ledger.begin("key").folder for _ in range(3)]
    for age, folder in enumerate(folders):
        os.utime(folder, (1000 - age, 1000 - age))
    assert list(ledger.attempts("key")) == folders


def test_hidden_files_are_no_output(ledger: Ledger, trial: TrialSpec) -> None:
    attempt = ledger.begin(trial.key("train"))
    (attempt.folder / ".progress.json").write_text("{}")
    (attempt.folder / "metrics").mkdir()
    (attempt.folder / "metrics" / "00000.jsonl").write_text("x")
    assert list(digests_of(attempt.folder)) == ["metrics/00000.jsonl"]


def test_digest_of_outputs_says_their_content_and_names_alone(ledger: Ledger, trial: TrialSpec) -> None:
    one, same = (commit(ledger, trial, "train", files=OUTPUT, inputs={"x": x}, seconds=len(x)) for x in ("a", "bb"))
    other = commit(ledger, trial, "train", files={"completions.jsonl": '{"a": 2}\n'}, inputs={"x": "c"})
    renamed = commit(ledger, trial, "train", files={"other.jsonl": OUTPUT["completions.jsonl"]}, inputs={"x": "d"})
    assert one.output_digest == same.output_digest
    assert len({record.output_digest for record in (one, other, renamed)}) == 3


def test_file_is_created_only_once(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert create_only(path, "first")
    assert not create_only(path, "second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["record.json"]


def test_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        create_only(tmp_path / "record.json", "half \ud800")
    assert not (tmp_path / "record.json").exists()


def test_of_many_threads_one_creates_the_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: create_only(path, str(n) * 100_000), range(8)))
    assert won.count(True) == 1
    assert path.read_text() == str(won.index(True)) * 100_000


def test_of_two_processes_one_creates_the_file(tmp_path: Path) -> None:
    path, start = tmp_path / "record.json", tmp_path / "start"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, path, text, start], stdout=subprocess.PIPE, text=True)
        for text in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    start.touch()
    won = [writer.communicate(timeout=60)[0].strip() == "True" for writer in writers]
    assert sorted(won) == [False, True]
    assert path.read_text() == ("one", "two")[won.index(True)] * 100_000
    assert sorted(os.listdir(tmp_path)) == ["record.json", "start"]


def test_lines_are_read_back_whatever_their_text_holds(tmp_path: Path) -> None:
    # A line separator is one character to JSON, and an end of line to `str.splitlines`.
    rows = [{"text": "a\u2028b\x0cc\x85d\ne"}, {"text": ""}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert read_lines(path) == rows
