"""`polytune plan --probe` on models that once failed after their training was paid: what a person reads instead."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoConfig
from typer.testing import CliRunner

from models.locations import location_of
from models.spec import ModelSpec
from orchestrator.cli import app

pytestmark = pytest.mark.slow

MICRO = Path(location_of(ModelSpec(name="builtin:micro")))
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL |= {"num_key_value_heads": 4, "vocab_size": 2048}


@pytest.fixture(autouse=True)
def _kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))


def folder_of(at: Path, family: str, **settings: Any) -> Path:
    """A model's folder with a family's configuration, the built-in model's tokenizer, and a file of no weights."""
    at.mkdir()
    AutoConfig.for_model(family, **settings).save_pretrained(at)
    for path in MICRO.iterdir():
        if "token" in path.name or path.suffix == ".jinja":
            shutil.copy(path, at)
    (at / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    return at


def said_of(model: Path, tmp_path: Path, *, lora: dict[str, Any] | None = None, **training: Any) -> tuple[str, int]:
    """What `polytune plan --probe` prints of a study of a model, on one line, and its exit status."""
    study = {
        "study": "unfit",
        "storage": str(tmp_path / "runs"),
        "models": [str(model)],
        "tasks": {"generation/python": {"train": "micro", "test": "micro"}},
        "training": {"max_steps": 4, "max_length": 256, **training},
        "methods": {"frozen": {"kind": "frozen"}, "lora": {"kind": "lora", "lora": lora or {}}},
    }
    path = tmp_path / "unfit.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    done = CliRunner(env={"COLUMNS": "1000"}).invoke(app, ["plan", str(path), "--probe"])
    text = " ".join((done.output + (str(done.exception) if done.exception else "")).split())
    print(text.replace(f"{tmp_path}/", ""))
    return text.replace(f"{tmp_path}/", ""), done.exit_code


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def with_thoughts(folder: Path) -> None:
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    opened = template + "{% if add_generation_prompt %}<think>\n{% endif %}"
    (folder / "chat_template.jinja").write_text(opened, encoding="utf-8")


def without_system_role(folder: Path) -> None:
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(refusing + template, encoding="utf-8")


def damaged(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


def without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def of_unknown_type(folder: Path) -> None:
    changed(folder / "config.json", model_type="never_heard_of")


# Small, for a plan refuses what the machine's memory does not hold.
@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("bloom", {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
        ("mpt", {"d_model": 64, "n_layers": 2, "n_heads": 4}),
        ("mamba", {"hidden_size": 64, "num_hidden_layers": 2}),
        ("recurrent_gemma", {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}),
    ],
)
def test_family_without_a_context_in_its_settings_is_planned_as_any_other(
    family: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    """They failed in generation, by a setting that they do not have, after they were trained."""
    text, status = said_of(folder_of(tmp_path / family, family, **settings), tmp_path)
    assert status == 0
    assert f"note: {family}, {family}: " in text


def test_default_targets_are_those_that_a_family_has_and_others_are_named_beside_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "neox", "gpt_neox", **SMALL)
    text, status = said_of(folder, tmp_path)
    assert status == 0 and "note: neox, gpt_neox: several examples a row" in text
    text, status = said_of(folder, tmp_path, lora={"targets": ["q_proj", "v_proj"]})
    assert status != 0
    assert (
        "methods.lora.lora.targets: neox (gpt_neox) has no q_proj, v_proj; it has dense, dense_4h_to_h, "
        "dense_h_to_4h, query_key_value"
    ) in text


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        (
            without_template,
            {},
            "note: model has no chat template, so prompts are plain: the system line, the text, `Answer:`; set "
            "models[].chat_template for another form",
        ),
        (
            without_system_role,
            {},
            "note: the chat template of model has no system role, so the system line stands before the text",
        ),
        (
            with_thoughts,
            {},
            "note: the prompts of model open a thought, and answers are trained behind it; set "
            "models[].template_arguments, as {enable_thinking: false}, to train and ask without one",
        ),
    ],
)
def test_base_models_and_odd_templates_are_planned_with_a_word(
    change: Callable[[Path], None], settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "model", "llama", **SMALL)
    change(folder)
    text, status = said_of(folder, tmp_path, **settings)
    assert status == 0
    assert said in text


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        (
            None,
            {"warmup_steps": 1000},
            "training.warmup_steps is 1000, and the training has 4 steps, so it would never reach its rate; set at "
            "most 4, or training.warmup_ratio",
        ),
        (
            None,
            {"max_length": 4096},
            "examples of 4096 tokens are longer than the context of model, 2048 tokens; set at most 2048",
        ),
        (
            lambda folder: changed(folder / "config.json", vocab_size=100),
            {},
            "and the model has embeddings for 100; use the model's own tokenizer, or enlarge the embeddings",
        ),
        (
            damaged,
            {},
            "model.safetensors of model is damaged: its header would have 18446744073709551615 bytes, and the file "
            "has 64; copy the model again",
        ),
        (
            without_tokenizer,
            {},
            "model has no tokenizer; put the one that it was trained with into its folder",
        ),
        (of_unknown_type, {}, "never_heard_of"),
    ],
)
def test_what_cannot_train_is_refused_in_one_line(
    change: Callable[[Path], None] | None, settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "model", "llama", **SMALL)
    if change is not None:
        change(folder)
    text, status = said_of(folder, tmp_path, **settings)
    assert status != 0
    assert said in text
    assert len(text) < 700, "and no list of what transformers knows"


def test_class_of_models_that_read_images_is_refused_in_one_line(tmp_path: Path) -> None:
    text, status = said_of(folder_of(tmp_path / "devstral", "mistral3"), tmp_path)
    assert status != 0
    assert "Mistral3Config is no class of causal language models in transformers" in text
    assert len(text) < 700
