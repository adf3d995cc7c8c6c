"""The study's schema: short forms, shared settings, and what is refused."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from small_studies import CODE, PROSE, make_study, raw_study

from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import Method, Study, validate
from tasks.readers import Columns, Source
from tasks.records import Task


def study(**changes: Any) -> Study:
    return validate(plain_form(raw_study(**changes)))


def method(entry: dict[str, Any], **changes: Any) -> Method:
    return study(methods={"m": entry}, **changes).methods["m"]


def messages(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        study(**changes)
    return str(caught.value)


def test_schema_is_read_without_what_trains_and_generates() -> None:
    heavy = ("torch", "transformers", "peft", "bitsandbytes", "ray", "mlflow")
    code = f"import sys, orchestrator.study.schema\nprint(*(name for name in {heavy!r} if name in sys.modules))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_model_may_be_a_bare_name() -> None:
    bare = study(models=["builtin:micro", {"name": "a/b", "revision": "c"}])
    assert [(m.name, m.revision) for m in bare.models] == [("builtin:micro", None), ("a/b", "c")]


def test_source_may_be_a_bare_reader_name_and_takes_the_split_of_its_role() -> None:
    data = study(tasks={CODE: {"train": "micro", "validation": "micro", "test": "micro"}}).tasks[CODE]
    assert data.train == (Source(reader="micro", split="train"),)
    assert data.validation == (Source(reader="micro", split="validation"),)
    assert data.test == (Source(reader="micro", split="test"),)


def test_source_keeps_the_split_and_the_limit_that_it_names() -> None:
    source = {"reader": "micro", "split": "validation", "limit": 5}
    data = study(tasks={CODE: {"train": "micro", "test": source}}, data={"test_limit": 50}).tasks[CODE]
    assert data.test == (Source(reader="micro", split="validation", limit=5),)


def test_source_may_be_a_bare_path_or_name_of_the_hub() -> None:
    entry = {"train": ["my.csv.gz", "hub:owner/name"], "test": {"path": "d/tests", "columns": {"input": "ask"}}}
    data = study(tasks={CODE: entry}, data={"train_limit": 7, "root": "elsewhere"}).tasks[CODE]
    assert data.train == (
        Source(reader="own", path="my.csv.gz", split="train", limit=7),
        Source(reader="own", repository="owner/name", split="train", limit=7),
    )
    assert data.test == (Source(reader="own", path="d/tests", split="test", columns=Columns(input="ask")),)


def test_limit_reaches_every_source_of_its_role_and_no_other() -> None:
    tasks = {CODE: {"train": ["micro", "micro"], "validation": "micro", "test": "micro"}}
    data = study(tasks=tasks, data={"train_limit": 7, "validation_limit": 3}).tasks[CODE]
    assert [source.limit for source in (*data.train, *data.validation, *data.test)] == [7, 7, 3, None]


def test_shared_training_reaches_every_trained_method_and_no_frozen_one() -> None:
    methods = {kind: {"kind": kind} for kind in ("frozen", "lora", "qlora", "full")}
    found = study(methods=methods).methods
    assert found["frozen"].training is None
    shared = [found[kind].training for kind in ("lora", "qlora", "full")]
    assert [(s.max_steps, s.learning_rate) for s in shared if s] == [(4, 0.001)] * 3


def test_method_s_own_setting_wins_over_the_shared_one() -> None:
    found = method({"kind": "qlora", "training": {"learning_rate": 0.5}}).training
    assert found and (found.learning_rate, found.max_steps) == (0.5, 4)


def test_method_that_counts_epochs_drops_the_shared_steps() -> None:
    found = method({"kind": "full", "training": {"epochs": 2}}).training
    assert found and (found.epochs, found.max_steps) == (2, None)


def test_method_that_counts_steps_drops_the_shared_epochs() -> None:
    found = method({"kind": "full", "training": {"max_steps": 9}}, training={"epochs": 3}).training
    assert found and (found.epochs, found.max_steps) == (None, 9)


def test_method_that_counts_both_is_refused() -> None:
    entry = {"kind": "full", "training": {"max_steps": 9, "epochs": 1}}
    assert "exactly one of max_steps and epochs" in messages(methods={"m": entry})


def test_shared_adapter_settings_reach_adapters_and_not_full_fine_tuning() -> None:
    methods = {"a": {"kind": "lora"}, "b": {"kind": "qlora", "lora": {"alpha": 99}}, "c": {"kind": "full"}}
    found = study(methods=methods, lora={"rank": 3}).methods
    a, b = found["a"].lora, found["b"].lora
    assert a and b and (a.rank, b.rank, b.alpha) == (3, 3, 99)
    assert found["c"].lora is None


def test_adapter_has_settings_although_none_are_given() -> None:
    found = method({"kind": "lora"}).lora
    assert found and found.rank == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": {"m": {"kind": "full", "lora": {"rank": 4}}}}, "trains all weights; leave lora out"),
        ({"methods": {"m": {"kind": "frozen", "training": {"max_steps": 4}}}}, "a frozen model is not trained"),
        ({"methods": {"m": {"kind": "frozen", "lora": {"rank": 4}}}}, "a frozen model is not trained"),
        ({"methods": {"m": {"kind": "frozen", "grouping": "apart"}}}, "the same for every task; leave grouping out"),
        ({"tasks": {CODE: {"test": "micro"}}}, f"no training data for {CODE}, which qlora would train on"),
        (
            {
                "tasks": {CODE: {"train": "micro", "test": "micro"}},
                "training": {"max_steps": 4, "validate_every": 2},
            },
            f"methods.qlora validates every 2 steps, but {CODE} has no validation data",
        ),
        ({"training": {"max_steps": 4, "patience": 2}}, "patience needs training.validate_every"),
        ({"tasks": {"generation/cobol": {"train": "micro", "test": "micro"}}}, "unknown track 'generation/cobol'"),
        ({"tasks": {"translation/java": {"train": "micro", "test": "micro"}}}, "needs two different languages"),
        ({"tasks": {"generation/java-csharp": {"train": "micro", "test": "micro"}}}, "needs exactly one language"),
        ({"tasks": {CODE: {"train": "micro"}}}, "Field required"),
        ({"models": []}, "at least 1 item"),
        ({"seeds": []}, "at least 1 item"),
        ({"study": "a/b"}, "String should match pattern"),
        ({"evaluation": {"generation": {"samples": 3}}}, "greedy samples are equal"),
        ({"resources": {"checkpoint_minutes": -1}}, "greater than or equal to 0"),
    ],
)
def test_study_that_means_nothing_is_refused(changes: dict[str, Any], said: str) -> None:
    assert said in messages(**changes)


@pytest.mark.parametrize("block", ["training", "lora"])
@pytest.mark.parametrize("where", ["shared", "own"])
def test_settings_of_a_wrong_type_are_refused_wherever_they_stand(block: str, where: str) -> None:
    entry: dict[str, Any] = {"kind": "qlora", "training": {"max_steps": 4}, "lora": {"rank": 2}}
    entry.pop(block)
    changes: dict[str, Any] = {block: "fast"} if where == "shared" else {}
    entry |= {block: "fast"} if where == "own" else {}
    assert f"methods.m.{block}" in messages(methods={"m": entry}, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": [1, 2, 1]}, "seeds"),
        ({"models": ["builtin:micro", "builtin:micro"]}, "builtin:micro"),
        ({"models": ["ours/base", "theirs/base"]}, "ours/base and theirs/base"),
    ],
)
def test_trials_that_would_share_a_name_are_refused(changes: dict[str, Any], said: str) -> None:
    assert said in messages(**changes)


def test_plain_form_of_a_study_is_that_study() -> None:
    methods = {"frozen": {"kind": "frozen"}, "full": {"kind": "full"}, "lora": {"kind": "lora", "grouping": "apart"}}
    before = study(methods=methods, lora={"rank": 3}, data={"test_limit": 5}, models=["builtin:micro", "a/b"])
    assert validate(plain_form(before.model_dump(mode="json"))) == before


def test_tracks_of_a_task_keep_the_file_s_order() -> None:
    tracks = ("generation/java", PROSE, CODE)
    found = study(tasks={track: {"train": "micro", "test": "micro"} for track in tracks})
    assert found.tracks_of(Task.GENERATION) == ("generation/java", CODE)
    assert found.tracks_of(Task.TRANSLATION) == ()


def test_study_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        study().resources.micro_tokens = 3  # type: ignore[misc]


def test_training_of_which_a_study_says_nothing_has_the_defaults_of_its_kind(tmp_path: Path) -> None:
    methods = {"adapter": {"kind": "qlora"}, "all": {"kind": "full"}, "none": {"kind": "frozen"}}
    study = make_study(tmp_path, methods=methods, training=None)
    found = {name: method.training for name, method in study.methods.items()}
    assert found["none"] is None
    assert found["adapter"] and (found["adapter"].epochs, found["adapter"].learning_rate) == (3, 2e-4)
    assert found["all"] and (found["all"].epochs, found["all"].learning_rate) == (3, 2e-5)
