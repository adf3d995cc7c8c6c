"""What a plan says of a study's models before anything is loaded, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from models.locations import location_of
from models.spec import ModelSpec
from orchestrator.errors import StudyError
from orchestrator.plan.families import Due, Families, families_of
from orchestrator.study.cells import expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.resources import Resources
from orchestrator.study.schema import validate
from orchestrator.study.trial import TrialSpec

pytestmark = pytest.mark.slow

MICRO = Path(location_of(ModelSpec(name="builtin:micro")))


@pytest.fixture(autouse=True)
def _kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))


def model_of(folder: Path, family: str, **settings: Any) -> str:
    """A folder with a family's configuration and the built-in model's tokenizer, and no weights."""
    folder.mkdir()
    AutoConfig.for_model(family, **settings).save_pretrained(folder)
    for path in MICRO.iterdir():
        if "token" in path.name or path.suffix == ".jinja":
            shutil.copy(path, folder)
    return str(folder)


def trials_of(model: str | dict[str, Any], kind: str = "lora", **lora: Any) -> tuple[TrialSpec, ...]:
    source = "micro"
    raw = {
        "study": "small",
        "models": [model],
        "training": {"max_steps": 4},
        "tasks": {"generation/python": {"train": source, "test": source}},
        "methods": {kind: {"kind": kind, **({"lora": lora} if lora else {})}},
    }
    return expand(validate(plain_form(raw))).trials


def look(trials: tuple[TrialSpec, ...], **resources: Any) -> Families:
    due = [Due(trial=trial, trains=trial.traits.is_trained) for trial in trials]
    return families_of(due, Resources.model_validate(resources), study="small", probing=True)


def test_family_and_template_are_told_in_a_line_each(tmp_path: Path) -> None:
    folder = Path(model_of(tmp_path / "g2", "gemma2"))
    (folder / "chat_template.jinja").unlink()
    found = look(trials_of(str(folder)))
    assert found.verdicts[str(folder)].path == "single"
    assert found.prompting[str(folder)].template == "plain"
    assert any("gemma2: one example at a time (flat rows have no attention with softcap)" in n for n in found.notes)
    assert any("has no chat template, so prompts are plain" in note for note in found.notes)


def test_targets_that_a_family_lacks_are_named_with_what_it_has(tmp_path: Path) -> None:
    name = model_of(tmp_path / "neox", "gpt_neox")
    with pytest.raises(StudyError) as caught:
        look(trials_of(name, targets=["q_proj", "dense"]))
    assert str(caught.value) == (
        f"small: 1 fault\n  methods.lora.lora.targets: {name} (gpt_neox) has no q_proj; it has dense, dense_4h_to_h, "
        "dense_h_to_4h, query_key_value"
    )


def test_class_that_is_no_causal_language_model_is_refused(tmp_path: Path) -> None:
    name = model_of(tmp_path / "m3", "mistral3")
    with pytest.raises(StudyError, match="Mistral3Config is no class of causal language models in transformers"):
        look(trials_of(name))


def test_widths_that_kernels_for_cpus_cannot_take_are_told_with_the_memory_that_they_cost(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 4}
    name = model_of(tmp_path / "odd", "llama", **sizes, num_hidden_layers=2)
    told = f"down_proj of {name} are held in 16 bits where a CPU generates"
    (note,) = [note for note in look(trials_of(name, "qlora")).notes if told in note]
    # 2 layers of 96 x 64 weights, in 2 bytes and not in 4.5 bits.
    assert "0.0 MiB more than in 4 bits" in note
    assert not any("16 bits" in note for note in look(trials_of(name, "qlora"), generator_gpus=1).notes)
    assert not any("16 bits" in note for note in look(trials_of(name)).notes)


def test_nothing_is_looked_at_when_nothing_is_due(tmp_path: Path) -> None:
    assert families_of([], Resources(), study="small", probing=True) == Families()
    assert not (tmp_path / "kept").exists()


def test_template_of_a_study_is_part_of_a_trials_identity_and_its_arguments_too() -> None:
    own, given, told = (
        trials_of({"name": "builtin:micro", **extra})[0]
        for extra in ({}, {"chat_template": "{{ messages }}"}, {"template_arguments": {"enable_thinking": False}})
    )
    for stage in ("train", "generate"):
        assert len({trial.key(stage) for trial in (own, given, told)}) == 3  # type: ignore[arg-type]
    assert "chat_template" not in json.dumps(own.identity(own.stages[0]))
