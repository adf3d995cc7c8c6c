"""A stand-in for vLLM where it cannot run: its recorded signatures, with a real model behind them.

One decision: it knows the names that were recorded from vLLM's own sources and no others, so a call with an argument
that vLLM does not take, or a look at a field that its answers do not have, fails here as it would there. What it writes
is what the model gives for each prompt alone, by adapters read as vLLM's loader reads them: rank and scale out of
`adapter_config.json`, the same for all layers. Answers come in another order than they were asked for.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from safetensors.torch import load_file

from evaluators.generation.answers import Stopper
from evaluators.generation.choosing import draws
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.writer import Asked, SlotWriter
from models.loading import load_base, load_tokenizer
from models.rack import Adapter, Rack
from models.spec import ModelSpec
from tests.evaluators.generation.vllm_signatures import recorded, signature

_OFF = {"use_dora": False, "modules_to_save": None, "bias": "none"}


@contextmanager
def installed(version: str, site: Path) -> "Iterator[Double]":
    """A version of vLLM that is found as installed packages are, for as long as this lasts."""
    double = Double(version)
    for name in ("vllm/__init__.py", "vllm/lora/__init__.py", "vllm/lora/request.py", "vllm_bnb_plugin/__init__.py"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).touch()
    told = site / f"vllm-{version}.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n", encoding="utf-8")
    before, environment = {name: sys.modules.pop(name) for name in _of_vllm()}, os.environ.copy()
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    try:
        vllm, request = importlib.import_module("vllm"), importlib.import_module("vllm.lora.request")
        vars(vllm).update(LLM=double.LLM, SamplingParams=double.SamplingParams)
        vars(request).update(LoRARequest=double.LoRARequest)
        yield double
    finally:
        sys.path.remove(str(site))
        for name in _of_vllm():
            del sys.modules[name]
        sys.modules.update(before)
        os.environ.clear()
        os.environ.update(environment)


def _of_vllm() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "vllm"]


class Double:
    """A version of vLLM: `LLM`, `SamplingParams`, and what they give."""

    def __init__(self, version: str) -> None:
        self.signatures = recorded()[version]
        self.made: list[Any] = []
        self.SamplingParams = self._known("SamplingParams", output_kind=None)
        self.LoRARequest = self._known("LoRARequest")
        self.CompletionOutput = self._known("CompletionOutput")
        self.Logprob = self._known("Logprob")
        answered = [name for name, _, _ in self.signatures["calls"]["RequestOutput"]["__init__"] if name != "kwargs"]
        self.RequestOutput = make_dataclass("RequestOutput", [(name, Any, None) for name in answered])

    def LLM(self, *args: Any, **kwargs: Any) -> "LLM":
        """An engine."""
        bound = self.bind("LLM", "__init__", *args, **kwargs)
        unknown = bound.pop("kwargs", {}).keys() - set(self.signatures["fields"]["EngineArgs"])
        if unknown:
            raise TypeError(f"EngineArgs takes no {', '.join(sorted(unknown))}")
        self.made.append(LLM(self, kwargs))
        return self.made[-1]

    def bind(self, cls: str, method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """A call's arguments by name, if vLLM takes them.

        Raises:
            TypeError: if it does not.
        """
        return dict(signature(self.signatures["calls"][cls][method]).bind(*args, **kwargs).arguments)

    def _known(self, name: str, **others: Any) -> Any:
        fields = [field for field in self.signatures["fields"][name] if not field.startswith("_")]
        return make_dataclass(name, [(field, Any, others.get(field)) for field in fields])


class LLM:
    """An engine over a real model, and what was said to it."""

    def __init__(self, double: Double, arguments: dict[str, Any]) -> None:
        self.double, self.arguments = double, arguments
        self.said: list[str] = []
        where = ModelSpec(name=str(arguments["model"]))
        self.model: Any = load_base(where, precision="fp32", device=torch.device("cpu")).eval()
        self.tokenizer = load_tokenizer(ModelSpec(name=str(arguments["tokenizer"])))
        self.llm_engine = Engine(self)
        self.asked = 0

    def enqueue(self, *args: Any, **kwargs: Any) -> list[str]:
        """Names of the requests, each with something behind it that its answer does not have."""
        said = self.double.bind("LLM", "enqueue", *args, **kwargs)
        prompts, params, adapters = said["prompts"], said["sampling_params"], said["lora_request"]
        assert len(prompts) == len(params) == len(adapters)
        names = []
        for prompt, one, adapter in zip(prompts, params, adapters, strict=True):
            assert prompt.keys() <= set(self.double.signatures["fields"]["TokensPrompt"])
            assert len(prompt["prompt_token_ids"]) + one.max_tokens <= self.arguments["max_model_len"]
            assert adapter is None or self.arguments["enable_lora"]
            self.llm_engine.waiting[str(self.asked)] = prompt["prompt_token_ids"], one, adapter
            names.append(f"{self.asked}-{self.asked:08x}")
            self.asked += 1
        return names

    def collective_rpc(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Takes note of what workers are told."""
        self.said.append(self.double.bind("LLM", "collective_rpc", *args, **kwargs)["method"])
        return [True]

    def sleep(self, *args: Any, **kwargs: Any) -> None:
        """Takes note of it."""
        self.double.bind("LLM", "sleep", *args, **kwargs)
        self.said.append("sleep")

    def wake_up(self, *args: Any, **kwargs: Any) -> None:
        """Takes note of it."""
        self.double.bind("LLM", "wake_up", *args, **kwargs)
        self.said.append("wake_up")


class Engine:
    """The part of an engine that takes steps."""

    def __init__(self, llm: LLM) -> None:
        self.llm, self.waiting, self.adapters = llm, dict[str, Any](), dict[str, Adapter]()
        self.aborted: list[str] = []
        self.breaks = False
        self.engine_core = SimpleNamespace(shutdown=self._shutdown)

    def add_lora(self, *args: Any, **kwargs: Any) -> bool:
        """Read an adapter as vLLM does."""
        request = self.llm.double.bind("LLMEngine", "add_lora", *args, **kwargs)["lora_request"]
        assert request.lora_int_id not in {int(name.rsplit("-", 1)[-1]) for name in self.adapters}
        self.adapters[request.lora_name] = read_as_vllm(Path(request.lora_path), self.llm.arguments["max_lora_rank"])
        return True

    def has_unfinished_requests(self) -> bool:
        """Whether anything waits."""
        return bool(self.waiting)

    def get_num_unfinished_requests(self) -> int:
        """How much waits."""
        return len(self.waiting)

    def abort_request(self, *args: Any, **kwargs: Any) -> None:
        """Forget requests."""
        self.aborted += self.llm.double.bind("LLMEngine", "abort_request", *args, **kwargs)["request_ids"]
        for name in self.aborted:
            self.waiting.pop(name, None)

    def step(self) -> list[Any]:
        """Answer whatever came last, after a step that answers nothing."""
        if self.breaks:
            raise RuntimeError("the engine is dead")
        name, (ids, params, adapter) = self.waiting.popitem()
        output = self._logits(ids, adapter) if params.logprobs == -1 else self._answer(ids, params, adapter)
        known = {"request_id": name, "prompt_token_ids": ids, "outputs": [output], "finished": True}
        return [self.llm.double.RequestOutput(**known)]

    def _answer(self, ids: Sequence[int], params: Any, adapter: Any) -> Any:
        assert params.ignore_eos
        assert params.detokenize or not params.stop
        settings = GenerationSettings(
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            min_p=params.min_p,
            repetition_penalty=params.repetition_penalty,
            stop=tuple(params.stop),
        )
        drawn = draws(params.seed, "", 0, count=params.max_tokens) if params.temperature else ()
        # No question is asked of what looks for stop strings alone.
        ends = Stopper(self.llm.tokenizer, settings).of(cast("Any", None))
        asked = Asked(ids=ids, limit=params.max_tokens, adapter=int(adapter is not None), draws=drawn, ends=ends)
        held = [] if adapter is None else [self.adapters[adapter.lora_name]]
        writer = SlotWriter(
            self.llm.model, ends=frozenset(params.stop_token_ids), settings=settings, adapters=held, slots=1
        )
        (written,) = writer.write([asked])
        ended = written.finish == "stop" and not (ends and ends(written.ids))
        tokens = [*written.ids, *([params.stop_token_ids[0]] if ended else [])]
        return self._output(tokens, finish_reason=written.finish, logprobs=None)

    @torch.inference_mode()
    def _logits(self, ids: Sequence[int], adapter: Any) -> Any:
        rack = Rack(self.llm.model)
        with rack.holding([] if adapter is None else [self.adapters[adapter.lora_name]]):
            if adapter is not None:
                rack.rows(torch.ones(len(ids), dtype=torch.long))
            logits_V = self.llm.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1]
        entries = {token: self.llm.double.Logprob(logprob=value) for token, value in enumerate(logits_V.tolist())}
        return self._output([int(logits_V.argmax())], finish_reason="length", logprobs=[entries])

    def _output(self, tokens: list[int], **known: Any) -> Any:
        return self.llm.double.CompletionOutput(index=0, token_ids=tokens, **known)

    def _shutdown(self, *args: Any, **kwargs: Any) -> None:
        self.llm.double.bind("EngineCoreClient", "shutdown", *args, **kwargs)
        self.llm.said.append("shutdown")


def read_as_vllm(folder: Path, largest: int) -> Adapter:
    """An adapter as vLLM's loader takes it: what it does not know in the settings it passes over."""
    settings = json.loads((folder / "adapter_config.json").read_text())
    for name, usual in _OFF.items():
        if settings.get(name, usual) != usual:
            raise ValueError(f"vLLM does not support {name}.")
    rank = settings["r"]
    if rank > largest:
        raise ValueError(f"LoRA rank {rank} is greater than max_lora_rank {largest}.")
    scale = settings["lora_alpha"] / (rank**0.5 if settings["use_rslora"] else rank)
    tensors = load_file(folder / "adapter_model.safetensors")
    names = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in tensors}
    layers = {
        name: (
            tensors[f"base_model.model.{name}.lora_A.weight"],
            tensors[f"base_model.model.{name}.lora_B.weight"],
            scale,
        )
        for name in sorted(names)
    }
    return Adapter(folder=folder, layers=layers)
