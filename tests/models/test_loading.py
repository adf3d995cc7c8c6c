"""Tokenizers and weights that come back from disk as they went, the shipped base among them."""

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, Qwen2Tokenizer

from models.loading import device_of, load_adapter, load_base, load_tokenizer
from models.locations import ModelError, location_of
from models.micro.pretrain import _encoded, collate, weighted_loss
from models.spec import ModelSpec
from tasks.micro import documents, examples
from tasks.records import BUILTIN_TRACKS

CPU = torch.device("cpu")
BUILTIN = ModelSpec(name="builtin:micro")
UNICODE = (
    "größer — naïve café ￼ ﬁ Å Å 数え上げ 🙂👩‍👩‍👧 \u200b\u2028 \t\r\n\x00",
    "  def   f( x ):\n\n\n        return  12345 + x's\n   ",
    "Don't 3.14 __init__ 1_000 ÀÉÎ \u0301e <|endoftext|> <|pad|> <|im_start|>",
)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    suite = [
        text for track in BUILTIN_TRACKS[::2] for e in examples(track, split="test") for text in (e.input, e.output)
    ]
    return [*suite, *("".join(halves) for halves in islice(documents(5), 200)), *UNICODE]


def pre_tokenizer(tokenizer: Any) -> str:
    return repr(tokenizer.backend_tokenizer.pre_tokenizer) + repr(tokenizer.backend_tokenizer.normalizer)


def test_tokenizer_read_back_gives_the_very_ids_it_was_made_with(
    fresh_tokenizer: Any, tiny_base: Path, texts: list[str]
) -> None:
    again = AutoTokenizer.from_pretrained(tiny_base)
    assert again(texts).input_ids == fresh_tokenizer(texts).input_ids
    assert type(again) is type(fresh_tokenizer) is Qwen2Tokenizer
    assert pre_tokenizer(again) == pre_tokenizer(fresh_tokenizer)
    assert again.chat_template == fresh_tokenizer.chat_template
    assert again.model_max_length == fresh_tokenizer.model_max_length == 1024


def test_tokenizer_saved_twice_is_the_same(tiny_base: Path, tmp_path: Path, texts: list[str]) -> None:
    first = AutoTokenizer.from_pretrained(tiny_base)
    first.save_pretrained(tmp_path)
    second = AutoTokenizer.from_pretrained(tmp_path)
    assert first(texts).input_ids == second(texts).input_ids
    assert pre_tokenizer(first) == pre_tokenizer(second)


def test_no_text_is_lost_in_tokens(tokenizer: Any, texts: list[str]) -> None:
    # NFC, which Qwen2 applies, is the only change.
    normalised = [tokenizer.backend_tokenizer.normalizer.normalize_str(text) for text in texts]
    assert tokenizer.batch_decode(tokenizer(texts).input_ids) == normalised


def test_end_of_text_is_not_padding(tokenizer: Any) -> None:
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer("x").input_ids[-1] != tokenizer.eos_token_id


def base_loss(model: Any, tokenizer: Any) -> float:
    """Mean loss per token of the conditioned halves of held-out pretraining text."""
    batch = next(_encoded(tokenizer, seed=99, chunk=16))
    with torch.no_grad():
        _, conditioned = weighted_loss(model.eval(), *collate(batch, tokenizer.pad_token_id))
    return float(conditioned)


def test_model_saved_again_has_the_same_loss(model_spec: ModelSpec, tokenizer: Any, tmp_path: Path) -> None:
    first = load_base(model_spec, precision="fp32", device=CPU)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in first.state_dict().items()}
    first.save_pretrained(tmp_path, state_dict=state)
    again = load_base(ModelSpec(name=str(tmp_path)), precision="fp32", device=CPU)
    assert again.dtype == torch.float32
    assert base_loss(again, tokenizer) == base_loss(first, tokenizer) < 5.0


@pytest.mark.skipif(
    not (Path(location_of(BUILTIN)) / "model.safetensors").is_file(), reason="the built-in base has no weights yet"
)
def test_shipped_base_reads_back_and_knows_the_suite(fresh_tokenizer: Any, texts: list[str]) -> None:
    tokenizer = load_tokenizer(BUILTIN)
    assert tokenizer(texts).input_ids == fresh_tokenizer(texts).input_ids
    assert tokenizer.chat_template == fresh_tokenizer.chat_template
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    model = load_base(BUILTIN, precision="fp32", device=CPU)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    # A guess over the vocabulary costs ln(1024) = 6.9 nats.
    assert base_loss(model, tokenizer) < 1.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_gpu_that_is_not_there_is_refused_with_the_remedy() -> None:
    assert device_of("auto").type == "cpu"
    with pytest.raises(ModelError, match="PyTorch sees no GPU here; use device: auto or cpu"):
        device_of("cuda")


def test_adapter_of_another_base_is_refused_and_its_own_base_may_have_moved(tmp_path: Path, tiny_base: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = load_base(ModelSpec(name=str(tiny_base)), precision="fp32", device=CPU)
    get_peft_model(base, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")).save_pretrained(tmp_path / "a")
    moved = tmp_path / "moved"
    shutil.copytree(tiny_base, moved)
    load_adapter(load_base(ModelSpec(name=str(moved)), precision="fp32", device=CPU), tmp_path / "a")
    other = tmp_path / "other"
    shutil.copytree(tiny_base, other)
    config = other / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    with pytest.raises(ModelError, match=r"was trained on .*, and the base here is .*other; use it with its own base"):
        load_adapter(load_base(ModelSpec(name=str(other)), precision="fp32", device=CPU), tmp_path / "a")
