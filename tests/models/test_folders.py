"""What a local model's files tell before anything is loaded, and the digests that tell models apart."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from models.folders import context_of, faults_of_files, notes_on_files
from models.locations import ModelError, local_digest, location_of
from models.spec import ModelSpec

MICRO = Path(location_of(ModelSpec(name="builtin:micro")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(MICRO, copy)
    return copy


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def faults(folder: Path) -> str:
    return "; ".join(faults_of_files(ModelSpec(name=str(folder))))


def notes(folder: Path) -> str:
    return "; ".join(notes_on_files(ModelSpec(name=str(folder))))


def test_built_in_model_and_hub_models_have_no_faults_and_nothing_to_note() -> None:
    for name in ("builtin:micro", "Qwen/Qwen2.5-Coder-0.5B"):
        model = ModelSpec(name=name)
        assert faults_of_files(model) == notes_on_files(model) == ()


def test_damaged_weights_are_named_with_both_sizes(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    assert f"is damaged: it has {len(whole) - 100} bytes, and its header tells of {len(whole)}" in faults(folder)
    weights.write_bytes(b"\xff" * 16 + whole)
    assert "is damaged: its header would have" in faults(folder)
    weights.write_bytes(whole[:8] + b"?" * 64 + whole[72:])
    assert "is damaged: its header cannot be read" in faults(folder)
    weights.write_bytes(b"")
    assert "is damaged: it has 0 bytes; copy the model again" in faults(folder)


def test_files_that_are_lacking_are_named(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-2.safetensors"}}))
    assert "lacks model-2.safetensors, which model.safetensors.index.json names" in faults(folder)
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert "has no weights" in faults(folder)
    assert "has no tokenizer" in faults(folder)


def test_tokenizer_larger_than_the_vocabulary_is_named(folder: Path) -> None:
    changed(folder / "config.json", vocab_size=1000)
    assert "has tokens up to number 1023, and the model has embeddings for 1000" in faults(folder)


def test_settings_that_are_no_json_are_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config.json is no JSON .* copy the model again"):
        faults(folder)


def test_templates_ends_and_classes_are_noted(folder: Path) -> None:
    changed(folder / "tokenizer_config.json", pad_token="<|endoftext|>")
    changed(folder / "config.json", architectures=["Mistral3ForConditionalGeneration"])
    template = folder / "chat_template.jinja"
    template.write_text("{{ raise_exception('System role not supported') }}")
    said = notes(folder)
    assert "has no system role, so the system line stands before the text" in said
    assert "pads with its end of text, <|endoftext|>" in said
    assert "is a Mistral3ForConditionalGeneration, which may be no causal language model" in said
    template.unlink()
    assert "has no chat template, so prompts are plain" in notes(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "modeling_own.py"])
def test_models_that_differ_in_one_file_of_weights_or_code_have_two_digests(tmp_path: Path, name: str) -> None:
    digests = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / name).write_bytes(bytes([number]))
        digests.append(local_digest(ModelSpec(name=str(folder))))
    assert digests[0] != digests[1]


def test_digest_of_the_built_in_model_is_what_it_always_was() -> None:
    digest = local_digest(ModelSpec(name="builtin:micro"))
    assert digest == "ecf0d720862451b14c53eb19d1697b4816726e7bd04453efcec407acda8c5b6c"


@pytest.mark.parametrize(
    ("settings", "context"),
    [({"max_position_embeddings": 8}, 8), ({"n_positions": 9}, 9), ({"max_seq_len": 7}, 7), ({"hidden_size": 4}, None)],
)
def test_context_goes_by_several_names(settings: dict[str, int], context: int | None) -> None:
    assert context_of(settings) == context
