"""The engine as it is asked: many adapters in one pass, samples, stops, what is refused, what proves its answers."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base, ModelShelf
from evaluators.generation.transformers_engine import TransformersGenerator, generate
from models.loading import load_adapter, load_base
from models.locations import ModelError
from models.rack import Rack, read_adapter
from models.spec import ModelSpec
from tasks.micro import problems
from tasks.records import Completion, Problem, Track

CPU = torch.device("cpu")
SETTINGS = GenerationSettings(max_new_tokens=16)
ADAPTERS: dict[str, dict[str, Any]] = {
    "small": {"r": 2, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"]},
    "large": {"r": 8, "lora_alpha": 64, "target_modules": "all-linear"},
    "patterns": {
        "r": 4,
        "lora_alpha": 32,
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 6},
        "alpha_pattern": {"layers.1.mlp.down_proj": 90},
    },
    "rslora": {"r": 4, "lora_alpha": 16, "use_rslora": True, "target_modules": ["up_proj"]},
    "dora": {"r": 4, "lora_alpha": 32, "use_dora": True, "target_modules": ["q_proj"]},
    "head": {"r": 4, "lora_alpha": 32, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
}

Answers = dict[tuple[Path | None, str, int], str]
Made = Callable[..., Path]


@pytest.fixture(scope="module")
def asked() -> tuple[Problem, ...]:
    return problems(Track.parse("generation/python"), split="test")[:5]


@pytest.fixture(scope="module")
def base(model_spec: ModelSpec) -> Base:
    return Base(model=model_spec, precision="fp32", device=CPU)


@pytest.fixture(scope="module")
def made(model_spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Adapters with weights drawn at random, by name; large enough that no answer stays the same."""
    folder = tmp_path_factory.mktemp("adapters")

    def of(name: str) -> Path:
        if not (folder / name).exists():
            torch.manual_seed(list(ADAPTERS).index(name))
            model = load_base(model_spec, precision="fp32", device=CPU)
            config = LoraConfig(init_lora_weights=False, **ADAPTERS[name])
            adapted = get_peft_model(model, config)
            for weight_name, weight in adapted.named_parameters():
                if "modules_to_save" in weight_name:
                    weight.data += 0.05 * torch.randn_like(weight)
            adapted.save_pretrained(str(folder / name))
        return folder / name

    return of


def answers(
    generator: TransformersGenerator,
    asked: Sequence[Problem],
    folders: Sequence[Path | None],
    *,
    settings: GenerationSettings = SETTINGS,
) -> tuple[Answers, dict[Path | None, str]]:
    """What was written, and what went wrong by adapter."""
    prompts = [Prompt(problem=problem, adapter=folder) for problem in asked for folder in folders]
    found, errors = {}, {}
    for prompt, done in generator.complete(prompts, settings=settings):
        if isinstance(done, Completion):
            found[prompt.adapter, done.problem_id, done.sample] = done.text
        else:
            errors[prompt.adapter] = str(done)
    return found, errors


def by_peft(base: Base, tokenizer: Any, asked: Sequence[Problem], folder: Path | None) -> dict[str, str]:
    """The answers of one adapter as peft computes it, a prompt at a time."""
    model: Any = load_base(base.model, precision=base.precision, device=CPU)
    if folder is not None:
        model = load_adapter(model, folder)
    return {problem.id: generate(model, tokenizer, [problem], settings=SETTINGS, slots=1)[0].text for problem in asked}


def test_adapters_of_every_layout_answer_in_one_call_as_peft_does_alone(
    base: Base, tokenizer: Any, asked: tuple[Problem, ...], made: Made
) -> None:
    folders = (None, *(made(name) for name in ADAPTERS))
    found, errors = answers(TransformersGenerator(ModelShelf(), base, slots=7), asked, folders)
    assert not errors
    texts = {}
    for folder in folders:
        texts[folder] = by_peft(base, tokenizer, asked, folder)
        assert {problem.id: found[folder, problem.id, 0] for problem in asked} == texts[folder], folder
    assert len({tuple(sorted(text.items())) for text in texts.values()}) == len(folders)


def test_only_what_is_a_and_b_on_linear_layers_lies_on_the_rack(base: Base, made: Made) -> None:
    model = load_base(base.model, precision="fp32", device=CPU)
    fit = {name for name in ADAPTERS if read_adapter(model, made(name)) is not None}
    assert fit == {"small", "large", "patterns", "rslora"}


def test_base_is_bare_again_once_the_rack_is_empty(base: Base, made: Made) -> None:
    model: Any = load_base(base.model, precision="fp32", device=CPU)
    ids = torch.arange(3, 20)[None]
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        rack, adapter = Rack(model), read_adapter(model, made("large"))
        assert adapter is not None
        with rack.holding([adapter]):
            rack.rows(torch.ones(17, dtype=torch.long))
            assert not torch.equal(model(input_ids=ids).logits, before)
            rack.rows(torch.zeros(17, dtype=torch.long))
            assert torch.equal(model(input_ids=ids).logits, before)
        assert torch.equal(model(input_ids=ids).logits, before)
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_samples_are_the_same_in_any_company_and_others_with_another_seed(
    base: Base, asked: tuple[Problem, ...]
) -> None:
    settings = GenerationSettings(max_new_tokens=16, samples=3, temperature=0.9, top_p=0.95, seed=4)
    shelf = ModelShelf()
    together, _ = answers(TransformersGenerator(shelf, base, slots=4), asked, [None], settings=settings)
    alone, _ = answers(TransformersGenerator(shelf, base, slots=1), asked[::-1], [None], settings=settings)
    assert together == alone
    assert len(together) == 15
    assert len(set(together.values())) > 5
    fewer = settings.model_copy(update={"samples": 1})
    single, _ = answers(TransformersGenerator(shelf, base, slots=4), asked[2:3], [None], settings=fewer)
    assert single.items() <= together.items()
    other = settings.model_copy(update={"seed": 5})
    assert answers(TransformersGenerator(shelf, base, slots=4), asked, [None], settings=other)[0] != together


def test_answer_ends_before_a_stop_string(base: Base, asked: tuple[Problem, ...]) -> None:
    shelf, settings = ModelShelf(), GenerationSettings(max_new_tokens=40)
    whole, _ = answers(TransformersGenerator(shelf, base), asked, [None], settings=settings)
    text = next(iter(whole.values()))
    stop = text[len(text) // 2 : len(text) // 2 + 3]
    stopping = settings.model_copy(update={"stop": (stop, "never there")})
    found, _ = answers(TransformersGenerator(shelf, base), asked, [None], settings=stopping)
    assert found == {key: text.split(stop)[0] for key, text in whole.items()}
    assert found != whole


def test_limit_of_a_track_stands_before_the_general_one(base: Base, asked: tuple[Problem, ...], tokenizer: Any) -> None:
    settings = GenerationSettings(max_new_tokens=40, max_tokens_by_track={asked[0].track: 3})
    model = load_base(base.model, precision="fp32", device=CPU)
    assert {c.new_tokens for c in generate(model, tokenizer, asked, settings=settings)} <= {0, 1, 2, 3}


def test_prompt_that_the_context_does_not_hold_is_skipped_and_the_others_are_answered(
    base: Base, asked: tuple[Problem, ...], tokenizer: Any
) -> None:
    model: Any = load_base(base.model, precision="fp32", device=CPU)
    long = asked[0].model_copy(update={"input": "x = 1\n" * model.config.max_position_embeddings})
    found = generate(model, tokenizer, [long, *asked[1:]], settings=SETTINGS)
    assert [c.finish for c in found][:1] == ["skipped"]
    assert all(c.finish != "skipped" for c in found[1:])


def damaged(kind: str, good: Path, to: Path) -> Path:
    """A copy of an adapter with a fault."""
    folder = shutil.copytree(good, to / kind)
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif kind == "other-base":
        settings = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "some/model"}))
        tensors = {name: weight[:, : weight.shape[1] // 2].contiguous() for name, weight in tensors.items()}
        save_file(tensors, file)
    elif kind == "other-layers":
        save_file({name.replace("layers.1.", "layers.7."): weight for name, weight in tensors.items()}, file)
    elif kind == "half":
        save_file({name: weight for name, weight in tensors.items() if "lora_A" in name}, file)
    elif kind == "diverged":
        save_file({name: weight * float("nan") for name, weight in tensors.items()}, file)
    elif kind == "other-ranks":
        save_file({name: w[:-1].contiguous() if "lora_A" in name else w for name, w in tensors.items()}, file)
    elif kind == "rank-unsaid":
        settings = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**settings, "r": 16}))
    elif kind == "cut-settings":
        (folder / "adapter_config.json").write_text((folder / "adapter_config.json").read_text()[:40])
    elif kind == "no-settings":
        (folder / "adapter_config.json").unlink()
    elif kind == "no-layer":
        save_file({name.replace("self_attn.q_proj", "self_attn"): weight for name, weight in tensors.items()}, file)
    elif kind == "no-effect":
        save_file({name: weight * ("lora_A" in name) for name, weight in tensors.items()}, file)
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut", "cannot be read"),
        ("other-base", "use it with its own base"),
        ("other-layers", "has model.layers.7.self_attn.q_proj, which the base has not"),
        ("half", "has no B for"),
        ("other-ranks", "says rank 2 for model.layers.0.self_attn.q_proj, and holds matrices of 1x64 and 64x2"),
        ("rank-unsaid", "says rank 16 for model.layers.0.self_attn.q_proj, and holds matrices of 2x64 and 64x2"),
        ("cut-settings", "cannot be read"),
        ("no-settings", "cannot be read"),
        ("no-layer", "which the base has not|base has None and None"),
        ("diverged", "values that are no numbers"),
        ("no-effect", "changes no logit of the base on 3 prompts"),
    ],
)
def test_adapter_that_cannot_be_used_is_named_and_the_others_are_answered(
    kind: str, message: str, base: Base, asked: tuple[Problem, ...], made: Made, tmp_path: Path
) -> None:
    bad, good = damaged(kind, made("small"), tmp_path), made("large")
    generator = TransformersGenerator(ModelShelf(), base, slots=4, probes=3)
    found, errors = answers(generator, asked, [bad, good, None])
    assert list(errors) == [bad]
    assert re.search(message, errors[bad])
    assert {folder for folder, _, _ in found} == {good, None}
    assert len(found) == 2 * len(asked)


def test_proof_holds_what_an_adapter_changes_and_how_far_the_engine_is_off(
    base: Base, asked: tuple[Problem, ...], made: Made
) -> None:
    generator = TransformersGenerator(ModelShelf(), base, slots=4, probes=4)
    folders = [None, made("small"), made("dora")]
    answers(generator, asked, folders)
    assert set(generator.proofs) == set(folders)
    for folder, proof in generator.proofs.items():
        assert proof.probes == 4
        assert proof.alone_differs == 0
        assert proof.engine_off is not None
        assert proof.engine_off < 1e-5
        if folder is None:
            assert proof.adapter_logits is None
        else:
            assert proof.adapter_logits is not None
            assert proof.adapter_logits > 0.1
            assert proof.adapter_answers is not None
            assert proof.adapter_answers > 0.5


def test_adapter_without_effect_that_peft_computes_fails_too(
    base: Base, asked: tuple[Problem, ...], made: Made, tmp_path: Path
) -> None:
    folder = shutil.copytree(made("head"), tmp_path / "idle")
    model = load_base(base.model, precision="fp32", device=CPU)
    tensors = load_file(folder / "adapter_model.safetensors")
    head = model.get_output_embeddings().weight.detach().clone()
    idle = {name: head if "lm_head" in name else weight * ("lora_A" in name) for name, weight in tensors.items()}
    save_file(idle, folder / "adapter_model.safetensors")
    generator = TransformersGenerator(ModelShelf(), base, slots=4, probes=2)
    found, errors = answers(generator, asked, [folder])
    assert not found
    assert "changes no logit" in errors[folder]


def test_reading_an_adapter_raises_what_the_engine_reports(base: Base, made: Made, tmp_path: Path) -> None:
    model = load_base(base.model, precision="fp32", device=CPU)
    with pytest.raises(ModelError, match="train it again"):
        read_adapter(model, damaged("cut", made("small"), tmp_path))
