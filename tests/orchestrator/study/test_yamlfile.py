"""YAML as people mean it: what a value looks like is what it is, and no file takes the reader down."""

import time
from pathlib import Path
from typing import Any

import pytest
from small_studies import make_study, raw_study, write_data

from orchestrator.errors import StudyError
from orchestrator.ledger.studies import ledger_of, load_named
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.schema import Study
from orchestrator.study.yamlfile import YamlError, read_yaml

HEAD = """\
study: small
models: [builtin:micro]
tasks:
  generation/python: {train: micro, test: micro}
"""


def value_of(text: str) -> Any:
    return read_yaml(f"key: {text}").value["key"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("Yes", "Yes"), ("on", "on"), ("OFF", "OFF"), ("y", "y"), ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("010", 10), ("0o10", 8), ("0x1F", 31), ("-5", -5), ("1_000", "1_000"), ("1e-4", 1e-4), ("1.", 1.0),
        (".5", 0.5),
        ("+.5e2", 50.0), ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None),
        ("2026-11-26", "2026-11-26"),
        ("'1'", "1"), ('"a\\nb"', "a\nb"), ('"\\ud83d\\ude00"', "😀"), ("=", "="), ("0b11", "0b11"), ("Null", None),
        ("1e400", float("inf")), ("-.inf", float("-inf")), ("[no, 010]", ["no", 10]), ("{yes: no}", {"yes": "no"}),
    ],
)  # fmt: skip
def test_value_is_what_it_looks_like(text: str, value: Any) -> None:
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


def test_keys_are_names_as_they_are_written() -> None:
    assert read_yaml("yes: 1\ntrue: 2\nno: 3\n1: 4\n1.0: 5\nnull: 6\n").value == {
        "yes": 1, "true": 2, "no": 3, "1": 4, "1.0": 5, "null": 6
    }  # fmt: skip


def test_lines_are_those_of_keys_and_entries() -> None:
    lines = read_yaml("a:\n  b: 1\n  c: [1,\n      2]\n").lines
    assert {path: lines[path] for path in (("a",), ("a", "b"), ("a", "c", 1))} == {
        ("a",): 1, ("a", "b"): 2, ("a", "c", 1): 4
    }  # fmt: skip


def test_anchors_are_written_out_and_merged() -> None:
    found = read_yaml("x-base: &base {a: 1, b: 2}\none: {<<: *base, b: 3}\ntwo: [*base, *base]\n").value
    assert found["one"] == {"a": 1, "b": 3}
    assert found["two"] == [{"a": 1, "b": 2}] * 2


NESTED = "[" * 3000 + "]" * 3000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a\n  self: *a\n", "an alias that holds itself"),
        ("a: &a [*a]\n", "an alias that holds itself"),
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(8)
        ), "aliases that stand for more than 100,000 values"),
        ("a: 1\nb: 2\na: 3\n", "stands in line 1 already"),
        ("? [a]\n: 1\n", "a key is a word"),
        ('a: "\\ud83d"\n', "half a character"),
        ("a: !!python/object:os.system {}\n", "means nothing here"),
        ("a: !secret x\n", "means nothing here"),
        ("a: [1\n", "no YAML"),
        (f"a: {NESTED}\n", "nested too deeply"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_at_once(text: str, said: str) -> None:
    began = time.monotonic()
    try:
        found = read_yaml(text)
    except YamlError as error:
        assert said in " ".join(fault.message for fault in error.faults)
    except RecursionError:
        pytest.fail("the parser's stack is no message")
    else:
        # A tag on a mapping changes nothing about its content.
        assert "object" in text and found.value == {"a": {}}
    assert time.monotonic() - began < 20


def study_of(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load_study(path)


def test_methods_may_be_called_yes_true_and_no(tmp_path: Path) -> None:
    study = study_of(tmp_path, "methods: {yes: {kind: frozen}, true: {kind: frozen}, no: {kind: frozen}}\n")
    assert [trial.label for trial in expand(study).trials] == [f"micro/{n}/seed0" for n in ("yes", "true", "no")]


def test_what_begins_with_x_is_for_anchors(tmp_path: Path) -> None:
    study = study_of(tmp_path, "x-frozen: &frozen {kind: frozen}\nmethods: {one: *frozen, two: *frozen}\n")
    assert list(study.methods) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("methods: {m: {kind: lora, training: {max_steps: 1:30, learning_rate: 1}}}", "got '1:30'"),
        ("methods: {m: {kind: lora, training: {max_steps: yes, learning_rate: 1}}}", "got 'yes'"),
        ("methods: {m: {kind: lora, training: {max_steps: true, learning_rate: 1}}}", "is a number, got true"),
        ("methods: {m: {kind: lora, training: {max_steps: 1, learning_rate: .inf}}}", "finite number, got inf"),
        ("methods: {m: {kind: lora, training: {max_steps: 1, learning_rate: 1e400}}}", "finite number, got inf"),
        ("methods: {m: {kind: frozen}}\nresources: {price_per_hour: .nan}", "finite number, got nan"),
        ("methods: {m: {kind: frozen}}\nevaluation: {limits: {cpu_s: .inf}}", "finite number, got inf"),
        ("methods: {m: {kind: frozen}}\nseeds: [99999999999999999999]", "less than 9223372036854775808"),
        ("methods: {m: {kind: frozen}}\nevaluation: {generation: {seed: 99999999999999999999}}", "less than"),
        ("methods: {? '' : {kind: frozen}}", "a method's name has 1 to 100 printable characters"),
        (f"methods: {{{'m' * 101}: {{kind: frozen}}}}", "a method's name has 1 to 100 printable characters, got 101"),
        ("methods: {m: {kind: frozen}}\nstorage: $NOT_SET_ANYWHERE/runs", "$NOT_SET_ANYWHERE is not set"),
    ],
)  # fmt: skip
def test_value_that_cannot_be_meant_is_one_fault(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        study_of(tmp_path, text + "\n")
    (fault,) = caught.value.faults
    assert said in fault.message, fault


def test_long_study_name_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="at most 100 characters"):
        make_from(tmp_path, study="a" * 300)


def make_from(tmp_path: Path, **changes: Any) -> Study:
    import yaml

    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(raw_study(**changes)), encoding="utf-8")
    return load_study(path)


def test_paths_are_written_out_as_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WHERE", str(tmp_path / "there"))
    write_data(tmp_path / "there" / "data")
    study = make_from(tmp_path, storage="~/runs", data={"root": "${WHERE}/data"}, models=["$WHERE/model"])
    assert study.storage == str(tmp_path / "home" / "runs")
    assert study.data.root == str(tmp_path / "there" / "data")
    assert study.models[0].name == str(tmp_path / "there" / "model")


def test_stored_study_says_any_text_again(tmp_path: Path) -> None:
    study = make_study(tmp_path, question='is it ok 😀? "yes": no\u2028 é')
    store_study(expand(study), ledger_of(study))
    assert load_named(f"{study.storage}/small").question == study.question


def test_stored_study_is_found_where_its_storage_was_moved_to(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    store_study(expand(study), ledger_of(study))
    moved = Path(study.storage).rename(tmp_path / "moved")
    assert load_named(f"{moved}/small").storage == str(moved)


@pytest.mark.parametrize(
    ("name", "label"), [("./model/", "model"), ("./model", "model"), ("model//", "model"), (".", "here")]
)
def test_model_s_folder_names_its_trials_whatever_its_slashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_base: Path, name: str, label: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "model").symlink_to(tiny_base)
    (here / "config.json").symlink_to(tiny_base / "config.json")
    (trial,) = expand(make_study(tmp_path, models=[name], methods={"frozen": {"kind": "frozen"}})).trials
    assert trial.label == f"{label}/frozen/seed0"
