"""One base on the shelf, adapters that come and go: token for token what fresh loads say."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base, ModelShelf
from evaluators.generation.transformers_engine import TransformersGenerator, generate
from models.loading import load_adapter, load_base
from models.locations import ModelError
from models.quantised import layers_4bit
from models.spec import ModelSpec, Precision
from tasks.micro import problems
from tasks.records import Completion, Problem, Track

CPU = torch.device("cpu")
SETTINGS = GenerationSettings(max_new_tokens=24)
# The second adapter's layers are not the first one's, so that what a swap leaves behind would show.
TARGETS = {"a": ("q_proj", "v_proj"), "b": ("v_proj", "up_proj", "down_proj")}

Texts = list[str]
Fresh = Callable[[Precision, str | None], Texts]


@pytest.fixture(scope="module")
def asked() -> tuple[Problem, ...]:
    return problems(Track.parse("generation/python"), split="test")[:4]


@pytest.fixture(scope="module")
def adapters(model_spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters with weights drawn at random, large enough that no answer stays the same."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed, (name, targets) in enumerate(TARGETS.items()):
        torch.manual_seed(seed)
        base = load_base(model_spec, precision="fp32", device=CPU)
        config = LoraConfig(r=4 + 4 * seed, lora_alpha=64, target_modules=list(targets), init_lora_weights=False)
        get_peft_model(base, config).save_pretrained(str(folder / name))
    return {name: folder / name for name in TARGETS}


@pytest.fixture(scope="module")
def fresh(model_spec: ModelSpec, tokenizer: Any, adapters: dict[str, Path], asked: tuple[Problem, ...]) -> Fresh:
    """What a base read for this alone says, with an adapter or without."""

    def texts(precision: Precision, adapter: str | None) -> Texts:
        if precision != "fp32" and adapter is not None:
            # peft rounds the products of an adapter elsewhere, which shows in less than 32 bits.
            base = Base(model=model_spec, precision=precision, device=CPU)
            return said(ModelShelf(), base, asked, adapters[adapter])
        model: Any = load_base(model_spec, precision=precision, device=CPU)
        if adapter is not None:
            model = load_adapter(model, adapters[adapter])
        return texts_of(generate(model, tokenizer, asked, settings=SETTINGS, slots=2))

    return texts


def texts_of(completions: Sequence[Completion]) -> Texts:
    return [completion.text for completion in completions]


def text_of(done: Completion | ModelError) -> str:
    assert isinstance(done, Completion), done
    return done.text


def said(shelf: ModelShelf, base: Base, asked: Sequence[Problem], adapter: Path | None) -> Texts:
    generator = TransformersGenerator(shelf, base, slots=2)
    prompts = [Prompt(problem=problem, adapter=adapter) for problem in asked]
    found = {prompt.problem.id: text_of(done) for prompt, done in generator.complete(prompts, settings=SETTINGS)}
    return [found[problem.id] for problem in asked]


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_adapters_swapped_on_one_base_that_is_read_once_say_what_fresh_loads_say(
    precision: Precision,
    tiny_base: Path,
    tmp_path: Path,
    adapters: dict[str, Path],
    asked: tuple[Problem, ...],
    fresh: Fresh,
) -> None:
    copied = shutil.copytree(tiny_base, tmp_path / "base")
    base, shelf = Base(model=ModelSpec(name=str(copied)), precision=precision, device=CPU), ModelShelf()
    expected = {name: fresh(precision, name) for name in (None, "a", "b")}
    assert said(shelf, base, asked, None) == expected[None]
    shutil.rmtree(copied)  # Whoever read the base again would find nothing.
    for name in ("a", "b", "a", None, "b", None, "a"):
        assert said(shelf, base, asked, adapters[name] if name else None) == expected[name], name
    assert expected["a"] != expected[None] != expected["b"] != expected["a"]
    assert bool(layers_4bit(shelf.ready(base).model)) is (precision == "nf4")


def test_base_that_comes_after_an_adapter_that_came_first_is_bare(
    model_spec: ModelSpec, adapters: dict[str, Path], asked: tuple[Problem, ...], fresh: Fresh
) -> None:
    base, shelf = Base(model=model_spec, precision="fp32", device=CPU), ModelShelf()
    assert [said(shelf, base, asked, where) for where in (adapters["b"], None)] == [
        fresh("fp32", "b"),
        fresh("fp32", None),
    ]


def test_prompts_of_several_adapters_are_answered_each_by_its_own(
    model_spec: ModelSpec, adapters: dict[str, Path], asked: tuple[Problem, ...], fresh: Fresh
) -> None:
    base = Base(model=model_spec, precision="fp32", device=CPU)
    generator = TransformersGenerator(ModelShelf(), base, slots=2)
    prompts = [Prompt(problem=p, adapter=where) for p in asked for where in (None, *adapters.values())]
    found = {(p.adapter, p.problem.id): text_of(done) for p, done in generator.complete(prompts, settings=SETTINGS)}
    for name, where in ((None, None), *adapters.items()):
        assert [found[where, problem.id] for problem in asked] == fresh("fp32", name)


def test_fully_trained_weights_are_a_base_of_their_own(
    model_spec: ModelSpec, tmp_path: Path, asked: tuple[Problem, ...], fresh: Fresh
) -> None:
    changed = load_base(model_spec, precision="fp32", device=CPU)
    with torch.no_grad():
        changed.get_input_embeddings().weight.mul_(1.5)
    changed.save_pretrained(tmp_path)
    shelf = ModelShelf()
    own = Base(model=model_spec, precision="fp32", device=CPU, weights=tmp_path)
    base = Base(model=model_spec, precision="fp32", device=CPU)
    first = said(shelf, own, asked, None)
    assert said(shelf, base, asked, None) == fresh("fp32", None) != first
    assert said(shelf, own, asked, None) == first


def test_only_one_adapter_is_held_and_a_shelf_that_failed_starts_afresh(
    model_spec: ModelSpec, adapters: dict[str, Path], asked: tuple[Problem, ...], fresh: Fresh, tmp_path: Path
) -> None:
    base, shelf = Base(model=model_spec, precision="fp32", device=CPU), ModelShelf()
    for name in ("a", "b", "a"):
        ready = shelf.ready(base, adapter=adapters[name])
        assert len(ready.model.peft_config) == 1
        assert not ready.model.training
    broken = shutil.copytree(adapters["a"], tmp_path / "broken")
    (broken / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(Exception, match="header"):
        shelf.ready(base, adapter=broken)
    assert said(shelf, base, asked, adapters["b"]) == fresh("fp32", "b")
