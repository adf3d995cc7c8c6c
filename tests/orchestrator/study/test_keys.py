"""Keys of finished stages survive growth: what is done stays done when a setting is added to the code.

`study_keys.json` holds the keys of the shipped studies' stages. They change on purpose alone, with a stage's
version: then they are written anew, from the root, by `python -m tests.orchestrator.study.test_keys`.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, create_model

from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.fingerprint import canonical
from orchestrator.study.trial import TrackSource, TrialSpec
from tasks.readers import digest
from tasks.records import Record

ROOT = Path(__file__).resolve().parents[3]
STORED = Path(__file__).with_name("study_keys.json")
NEEDS_DATA = ("public-files",)


def keys_of(name: str, changes: tuple[str, ...]) -> dict[str, dict[str, str]]:
    study = load_study(ROOT / "studies" / f"{name}.yaml", changes=changes)
    return {trial.label: {stage: trial.key(stage) for stage in trial.stages} for trial in expand(study).trials}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "studies").glob("*.yaml")))
def test_stages_of_a_shipped_study_keep_their_keys(name: str, request: pytest.FixtureRequest) -> None:
    changes = (f"data.root={request.getfixturevalue('data_root')}",) if name in NEEDS_DATA else ()
    assert keys_of(name, changes) == json.loads(STORED.read_text(encoding="utf-8"))[name]


def grown(record: Record, value: bool = False) -> Any:
    """The same record under a schema that has learnt one more setting, whose default is neutral."""
    field: Any = (bool, Field(default=False, json_schema_extra={"since": 2}))
    schema = create_model(f"Grown{type(record).__name__}", __base__=type(record), learnt_later=field)
    return schema.model_validate({**record.model_dump(), "learnt_later": value})


def trained_trial() -> TrialSpec:
    study = load_study(ROOT / "studies" / "quickstart.yaml")
    return next(trial for trial in expand(study).trials if trial.lora is not None)


@pytest.mark.parametrize("block", ["training", "lora", "generation", "limits"])
def test_new_setting_renames_nothing_until_it_is_used(block: str) -> None:
    trial = trained_trial()
    before = {stage: trial.key(stage) for stage in trial.stages}
    idle = trial.model_copy(update={block: grown(getattr(trial, block))})
    used = trial.model_copy(update={block: grown(getattr(trial, block), True)})
    assert {stage: idle.key(stage) for stage in trial.stages} == before
    assert any(used.key(stage) != before[stage] for stage in trial.stages)


def test_new_setting_of_a_source_renames_neither_pinned_nor_unpinned_data() -> None:
    trial = trained_trial()
    source = trial.train[0].source
    assert digest(grown(source), root=ROOT) == digest(source, root=ROOT)
    unpinned, idle, used = (
        trial.model_copy(update={"train": (TrackSource.model_construct(track="t", source=s, identity=None),)})
        for s in (source, grown(source), grown(source, True))
    )
    assert idle.key("train") == unpinned.key("train") != used.key("train")


def test_new_setting_of_the_training_spec_itself_renames_nothing() -> None:
    spec = trained_trial().training_spec
    assert spec is not None
    assert canonical(grown(spec)) == canonical(spec) != canonical(grown(spec, True))


if __name__ == "__main__":
    data = f"data.root={ROOT.parent / 'shared' / 'data'}"
    names = sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))
    found = {name: keys_of(name, (data,) if name in NEEDS_DATA else ()) for name in names}
    STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
