"""The probe: which families may be trained how, and that nothing broken passes for right."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

import models.flat
from models.locations import ModelError
from models.probe import probe
from models.shrunken import WINDOW, hollow, kinds_of_layers, shrunken
from models.spec import ModelSpec
from models.verdicts import Prompting, Verdict, prompting_of, verdict_of

pytestmark = pytest.mark.slow

# Whole configurations as transformers ships them, mostly of some billions of weights.
FAMILIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "llama": ({}, "flat", ""),
    "mistral": ({"sliding_window": 4096}, "flat", ""),
    "qwen2": ({"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 0}, "flat", ""),
    "qwen3": ({}, "flat", ""),
    "gemma2": ({}, "single", "softcap"),
    "gemma3_text": ({}, "flat", ""),
    "granite": ({"logits_scaling": 8.0}, "flat", ""),
    "cohere2": ({}, "flat", ""),
    "starcoder2": ({"sliding_window": 4096}, "flat", ""),
    "phi3": ({}, "flat", ""),
    "deepseek_v3": ({}, "flat", ""),
    "gpt_oss": ({}, "single", "s_aux"),
    "bloom": ({}, "single", "standard deviations off"),
    "mamba2": ({}, "single", "standard deviations off"),
    "granitemoehybrid": ({"layer_types": ["mamba", "attention"] * 16}, "single", "standard deviations off"),
    "jamba": ({}, "single", "standard deviations off"),
    "mistral3": ({}, "refused", "is no class of causal language models"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_family_goes_the_best_path_that_is_its_own_function(family: str) -> None:
    settings, path, why = FAMILIES[family]
    found = probe(AutoConfig.for_model(family, **settings))
    assert found.path == path, found.reasons
    assert why in "; ".join(found.reasons)
    if path != "refused":
        assert found.figures[path] <= 1e-4
        assert found.linear
    if "sliding_window" in settings:
        assert found.windows == WINDOW


Attention = Callable[..., tuple[torch.Tensor, None]]


def _whole_row(real: Attention, segments: Any, told: dict[str, Any], args: tuple[Any, ...]) -> Any:
    whole = models.flat.segments_of([sum(segments.lengths)])
    return real(*args, segments=whole, **told)


def _no_window(real: Attention, segments: Any, told: dict[str, Any], args: tuple[Any, ...]) -> Any:
    return real(*args, segments=segments, **{**told, "sliding_window": None})


def _off_by_one(real: Attention, segments: Any, told: dict[str, Any], args: tuple[Any, ...]) -> Any:
    first, *between, last = segments.lengths if len(segments.lengths) > 1 else (1, segments.lengths[0] - 1)
    return real(*args, segments=models.flat.segments_of([first + 1, *between, last - 1]), **told)


def _scaled(real: Attention, segments: Any, told: dict[str, Any], args: tuple[Any, ...]) -> Any:
    return real(*args, segments=segments, **{**told, "scaling": told["scaling"] * 1.01})


def _future(real: Attention, segments: Any, told: dict[str, Any], args: tuple[Any, ...]) -> Any:
    module, query, key, value, *_ = args
    out, _ = real(module, *(t.flip(2) for t in (query, key, value)), None, segments=segments, **told)
    return out.flip(1), None


@pytest.mark.parametrize("mutant", [_whole_row, _no_window, _off_by_one, _scaled, _future])
def test_broken_attention_never_passes_for_right(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = models.flat.flat_attention

    def broken(*args: Any, segments: Any = None, **told: Any) -> Any:
        return mutant(real, segments, told, args)

    monkeypatch.setattr(models.flat, "flat_attention", broken)
    found = probe(AutoConfig.for_model("mistral", sliding_window=4096))
    assert found.path == "single"
    assert "standard deviations off" in found.reasons[0]


def test_copy_has_every_kind_of_layer_of_the_whole() -> None:
    for family in ("jamba", "qwen3_next", "deepseek_v3", "recurrent_gemma"):
        config = AutoConfig.for_model(family)
        small = shrunken(config)
        assert kinds_of_layers(hollow(config)) == kinds_of_layers(small)
        assert sum(parameter.numel() for parameter in small.parameters()) < 2_000_000


def test_verdict_is_found_once_in_a_process_of_its_own_and_kept(tmp_path: Path) -> None:
    model = ModelSpec(name="builtin:micro")
    assert verdict_of(model, folder=tmp_path, probing=False) is None
    found = verdict_of(model, folder=tmp_path)
    assert found is not None
    assert (found.family, found.path, found.vocabulary, found.context) == ("qwen2", "flat", 1024, 1024)
    assert verdict_of(model, folder=tmp_path, probing=False) == found
    (kept,) = tmp_path.iterdir()
    kept.write_text("damaged")
    assert verdict_of(model, folder=tmp_path, probing=False) is None


def test_same_architecture_elsewhere_is_not_probed_again(tmp_path: Path) -> None:
    for name, rate in (("a", 0.02), ("b", 0.02), ("c", 0.01)):
        (tmp_path / name).mkdir()
        config = {"model_type": "qwen2", "rms_norm_eps": rate, "transformers_version": name}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    from models.verdicts import _architecture_of

    a, b, c = (_architecture_of(ModelSpec(name=str(tmp_path / name))) for name in "abc")
    assert a == b != c


def test_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no_such_family"}')
    with pytest.raises(ModelError, match="no_such_family"):
        verdict_of(ModelSpec(name=str(tmp_path)), folder=tmp_path / "kept")


def test_asking_for_a_verdict_loads_no_torch() -> None:
    code = "import sys, models.verdicts; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_prompts_are_looked_at_in_a_process_of_their_own_and_kept_by_template(tmp_path: Path) -> None:
    model = ModelSpec(name="builtin:micro")
    found = prompting_of(model, folder=tmp_path)
    assert found is not None
    assert found == Prompting(template="own", system="own", lead="", opens=found.opens)
    assert found.opens.endswith("Given:\ntext\nReturn:\n")
    assert prompting_of(model, folder=tmp_path, probing=False) == found
    told = model.model_copy(update={"chat_template": "{{ messages[0]['content'] }}"})
    assert prompting_of(told, folder=tmp_path, probing=False) is None


def test_refusal_names_family_figures_and_remedy() -> None:
    refused = Verdict(family="odd", path="refused", reasons=("single examples give logits 4e+00 off",))
    assert refused.line() == (
        "odd cannot be trained rightly here: single examples give logits 4e+00 off. Name a model of another family, "
        "or keep this one frozen"
    )
