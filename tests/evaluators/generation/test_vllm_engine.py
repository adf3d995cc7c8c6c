"""The engine on vLLM: over its recorded signatures everywhere, and over vLLM itself where a build of it is there."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from benchmarks.gpu.generation import Load, by_vllm
from evaluators.generation.engines import VLLM_FAMILIES, VLLM_RANKS, VLLM_VERSIONS, absent_vllm, unfit_for_vllm
from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base, ModelShelf
from evaluators.generation.transformers_engine import TransformersGenerator
from evaluators.generation.vllm_engine import VllmGenerator
from evaluators.generation.vllm_shelf import LOGITS, Needs, VllmShelf, engine_arguments, sampling_arguments
from evaluators.generation.vllm_worker import start_of
from evaluators.generation.writer import Asked
from models.loading import load_base
from models.locations import ModelError
from models.projections import names_known
from models.spec import ModelSpec
from tasks.micro import problems
from tasks.records import Completion, Problem, Track
from tests.evaluators.generation.vllm_double import Double, installed
from tests.evaluators.generation.vllm_signatures import recorded

CPU, GPU = torch.device("cpu"), torch.device("cuda")
VERSIONS = sorted(recorded())
SETTINGS = GenerationSettings(max_new_tokens=16, engine="vllm")
ADAPTERS: dict[str, dict[str, Any]] = {
    "small": {"r": 2, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"]},
    "large": {"r": 24, "lora_alpha": 64, "target_modules": "all-linear"},
    "rslora": {"r": 4, "lora_alpha": 16, "use_rslora": True, "target_modules": ["up_proj"]},
    "dora": {"r": 4, "use_dora": True, "target_modules": ["q_proj"]},
    "head": {"r": 4, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "patterns": {"r": 4, "target_modules": ["q_proj", "down_proj"], "rank_pattern": {"down_proj": 6}},
    "scales": {"r": 4, "target_modules": ["q_proj"], "alpha_pattern": {"layers.1.self_attn.q_proj": 90}},
    "wide": {"r": 600, "target_modules": ["q_proj"]},
}
NEEDS = Needs(length=300, context=1024, rank=0, adapters=0, seats=32)


@pytest.fixture(scope="module")
def asked() -> tuple[Problem, ...]:
    return problems(Track.parse("generation/python"), split="test")[:4]


@pytest.fixture(scope="module")
def base(model_spec: ModelSpec) -> Base:
    return Base(model=model_spec, precision="fp32", device=CPU)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture
def made(model_spec: ModelSpec, folder: Path) -> Any:
    def of(name: str, spec: ModelSpec = model_spec) -> Path:
        place = folder / spec.name.replace("/", "-") / name
        if not place.exists():
            torch.manual_seed(list(ADAPTERS).index(name))
            model = load_base(spec, precision="fp32", device=CPU)
            get_peft_model(model, LoraConfig(init_lora_weights=False, **ADAPTERS[name])).save_pretrained(place)
        return place

    return of


@pytest.fixture(params=VERSIONS)
def double(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Double]:
    with installed(request.param, tmp_path / "site") as found:
        yield found


Answers = dict[tuple[Path | None, str, int], Completion]


def answers(
    generator: Any, asked: Sequence[Problem], folders: Sequence[Path | None], *, settings: GenerationSettings = SETTINGS
) -> tuple[Answers, dict[Path | None, str]]:
    """What was written, and what went wrong by adapter."""
    found, errors = {}, {}
    prompts = [Prompt(problem=problem, adapter=folder) for problem in asked for folder in folders]
    for prompt, done in generator.complete(prompts, settings=settings):
        if isinstance(done, Completion):
            found[prompt.adapter, done.problem_id, done.sample] = done
        else:
            errors[prompt.adapter] = str(done)
    return found, errors


def test_answers_of_all_adapters_in_one_call_are_those_of_transformers(
    base: Base, asked: tuple[Problem, ...], made: Any, double: Double
) -> None:
    folders = [None, made("small"), made("large"), made("rslora")]
    generator = VllmGenerator(VllmShelf(), base, probes=2)
    found, errors = answers(generator, asked, folders)
    theirs, _ = answers(TransformersGenerator(ModelShelf(), base, probes=2), asked, folders)
    assert not errors
    assert found == theirs
    assert len({completion.text for completion in found.values()}) > len(asked)
    (llm,) = double.made
    assert llm.arguments["max_lora_rank"] == 32
    assert generator.work.new_tokens >= sum(completion.new_tokens for completion in found.values())
    assert set(generator.proofs) == set(folders)


def test_proof_says_what_an_adapter_changes_and_not_how_far_the_engine_is_off(
    base: Base, asked: tuple[Problem, ...], made: Any, double: Double
) -> None:
    ours, theirs = VllmGenerator(VllmShelf(), base, probes=3), TransformersGenerator(ModelShelf(), base, probes=3)
    for generator in (ours, theirs):
        answers(generator, asked, [None, made("large")])
    proof, other = ours.proofs[made("large")], theirs.proofs[made("large")]
    assert proof.adapter_logits == pytest.approx(other.adapter_logits, rel=1e-3)
    assert (proof.adapter_answers, proof.alone_differs) == (other.adapter_answers, 0)
    assert proof.engine_off is None
    assert ours.proofs[None].adapter_logits is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dora", "adapters with DoRA"),
        ("head", "modules that are trained whole"),
        ("patterns", "differ from layer to layer"),
        ("scales", "differ from layer to layer"),
        ("wide", "adapters of rank 600"),
    ],
)
def test_adapter_that_vllm_would_compute_otherwise_is_refused_and_the_others_are_answered(
    name: str, message: str, base: Base, asked: tuple[Problem, ...], made: Any, double: Double
) -> None:
    found, errors = answers(VllmGenerator(VllmShelf(), base), asked, [made(name), made("small"), None])
    assert list(errors) == [made(name)]
    assert message in errors[made(name)]
    assert "use generation.engine: transformers" in errors[made(name)]
    assert len(found) == 2 * len(asked)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("cut", "cannot be read"), ("elsewhere", "which the base has not"), ("idle", "changes no logit of the base on 2")],
)
def test_damaged_adapter_and_one_without_effect_are_named_before_others_write(
    kind: str, message: str, base: Base, asked: tuple[Problem, ...], made: Any, double: Double, tmp_path: Path
) -> None:
    bad = shutil.copytree(made("small"), tmp_path / kind)
    file = bad / "adapter_model.safetensors"
    tensors = load_file(file)
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif kind == "elsewhere":
        save_file({name.replace("layers.1.", "layers.7."): weight for name, weight in tensors.items()}, file)
    else:
        save_file({name: weight * ("lora_A" in name) for name, weight in tensors.items()}, file)
    found, errors = answers(VllmGenerator(VllmShelf(), base, probes=2), asked, [bad, made("large")])
    assert list(errors) == [bad]
    assert message in errors[bad]
    assert len(found) == len(asked)
    alone, errors = answers(VllmGenerator(VllmShelf(), base, probes=2), asked, [bad])
    assert not alone
    assert message in errors[bad]


def test_what_vllm_refuses_of_an_adapter_is_its_trials_failure_alone(
    base: Base, asked: tuple[Problem, ...], made: Any, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, largest: int) -> Any:
        if folder == made("small"):
            raise ValueError("expected target modules in {'qkv_proj'}\nand a page of more")
        return real(folder, largest)

    from tests.evaluators.generation import vllm_double

    real = vllm_double.read_as_vllm
    monkeypatch.setattr(vllm_double, "read_as_vllm", refuse)
    found, errors = answers(VllmGenerator(VllmShelf(), base), asked, [made("small"), made("large")])
    assert errors[made("small")].endswith("expected target modules in {'qkv_proj'}")
    assert len(found) == len(asked)


def test_samples_have_seeds_of_their_own_and_come_out_the_same_in_any_company(
    base: Base, asked: tuple[Problem, ...], double: Double
) -> None:
    settings = SETTINGS.model_copy(update={"samples": 2, "temperature": 0.9, "top_p": 0.95, "seed": 4})
    together, _ = answers(VllmGenerator(VllmShelf(), base), asked, [None], settings=settings)
    alone, _ = answers(VllmGenerator(VllmShelf(), base), asked[1:2], [None], settings=settings)
    other, _ = answers(
        VllmGenerator(VllmShelf(), base), asked, [None], settings=settings.model_copy(update={"seed": 5})
    )
    assert alone.items() <= together.items()
    assert len({completion.text for completion in together.values()}) > len(asked)
    assert other != together


def test_answer_ends_before_a_stop_string_and_at_its_tracks_limit(
    base: Base, asked: tuple[Problem, ...], double: Double
) -> None:
    stopping = SETTINGS.model_copy(update={"stop": ("return", "never there"), "max_new_tokens": 40})
    found, _ = answers(VllmGenerator(VllmShelf(), base), asked, [None], settings=stopping)
    theirs, _ = answers(TransformersGenerator(ModelShelf(), base), asked, [None], settings=stopping)
    assert found == theirs
    answering = SETTINGS.model_copy(update={"stop_at_answer": True, "max_new_tokens": 60})
    found, _ = answers(VllmGenerator(VllmShelf(), base), asked, [None], settings=answering)
    theirs, _ = answers(TransformersGenerator(ModelShelf(), base), asked, [None], settings=answering)
    assert found == theirs
    short = SETTINGS.model_copy(update={"max_tokens_by_track": {asked[0].track: 3}})
    few, _ = answers(VllmGenerator(VllmShelf(), base), asked, [None], settings=short)
    assert {completion.new_tokens for completion in few.values()} <= {0, 1, 2, 3}


def test_prompt_that_the_context_does_not_hold_is_skipped_without_an_engine_for_it(
    base: Base, asked: tuple[Problem, ...], double: Double
) -> None:
    long = asked[0].model_copy(update={"input": "x = 1\n" * 2000})
    generator = VllmGenerator(VllmShelf(), base, probes=2)
    found, _ = answers(generator, [long], [None])
    assert [completion.finish for completion in found.values()] == ["skipped"]
    assert generator.proofs[None].probes == 0
    assert not double.made


def test_engine_is_kept_for_the_next_call_and_made_anew_for_a_larger_rank(
    base: Base, asked: tuple[Problem, ...], made: Any, double: Double
) -> None:
    shelf = VllmShelf()
    for folders in ([made("small")], [made("rslora"), made("small")], [made("large")]):
        answers(VllmGenerator(shelf, base), asked[:1], folders)
    first, second = double.made
    assert first.said == ["end_with", "shutdown"]
    assert [len(llm.llm_engine.adapters) for llm in double.made] == [2, 1]
    shelf.clear()
    assert second.said[-1] == "shutdown"


def test_engine_on_a_gpu_sleeps_between_calls(base: Base, double: Double) -> None:
    shelf, on_gpu = VllmShelf(gpus=0.5), Base(model=base.model, precision="bf16", device=GPU)
    for _ in range(2):
        shelf.ready(on_gpu, NEEDS)
        shelf.rest()
        shelf.rest()
    (llm,) = double.made
    assert llm.said == ["end_with", "sleep", "wake_up", "sleep"]
    assert llm.arguments["gpu_memory_utilization"] == 0.45
    assert os.environ["VLLM_BATCH_INVARIANT"] == "1"


def test_engine_that_breaks_is_let_go_of_and_what_waits_is_taken_back(
    base: Base, asked: tuple[Problem, ...], double: Double
) -> None:
    shelf = VllmShelf()
    answers(VllmGenerator(shelf, base), asked[:1], [None])
    double.made[0].llm_engine.breaks = True
    with pytest.raises(RuntimeError, match="the engine is dead"):
        answers(VllmGenerator(shelf, base), asked, [None])
    assert len(double.made[0].llm_engine.aborted) == len(asked)
    assert double.made[0].said[-1] == "shutdown"
    found, _ = answers(VllmGenerator(shelf, base), asked, [None])
    assert len(found) == len(asked)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precision", ["bf16", "fp32", "nf4"])
def test_all_that_is_said_to_vllm_are_arguments_that_it_takes(version: str, precision: Any, base: Base) -> None:
    known = recorded()[version]
    needs = Needs(length=3000, context=None, rank=40, adapters=30, seats=256)
    said = engine_arguments(Base(model=base.model, precision=precision, device=GPU), needs, gpus=1.0)
    constructor = {name for name, _, _ in known["calls"]["LLM"]["__init__"]}
    assert said.keys() <= constructor | set(known["fields"]["EngineArgs"])
    assert said["max_lora_rank"] == 64
    assert said["max_loras"] == 16
    assert said["max_model_len"] == 4096
    assert said["logprobs_mode"] in known["choices"]["LogprobsMode"]
    asked = Asked(ids=[1], limit=4, seed=3)
    sampling = sampling_arguments(SETTINGS, asked, ends=frozenset({0})).keys() | LOGITS.keys()
    assert sampling <= set(known["fields"]["SamplingParams"])
    assert "VLLM_BATCH_INVARIANT" in known["environment"]
    assert "VLLM_WORKER_MULTIPROC_METHOD" in known["environment"]


@pytest.mark.parametrize("version", VERSIONS)
def test_families_ranks_and_unread_settings_of_adapters_are_those_of_vllm(version: str) -> None:
    known = recorded()[version]
    assert set(known["families"]) == set(VLLM_FAMILIES)
    assert all(found["adapters"] for found in known["families"].values())
    assert tuple(known["choices"]["MaxLoRARanks"]) == VLLM_RANKS
    # What its loader does not read, it would compute without: such adapters are refused by us.
    for setting in ("rank_pattern", "alpha_pattern", "lora_bias", "fan_in_fan_out"):
        assert setting not in known["fields"]["PEFTHelper"]
        assert unfit_for_vllm({"r": 8, setting: {"q_proj": 4}})
    assert not unfit_for_vllm({"r": 8, "use_rslora": True, "lora_alpha": 16})


def test_versions_that_were_looked_at_are_those_that_are_asked_for() -> None:
    assert {version.rsplit(".", 1)[0] for version in VERSIONS} == set(VLLM_VERSIONS)
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert '"vllm>=0.29,<0.31"' in pyproject


def test_vllm_that_is_absent_is_told_with_the_remedy(base: Base, asked: tuple[Problem, ...]) -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vLLM is installed here")
    assert "pip install 'polytune[vllm]'" in absent_vllm(quantised=False)
    with pytest.raises(ModelError, match="vLLM is not installed here"):
        answers(VllmGenerator(VllmShelf(), base), asked, [None])


def test_layers_of_listed_families_are_known_by_name(tmp_path: Path) -> None:
    for family in VLLM_FAMILIES:
        (tmp_path / family).mkdir()
        (tmp_path / family / "config.json").write_text(json.dumps({"model_type": family}))
        assert names_known(ModelSpec(name=str(tmp_path / family))) is not None


def test_process_of_vllm_ends_when_the_one_that_asked_for_it_is_killed() -> None:
    ask = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]]);"
        "print(p.pid, flush=True); p.wait()"
    )
    watch = (
        "import os, time; from evaluators.generation.vllm_worker import EndsWithAsker;"
        "assert EndsWithAsker().end_with(os.getppid()); open(os.environ['READY'], 'w'); time.sleep(60)"
    )
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        command = [sys.executable, "-c", ask, watch]
        environment = {**os.environ, "READY": str(ready)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as asker:
            assert asker.stdout is not None
            watcher = int(asker.stdout.readline())
            while not ready.exists() and asker.poll() is None:
                time.sleep(0.05)
            asker.kill()
            asker.wait()
        until = time.monotonic() + 20
        while start_of(watcher) is not None and time.monotonic() < until:
            time.sleep(0.1)
        assert time.monotonic() < until


def test_benchmark_says_to_vllm_what_it_takes(double: Double) -> None:
    load = Load(prompts=4, new_tokens=3)
    lines = list(by_vllm("tiny", load, CPU, until=time.monotonic() + 60))
    assert [line.get("adapters") for line in lines] == [None, 0, 1, 8]
    assert all(line["new_tokens_per_s"] > 0 for line in lines[1:])
    late = list(by_vllm("tiny", load, CPU, until=0.0))
    assert [line["not_run"] for line in late[1:]] == ["no time left; give it more with --seconds"] * 3
    assert len(double.made[0].llm_engine.adapters) == 8


# Its published builds are for GPUs; where one for CPUs is installed, it runs all the same.
@pytest.mark.gpu
@pytest.mark.timeout(600)
def test_vllm_itself_writes_what_transformers_writes(
    asked: tuple[Problem, ...], made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if absent := absent_vllm(quantised=False):
        pytest.skip(absent)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    # Its kernels for CPUs want heads of more columns than the tiny base has.
    base = Base(model=ModelSpec(name="builtin:micro"), precision="fp32", device=CPU)
    folders = [None, *(made(name, base.model) for name in ("small", "large", "rslora"))]
    dora, shelf = made("dora", base.model), VllmShelf()
    generator = VllmGenerator(shelf, base, slots=8, probes=2)
    try:
        found, errors = answers(generator, asked, [*folders, dora])
        drawn = SETTINGS.model_copy(update={"samples": 2, "temperature": 0.9, "seed": 4, "stop": ("return",)})
        together, _ = answers(VllmGenerator(shelf, base, slots=8), asked, [None], settings=drawn)
        alone, _ = answers(VllmGenerator(shelf, base, slots=8), asked[1:2], [None], settings=drawn)
    finally:
        shelf.clear()
    theirs, _ = answers(TransformersGenerator(ModelShelf(), base), asked, folders)
    assert list(errors) == [dora]
    assert found == theirs
    assert alone.items() <= together.items()
    assert not any("return" in completion.text for completion in together.values())
    proof = generator.proofs[folders[2]]
    assert proof.adapter_logits is not None
    assert proof.adapter_logits > 0.1
    assert proof.alone_differs == 0
