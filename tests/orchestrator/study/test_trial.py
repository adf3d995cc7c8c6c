"""Trials and keys: what changes a stage's name, and what must not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_studies import CODE, PROSE, make_study, trial_of, write_data

from models.locations import ModelError
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.schema import Study
from orchestrator.study.stages import STAGES, StageName
from orchestrator.study.trial import TrialSpec
from tasks.readers import DataError

STUDIES = Path(__file__).resolve().parents[3] / "studies"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIMILARITY = {"max_steps": 4, "learning_rate": 0.001, "validate_every": 2, "select_by": "similarity"}


def keys(trial: TrialSpec) -> dict[StageName, str]:
    return {stage: trial.key(stage) for stage in trial.stages}


def changed(before: TrialSpec, after: TrialSpec) -> set[str]:
    """The stages that a change gave another name."""
    old, new = keys(before), keys(after)
    return {stage for stage in old.keys() | new.keys() if old.get(stage) != new.get(stage)}


@pytest.mark.parametrize("name", sorted(path.name for path in STUDIES.glob("*.yaml")))
def test_trials_of_every_study_of_the_project_have_labels_of_their_own(name: str, request: Any) -> None:
    study = load_study(STUDIES / name)
    local = any(source.path for data in study.tasks.values() for source in data.test)
    changes = [f"data.root={request.getfixturevalue('data_root')}"] if local else []
    labels = [trial.label for trial in expand(load_study(STUDIES / name, changes=changes)).trials]
    assert labels and len(set(labels)) == len(labels)


def test_label_says_model_method_group_and_seed(tmp_path: Path) -> None:
    methods = {"frozen": {"kind": "frozen"}, "mine": {"kind": "lora", "grouping": "apart"}}
    study = make_study(tmp_path, methods=methods, models=["builtin:micro", "org/base-3B"], seeds=[7])
    assert [trial.label for trial in expand(study).trials] == [
        "micro/frozen/seed7",
        "micro/mine/generation/seed7",
        "micro/mine/summarization/seed7",
        "base-3B/frozen/seed7",
        "base-3B/mine/generation/seed7",
        "base-3B/mine/summarization/seed7",
    ]


def test_trial_apart_has_the_tracks_and_data_of_its_task_alone(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods={"m": {"kind": "lora", "grouping": "apart"}})
    for trial, track in zip(expand(study).trials, (CODE, PROSE), strict=True):
        assert trial.tracks == (track,)
        assert {source.track for source in (*trial.train, *trial.validation, *trial.test)} == {track}


def test_stages_are_those_that_a_trial_needs(tmp_path: Path) -> None:
    methods = {"frozen": {"kind": "frozen"}, "apart": {"kind": "lora", "grouping": "apart"}}
    frozen, code, prose = expand(make_study(tmp_path, methods=methods)).trials
    assert frozen.stages == ("generate", "execute", "score")
    assert code.stages == ("train", "generate", "execute", "score")
    assert prose.stages == ("train", "generate", "score")


ALL = {"train", "generate", "execute", "score"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training": {"max_steps": 4, "learning_rate": 0.002}}, ALL),
        ({"training": {"max_steps": 5, "learning_rate": 0.001}}, ALL),
        ({"lora": {"rank": 2}}, ALL),
        ({"methods": {"qlora": {"kind": "lora"}}}, ALL),
        ({"seeds": [1]}, ALL),
        ({"data": {"train_limit": 1}}, ALL),
        ({"models": ["org/base"]}, ALL),
        ({"data": {"test_limit": 1}}, {"generate", "execute", "score"}),
        ({"evaluation": {"quality": False, "generation": {"max_new_tokens": 9}}}, {"generate", "execute", "score"}),
        ({"evaluation": {"quality": False, "limits": {"cpu_s": 1}}}, {"execute"}),
        ({"evaluation": {"quality": True}}, {"score"}),
        ({"data": {"validation_limit": 1}}, set()),
        ({"question": "Another?"}, set()),
        ({"study": "another"}, set()),
        ({"storage": "elsewhere"}, set()),
        (
            {
                "resources": {
                    "trial_cpus": 4,
                    "micro_tokens": 512,
                    "checkpoint_minutes": 1,
                    "generators": 3,
                    "gradient_checkpointing": True,
                }
            },
            set(),
        ),
        ({"methods": {"qlora": {"kind": "qlora"}, "full": {"kind": "full"}}}, set()),
        ({"seeds": [0, 1]}, set()),
    ],
)
def test_change_renames_exactly_the_stages_that_depend_on_it(
    tmp_path: Path, changes: dict[str, Any], expected: set[str]
) -> None:
    changes = dict(changes)
    storage = changes.pop("storage", None)
    after = make_study(tmp_path, **changes)
    after = after.model_copy(update={"storage": storage}) if storage else after
    assert changed(trial_of(make_study(tmp_path), "qlora"), trial_of(after, "qlora")) == expected


@pytest.mark.parametrize("changes", [{"seeds": [1]}, {"data": {"train_limit": 1}}, {"lora": {"rank": 2}}])
def test_frozen_model_is_not_asked_again_for_what_only_training_heeds(tmp_path: Path, changes: dict[str, Any]) -> None:
    before, after = make_study(tmp_path), make_study(tmp_path, **changes)
    assert changed(trial_of(before, "frozen"), trial_of(after, "frozen")) == set()


def test_name_of_a_method_is_no_part_of_a_key(tmp_path: Path) -> None:
    after = make_study(tmp_path, methods={"another": {"kind": "qlora"}})
    assert changed(trial_of(make_study(tmp_path), "qlora"), trial_of(after, "another")) == set()


def test_validation_data_count_once_they_are_looked_at(tmp_path: Path) -> None:
    training = {"max_steps": 4, "validate_every": 2}
    before = make_study(tmp_path, training=training)
    after = make_study(tmp_path, training=training, data={"validation_limit": 1})
    assert changed(trial_of(before, "qlora"), trial_of(after, "qlora")) == ALL


def test_training_judged_by_what_it_writes_depends_on_how_that_is_written(tmp_path: Path) -> None:
    before = make_study(tmp_path, training=SIMILARITY)
    longer = {"quality": False, "generation": {"max_new_tokens": 9}}
    assert "train" in changed(
        trial_of(before, "qlora"), trial_of(make_study(tmp_path, training=SIMILARITY, evaluation=longer), "qlora")
    )
    # Validation is greedy, whatever the test is.
    warmer = {"quality": False, "generation": {"temperature": 0.5}}
    assert "train" not in changed(
        trial_of(before, "qlora"), trial_of(make_study(tmp_path, training=SIMILARITY, evaluation=warmer), "qlora")
    )


@pytest.mark.parametrize(
    ("stage", "expected"), [("generate", ALL), ("score", {"train", "generate", "execute", "score"})]
)
def test_training_judged_by_what_it_writes_depends_on_the_judge_s_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: StageName, expected: set[str]
) -> None:
    trial = trial_of(make_study(tmp_path, training=SIMILARITY), "qlora")
    before = keys(trial)
    monkeypatch.setitem(STAGES, stage, replace(STAGES[stage], version=STAGES[stage].version + 1))
    assert {name for name, key in keys(trial).items() if before[name] != key} == expected


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("train", ALL),
        ("generate", {"generate", "execute", "score"}),
        ("execute", {"execute"}),
        ("score", {"score"}),
    ],
)
def test_raised_version_renames_its_stage_and_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: StageName, expected: set[str]
) -> None:
    trial = trial_of(make_study(tmp_path), "qlora")
    before = keys(trial)
    monkeypatch.setitem(STAGES, stage, replace(STAGES[stage], version=STAGES[stage].version + 1))
    assert {name for name, key in keys(trial).items() if before[name] != key} == expected


def test_data_may_lie_anywhere(tmp_path: Path) -> None:
    here, there = make_study(tmp_path / "here"), make_study(tmp_path / "there")
    assert here.data.root != there.data.root
    assert [keys(trial) for trial in expand(here).trials] == [keys(trial) for trial in expand(there).trials]


def test_changed_data_rename_every_stage_that_reads_them(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    before = {method: trial_of(study, method) for method in ("frozen", "qlora")}
    write_data(tmp_path / "data", first=2)
    assert changed(before["qlora"], trial_of(study, "qlora")) == ALL
    assert changed(before["frozen"], trial_of(study, "frozen")) == {"generate", "execute", "score"}


def test_comments_order_and_layout_of_a_file_rename_nothing(tmp_path: Path) -> None:
    def load(name: str, text: str) -> Study:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return load_study(tmp_path / name)

    one = load("a.yaml", "study: s\nmodels: [org/base]\ntasks: {generation/python: {train: micro, test: micro}}\n"
               "training: {max_steps: 4, learning_rate: 5.0e-3}\nmethods: {m: {kind: lora}}\n")  # fmt: skip
    other = load("b.yaml", "# Why.\nmethods:\n  m: {kind: lora}  # the usual\ntraining:\n  learning_rate: 0.005\n"
                 "  max_steps: 4\ntasks:\n  generation/python:\n    test: [micro]\n    train: {reader: micro}\n"
                 "models: [{name: org/base}]\nstudy: s\n")  # fmt: skip
    assert changed(trial_of(one, "m"), trial_of(other, "m")) == set()


def test_trial_survives_a_file(tmp_path: Path) -> None:
    for trial in expand(make_study(tmp_path)).trials:
        read = TrialSpec.model_validate_json(trial.model_dump_json())
        assert read == trial
        assert keys(read) == keys(trial)


@pytest.mark.parametrize(
    ("revision", "expected"),
    [(None, ("model org/base",)), ("main", ("model org/base",)), (COMMIT, ())],
)
def test_hub_model_without_a_commit_is_unresolved(
    tmp_path: Path, revision: str | None, expected: tuple[str, ...]
) -> None:
    study = make_study(tmp_path, models=[{"name": "org/base", "revision": revision}])
    assert trial_of(study, "qlora").unresolved() == expected


def test_hub_data_without_a_commit_is_unresolved(tmp_path: Path) -> None:
    hub = {"reader": "hub", "repository": "org/pairs", "columns": {"input": "a", "output": "b"}}
    study = make_study(tmp_path, tasks={CODE: {"train": hub, "test": {**hub, "revision": COMMIT}}})
    assert trial_of(study, "qlora").unresolved() == ("hub source org/pairs",)
    assert trial_of(study, "frozen").unresolved() == ()


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    (tmp_path / "data" / "train.jsonl").unlink()
    with pytest.raises(DataError, match=r"train\.jsonl.*: no such file; put the file there"):
        expand(study)


def test_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown built-in model 'builtin:nano'; there is: builtin:micro"):
        expand(make_study(tmp_path, models=["builtin:nano"]))
