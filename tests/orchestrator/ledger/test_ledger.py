"""The ledger: a record is the success, made once, of these very inputs and of whole files."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from small_studies import commit, finish_training, make_study, trial_of

from orchestrator.errors import ArtifactDamaged, LedgerError
from orchestrator.ledger.ledger import Failure, Ledger, StageRecord, digests_of, read_lines
from orchestrator.provenance import version
from orchestrator.study.trial import TrialSpec

OUTPUT = {"completions.jsonl": '{"a": 1}\n'}


@pytest.fixture
def trial(tmp_path: Path) -> TrialSpec:
    return trial_of(make_study(tmp_path), "qlora")


def failure(cause: str = "out of memory", *, failed_at: float = 1.0) -> Failure:
    return Failure(stage="train", cause=cause, kind="code", traceback="Traceback ...", failed_at=failed_at)


def records_in(ledger: Ledger, key: str) -> list[str]:
    """Names of a stage's records."""
    return [entry.name for entry in ledger.store.entries(f"stages/{key}/") if "/record-" in entry.name]


def name_of(ledger: Ledger, record: StageRecord) -> str:
    (name,) = records_in(ledger, record.key)
    return name


def file_of(record: StageRecord, file: str) -> str:
    """The name that one file of a finished stage goes by in the ledger."""
    return f"stages/{record.key}/attempts/{record.attempt}/{file}"


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


@pytest.mark.parametrize("change", [{"colour": "red"}, {"seconds": "long"}])
def test_record_that_was_edited_is_an_error_with_its_remedy(
    ledger: Ledger, trial: TrialSpec, change: dict[str, object]
) -> None:
    name = name_of(ledger, finish_training(ledger, trial))
    ledger.store.write(name, json.dumps(json.loads(ledger.store.read(name) or b"") | change).encode())
    with pytest.raises(LedgerError, match="it was edited: remove the file to run the stage again"):
        ledger.records_of(trial)


def test_record_that_is_no_json_is_an_error(ledger: Ledger, trial: TrialSpec) -> None:
    ledger.store.write(name_of(ledger, finish_training(ledger, trial)), b'{"format": \xff')
    with pytest.raises(LedgerError, match="not a record that this version can read"):
        ledger.records_of(trial)


def test_record_of_a_newer_version_is_refused_with_both_versions(ledger: Ledger, trial: TrialSpec) -> None:
    record = finish_training(ledger, trial)
    raw = record.model_dump(mode="json") | {"format": 2, "provenance": {"polytune": "9.1"}, "new": True}
    ledger.store.write(name_of(ledger, record), json.dumps(raw).encode())
    said = rf"has format 2, written by polytune 9\.1; this is polytune {re.escape(version())}, which reads format 1"
    with pytest.raises(LedgerError, match=said):
        ledger.records_of(trial)


def test_ledger_of_a_newer_version_is_refused_with_both_versions(ledger: Ledger, storage: str) -> None:
    ledger.begin("key")
    ledger.store.create("ledger-2.json", b'{"format": 2, "polytune": "9.1"}')
    said = r"has format 2, written by polytune 9\.1; this is polytune .*: upgrade polytune"
    with pytest.raises(LedgerError, match=said):
        Ledger(storage)


def test_new_weights_break_the_chain_behind_them(ledger: Ledger, trial: TrialSpec) -> None:
    trained = finish_training(ledger, trial, weights="first")
    commit(ledger, trial, "generate", files=OUTPUT)
    commit(ledger, trial, "execute", files={"verdicts.jsonl": ""})
    commit(ledger, trial, "score", files={"cells.json": "[]"})
    assert set(ledger.records_of(trial)) == {"train", "generate", "execute", "score"}
    ledger.store.delete([name_of(ledger, trained)])
    assert ledger.records_of(trial) == {}
    finish_training(ledger, trial, weights="second")
    assert set(ledger.records_of(trial)) == {"train"}
    again = commit(ledger, trial, "generate", files=OUTPUT)
    # The same completions from other weights: what judged them before still holds.
    assert set(ledger.records_of(trial)) == {"train", "generate", "execute", "score"}
    assert len(records_in(ledger, again.key)) == 2


def test_same_weights_made_anew_find_what_followed_them(ledger: Ledger, trial: TrialSpec) -> None:
    trained = finish_training(ledger, trial)
    generated = commit(ledger, trial, "generate", files=OUTPUT)
    ledger.store.delete([name_of(ledger, trained)])
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
    assert list(ledger.attempts("key")) == folders[::-1]


def test_hidden_files_are_no_output(ledger: Ledger, trial: TrialSpec) -> None:
    attempt = ledger.begin(trial.key("train"))
    (attempt.folder / ".progress.json").write_text("{}")
    (attempt.folder / "metrics").mkdir()
    (attempt.folder / "metrics" / "00000.jsonl").write_text("x")
    assert list(digests_of(attempt.folder)) == ["metrics/00000.jsonl"]


def test_digest_of_outputs_says_their_content_and_names_alone(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    one, same = (commit(ledger, trial, "generate", files=OUTPUT, inputs={"x": x}, seconds=len(x)) for x in ("a", "bb"))
    other = commit(ledger, trial, "generate", files={"completions.jsonl": '{"a": 2}\n'}, inputs={"x": "c"})
    renamed = commit(ledger, trial, "generate", files={"other.jsonl": OUTPUT["completions.jsonl"]}, inputs={"x": "d"})
    assert one.output_digest == same.output_digest
    assert len({record.output_digest for record in (one, other, renamed)}) == 3


def test_training_made_anew_with_equal_weights_keeps_what_stands_on_it(ledger: Ledger, trial: TrialSpec) -> None:
    first = finish_training(ledger, trial)
    written = commit(ledger, trial, "generate", files=OUTPUT)
    ledger.condemn(first, "a file is damaged")
    assert ledger.records_of(trial) == {}
    # The same weights; another curve, and another summary beside it.
    files = {"checkpoint-4/adapter_model.safetensors": "weights", "summary.json": "{}", "metrics/00000.jsonl": "[]"}
    again = commit(ledger, trial, "train", files=files, facts={"weights": "checkpoint-4"}, seconds=1.0)
    assert ledger.records_of(trial) == {"train": again, "generate": written}
    ledger.condemn(again, "a file is damaged")
    finish_training(ledger, trial, weights="others")
    assert set(ledger.records_of(trial)) == {"train"}


def test_lines_are_read_back_whatever_their_text_holds(tmp_path: Path) -> None:
    # A line separator is one character to JSON, and an end of line to `str.splitlines`.
    rows = [{"text": "a\u2028b\x0cc\x85d\ne"}, {"text": ""}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert read_lines(path) == rows


def test_another_machine_finds_what_this_one_committed(
    ledger: Ledger, trial: TrialSpec, another: Callable[[], Ledger]
) -> None:
    trained = finish_training(ledger, trial)
    ledger.fail(ledger.begin(trial.key("generate")), failure("no room"))
    elsewhere = another()
    assert elsewhere.records_of(trial) == {"train": trained}
    weights = elsewhere.folder(trained, under="checkpoint-4/") / "checkpoint-4" / "adapter_model.safetensors"
    assert weights.read_text() == "weights"
    told = elsewhere.last_failure(trial.key("generate"))
    assert told and told[0].cause == "no room"
    assert told[1].is_file() and list(elsewhere.attempts(trial.key("generate"))) == [told[1].parent]


def test_only_what_is_asked_for_is_fetched(ledger: Ledger, trial: TrialSpec, another: Callable[[], Ledger]) -> None:
    trained = finish_training(ledger, trial)
    elsewhere = another()
    folder = elsewhere.folder(trained, under="metrics/")
    assert sorted(path.name for path in (folder / "metrics").iterdir()) == ["00000.jsonl", "00001.jsonl"]
    assert elsewhere.is_local or not (folder / "checkpoint-4").exists()


def test_one_process_s_attempt_can_be_committed_by_another(
    ledger: Ledger, trial: TrialSpec, another: Callable[[], Ledger]
) -> None:
    begun = ledger.begin(trial.key("train"))
    worker = another()
    there = worker.attempt(begun.key, begun.id)
    (there.folder / "summary.json").write_text("{}")
    worker.upload(there)
    ledger.download(begun)
    assert (begun.folder / "summary.json").read_text() == "{}"
    assert list(digests_of(begun.folder)) == ["summary.json"]


WEIGHTS = "checkpoint-4/adapter_model.safetensors"
HARMS: dict[str, tuple[bytes | None, str]] = {
    "gone": (None, "is missing"),
    "torn": (b"wei", r"is cut short \(3 of 7 bytes\)"),
    "longer": (b"weights and more", r"is longer than recorded \(16 of 7 bytes\)"),
}


def harm(ledger: Ledger, record: StageRecord, content: bytes | None, *, file: str = WEIGHTS) -> None:
    """Change a file of a finished stage behind the ledger's back."""
    if content is None:
        ledger.store.delete([file_of(record, file)])
    else:
        ledger.store.write(file_of(record, file), content)


@pytest.mark.parametrize("kind", HARMS)
def test_stage_whose_file_is_gone_or_of_another_size_is_not_done_and_says_why(
    ledger: Ledger, trial: TrialSpec, kind: str
) -> None:
    content, fault = HARMS[kind]
    harm(ledger, finish_training(ledger, trial), content)
    found = ledger.find(trial)
    assert found.done == {}
    assert re.fullmatch(f"{WEIGHTS} {fault}", found.damaged["train"])


def test_flipped_byte_is_found_by_its_hash_when_the_file_is_read(
    ledger: Ledger, trial: TrialSpec, another: Callable[[], Ledger]
) -> None:
    trained = finish_training(ledger, trial)
    commit(ledger, trial, "generate", files=OUTPUT)
    harm(ledger, trained, b"weighty")
    elsewhere = another()
    assert set(elsewhere.records_of(trial)) == {"train", "generate"}, "a size tells nothing"
    said = rf"{WEIGHTS} was changed \(sha256 .*run the study again to make it anew"
    with pytest.raises(ArtifactDamaged, match=said):
        elsewhere.folder(trained, under="checkpoint-4/")
    assert ledger.records_of(trial) == {}, "condemned for everybody"


def test_stage_that_was_condemned_is_made_anew_and_both_records_stay(ledger: Ledger, trial: TrialSpec) -> None:
    first = finish_training(ledger, trial)
    commit(ledger, trial, "generate", files=OUTPUT)
    harm(ledger, first, b"wei")
    assert set(ledger.find(trial, condemn=True).damaged) == {"train"}
    second = finish_training(ledger, trial)
    assert second.attempt != first.attempt
    # The same weights again: what was made from the first still holds.
    assert set(ledger.records_of(trial)) == {"train", "generate"}
    assert ledger.find(trial).damaged == {}
    assert len(records_in(ledger, trial.key("train"))) == 2
    harm(ledger, second, None)
    third = finish_training(ledger, trial, weights="other weights")
    assert ledger.records_of(trial) == {"train": third}
    assert len(records_in(ledger, trial.key("train"))) == 3


def test_output_may_be_damaged_while_its_input_is_whole(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    generated = commit(ledger, trial, "generate", files=OUTPUT)
    harm(ledger, generated, None, file="completions.jsonl")
    found = ledger.find(trial)
    assert (set(found.done), found.damaged) == ({"train"}, {"generate": "completions.jsonl is missing"})


def test_copy_that_was_cut_off_is_fetched_again(s3: str, trial: TrialSpec) -> None:
    ledger = Ledger(s3)
    trained = finish_training(ledger, trial)
    copy = ledger.folder(trained) / WEIGHTS
    copy.write_text("wei")
    assert (ledger.folder(trained) / WEIGHTS).read_text() == "weights"


def test_hashes_of_small_files_are_looked_at_where_they_lie(trial: TrialSpec, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs")
    harm(ledger, finish_training(ledger, trial), b"weighty")
    assert ledger.find(trial, hash_up_to=6).damaged == {}
    assert set(ledger.find(trial, hash_up_to=7).damaged) == {"train"}


def test_storage_of_no_known_kind_is_refused() -> None:
    with pytest.raises(LedgerError, match="give a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"):
        Ledger("ftp://host/runs")
