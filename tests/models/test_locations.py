"""Where models lie and what identifies them; a wrong name is the user's mistake and says its remedy."""

import shutil
from pathlib import Path

import pytest
import torch

from models.loading import load_base, load_tokenizer
from models.locations import ModelError, local_digest, location_of
from models.spec import ModelSpec

CPU = torch.device("cpu")


def test_unknown_built_in_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError, match="unknown built-in model 'builtin:huge'; there is: builtin:micro"):
        location_of(ModelSpec(name="builtin:huge"))


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such/folder", "~/model", "gpt2", "a/b/c"])
def test_name_that_is_no_hub_id_and_no_folder_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(ModelError, match="give a hub id such as") as caught:
        local_digest(ModelSpec(name=name))
    assert repr(name) in str(caught.value)


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"without a config\.json"):
        local_digest(ModelSpec(name=str(tmp_path)))


def test_hub_model_is_identified_by_its_revision_alone() -> None:
    assert local_digest(ModelSpec(name="Qwen/Qwen2.5-Coder-0.5B-Instruct", revision="abc")) is None


def test_digest_follows_the_files_and_not_the_folder(tiny_base: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(tiny_base, tmp_path / "copy")
    here, there = ModelSpec(name=str(tiny_base)), ModelSpec(name=str(copied))
    assert local_digest(here) == local_digest(there)
    with (copied / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x7f")
    assert local_digest(here) != local_digest(there)


def test_loading_what_is_not_there_names_the_model_and_the_remedy(tmp_path: Path) -> None:
    missing = ModelSpec(name=str(tmp_path / "missing" / "model"))
    for load in (lambda: load_base(missing, precision="fp32", device=CPU), lambda: load_tokenizer(missing)):
        with pytest.raises(ModelError, match="cannot be loaded: it is no local folder with a model") as caught:
            load()
        assert missing.name in str(caught.value)
