"""Memory estimates, planned without loading anything."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.shapes import Estimate, Shape, Unknown, shape_of
from models.spec import ModelSpec
from trainers.memory import (
    Device,
    Load,
    Passes,
    bytes_per_token,
    checkpoint_size,
    corrected,
    lighter,
    lightest,
    must_recompute,
    need_of,
    passes_of,
    steps_up,
    training_memory,
    weights_size,
)
from trainers.methods.table import MethodKind
from trainers.spec import LoraSettings, Runtime, TrainingSettings, TrainingSpec

MB, GIB = 1e6, 2**30
CODER = "Qwen/Qwen2.5-Coder-"
KINDS = (MethodKind.QLORA, MethodKind.LORA, MethodKind.FULL)


def test_lora_parameters_are_those_that_peft_makes(model_spec: ModelSpec, spec_of: Any, runtime: Runtime) -> None:
    from trainers.methods.dropout import DropoutKey
    from trainers.methods.lora import adapted

    model = adapted(spec_of(), runtime=runtime, key=DropoutKey(seed=0))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shape = shape_of(model_spec)
    assert isinstance(shape, Shape)
    assert shape.lora_parameters(4) == trainable


def test_unknown_model_gives_unknown_with_its_name() -> None:
    model = ModelSpec(name="somebody/some-model")
    answer = training_memory(model, Load(kind=MethodKind.LORA, micro_tokens=512))
    assert isinstance(answer, Unknown)
    assert "somebody/some-model" in answer.reason


def test_quantised_training_takes_least_and_full_takes_most() -> None:
    model = ModelSpec(name="Qwen/Qwen2.5-Coder-7B-Instruct")
    qlora, lora, full = (training_memory(model, Load(kind=kind, micro_tokens=512)) for kind in KINDS)
    assert isinstance(qlora, Estimate)
    assert isinstance(lora, Estimate)
    assert isinstance(full, Estimate)
    assert qlora.value < lora.value < full.value
    # 16 bytes a weight: bf16 weight and gradient, 32-bit master and two moments.
    assert full.value > 16 * 7.6e9
    smaller = training_memory(model, Load(kind=MethodKind.FULL, micro_tokens=512, optimizer_8bit=True))
    assert isinstance(smaller, Estimate)
    assert smaller.value < full.value


def value(answer: Estimate | Unknown) -> float:
    assert isinstance(answer, Estimate)
    return answer.value


def test_zero_shares_states_between_processes_and_checkpointing_spares_activations() -> None:
    model = ModelSpec(name="Qwen/Qwen2.5-Coder-7B-Instruct")
    one = Load(kind=MethodKind.FULL, micro_tokens=512)
    shared = [
        value(training_memory(model, Load(kind=MethodKind.FULL, micro_tokens=512, zero_stage=stage, processes=4)))
        for stage in range(4)
    ]
    assert shared == sorted(shared, reverse=True)
    assert shared[0] == value(training_memory(model, one))
    # Of 16 bytes a weight, 12, then 14, then all are divided by four.
    parameters = 7.616e9  # to three places from its safetensors
    for saved, width in zip((shared[0] - s for s in shared[1:]), (12, 14, 16), strict=True):
        assert saved == pytest.approx(parameters * width * 3 / 4, rel=0.02)
    checkpointed = Load(kind=MethodKind.FULL, micro_tokens=512, gradient_checkpointing=True)
    assert value(training_memory(model, checkpointed)) < value(training_memory(model, one))


def test_adapter_on_disk_is_as_large_as_peft_writes_it(
    model_spec: ModelSpec, spec_of: Any, runtime: Runtime, tmp_path: Path
) -> None:
    from trainers.methods.dropout import DropoutKey
    from trainers.methods.lora import adapted

    adapted(spec_of(), runtime=runtime, key=DropoutKey(seed=0)).save_pretrained(str(tmp_path))
    size = value(weights_size(model_spec, kind=MethodKind.LORA, rank=4))
    # The file has names and shapes besides.
    assert size == pytest.approx((tmp_path / "adapter_model.safetensors").stat().st_size, rel=0.2)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_checkpoint_on_disk_is_as_large_as_was_planned(
    optimizer: str, model_spec: ModelSpec, runtime: Runtime, examples_of: Any, tokenizer: Any, tmp_path: Path
) -> None:
    from trainers.batches.rows import encode, lay_flat
    from trainers.methods.build import build_engine

    settings = TrainingSettings(max_steps=1, optimizer=optimizer, max_length=256)
    spec = TrainingSpec(model=model_spec, kind=MethodKind.LORA, lora=LoraSettings(rank=128), settings=settings)
    engine, _ = build_engine(spec, runtime=runtime, num_tracks=1)
    found = encode(examples_of(count=1), tokenizer, settings=settings).examples
    engine.accumulate(lay_flat(found, keys=(0,), tracks=(found[0].track,), pad=0), (1.0,), last=True)
    engine.step(learning_rate=1e-4)
    engine.state(tmp_path)
    planned = Load(kind=MethodKind.LORA, micro_tokens=1, rank=128, optimizer_8bit=optimizer != "adamw")
    took = sum(path.stat().st_size for path in tmp_path.iterdir())
    print(f"{optimizer}: took {took}, planned {value(checkpoint_size(model_spec, planned)):.0f}")
    assert value(checkpoint_size(model_spec, planned)) == pytest.approx(took, rel=0.1)


@pytest.mark.parametrize(("optimizer_8bit", "took"), [(False, 55_725_082), (True, 34_964_011)])
def test_checkpoint_of_all_weights_is_as_large_as_deepspeed_wrote_it(optimizer_8bit: bool, took: int) -> None:
    """The built-in model on a CPU under DeepSpeed 0.19.8, one process, ZeRO 2: 16.0 and 10.1 bytes a weight."""
    load = Load(kind=MethodKind.FULL, micro_tokens=1, on_cpu=True, optimizer_8bit=optimizer_8bit)
    assert value(checkpoint_size(ModelSpec(name="builtin:micro"), load)) == pytest.approx(took, rel=0.01)


def shape_named(size: str) -> Shape:
    shape = shape_of(ModelSpec(name=f"{CODER}{size}"))
    assert isinstance(shape, Shape)
    return shape


# One H100 80 GB, torch 2.11, transformers 5.23, peft 0.21 with dropout 0.1 unless it says otherwise, randomly
# initialised Qwen2.5-Coder shapes, 26 November 2026: bytes a token beyond weights, at the peak of a step.
LORA = Load(kind=MethodKind.LORA, micro_tokens=16_384, keeps_dropout=True, loss_tokens=2048)
LIGER = replace(LORA, kernels="liger")
BYTES_A_TOKEN = [
    ("1.5B lora, adapters in 32 bits under autocast, 8k", "1.5B", replace(LORA, micro_tokens=8192), 4.2 * MB),
    ("1.5B lora, 16k", "1.5B", LORA, 4.0 * MB),
    ("1.5B lora, Liger, 16k", "1.5B", LIGER, 3.3 * MB),
    ("1.5B lora, compiled by layer, 16k", "1.5B", LIGER, 3.4 * MB),
    ("1.5B lora, compiled by layer, dropout 0, 16k", "1.5B", replace(LIGER, keeps_dropout=False), 2.5 * MB),
    ("1.5B lora, checkpointing, 16k", "1.5B", replace(LIGER, gradient_checkpointing=True), 0.32 * MB),
    (
        "1.5B lora, checkpointing, 32k",
        "1.5B",
        replace(LIGER, gradient_checkpointing=True, micro_tokens=32_768),
        0.23 * MB,
    ),
    ("1.5B qlora, Liger, 16k", "1.5B", replace(LIGER, kind=MethodKind.QLORA), 3.3 * MB),
    ("1.5B qlora, Liger, 8k", "1.5B", replace(LIGER, kind=MethodKind.QLORA, micro_tokens=8192), 3.3 * MB),
    (
        "7B lora, Liger, checkpointing, 8k",
        "7B",
        replace(LIGER, gradient_checkpointing=True, micro_tokens=8192),
        0.7 * MB,
    ),
    ("0.5B lora, Liger, 32k", "0.5B", replace(LIGER, micro_tokens=32_768), 1.6 * MB),
]


@pytest.mark.parametrize(("what", "size", "load", "measured"), BYTES_A_TOKEN, ids=[row[0] for row in BYTES_A_TOKEN])
def test_bytes_a_token_are_those_measured(what: str, size: str, load: Load, measured: float) -> None:
    found = bytes_per_token(shape_named(size), load)
    print(f"{what}: measured {measured / MB:.2f} MB, planned {found / MB:.2f} MB, {found / measured - 1:+.1%}")
    assert found == pytest.approx(measured, rel=0.15)


def test_full_fine_tuning_takes_what_was_measured_beyond_its_weights() -> None:
    load = Load(
        kind=MethodKind.FULL, micro_tokens=8192, kernels="liger", masters=False, optimizer_8bit=False, loss_tokens=2048
    )
    need = need_of(shape_named("1.5B"), load)
    found = (need.allocated - need.weights) / 8192
    print(f"1.5B full, bf16 states, Liger, 8k: measured 3.50 MB, planned {found / MB:.2f} MB")
    assert found == pytest.approx(3.5 * MB, rel=0.15)


PEAKS = [
    ("7B lora, Liger, checkpointing, 8k", "7B", replace(LIGER, gradient_checkpointing=True, micro_tokens=8192), 19.6),
    # 32 rows padded to 512 tokens, as an earlier version cut its passes.
    ("1.5B lora, 32 padded rows of 512", "1.5B", LORA, 67.9),
]


@pytest.mark.parametrize(("what", "size", "load", "measured_gib"), PEAKS, ids=[row[0] for row in PEAKS])
def test_peaks_are_those_measured(what: str, size: str, load: Load, measured_gib: float) -> None:
    found = need_of(shape_named(size), load).allocated / GIB
    print(f"{what}: measured {measured_gib:.1f} GiB, planned {found:.1f} GiB, {found / measured_gib - 1:+.1%}")
    assert found == pytest.approx(measured_gib, rel=0.15)


# The same card and day, `python -m benchmarks.gpu.training`: the project's own engine, adapters of rank 16 with dropout
# 0.1, Liger. GiB at the peak.
OURS = Load(kind=MethodKind.LORA, micro_tokens=8192, rank=16, kernels="liger")
OWN_PEAKS = [
    ("1.5B lora, 8k", "1.5B", OURS, 20.28),
    ("1.5B lora, 16k", "1.5B", replace(OURS, micro_tokens=16_384), 36.73),
    ("1.5B qlora, 8k", "1.5B", replace(OURS, kind=MethodKind.QLORA), 18.68),
    ("1.5B qlora, 16k", "1.5B", replace(OURS, kind=MethodKind.QLORA, micro_tokens=16_384), 37.17),
    ("1.5B full, 8k", "1.5B", replace(OURS, kind=MethodKind.FULL, masters=False), 28.24),
    ("1.5B full, 16k", "1.5B", replace(OURS, kind=MethodKind.FULL, masters=False, micro_tokens=16_384), 49.24),
    ("7B lora, checkpointing, 8k", "7B", replace(OURS, gradient_checkpointing=True), 18.63),
    ("0.5B lora, 16k", "0.5B", replace(OURS, micro_tokens=16_384), 16.98),
    ("0.5B qlora, 16k", "0.5B", replace(OURS, kind=MethodKind.QLORA, micro_tokens=16_384), 17.08),
    ("0.5B lora, 8k", "0.5B", OURS, 9.66),
]


@pytest.mark.parametrize(("what", "size", "load", "measured_gib"), OWN_PEAKS, ids=[row[0] for row in OWN_PEAKS])
def test_peaks_of_our_own_engine_are_those_measured(what: str, size: str, load: Load, measured_gib: float) -> None:
    found = need_of(shape_named(size), load).allocated / GIB
    print(f"{what}: measured {measured_gib:.1f} GiB, planned {found:.1f} GiB, {found / measured_gib - 1:+.1%}")
    assert found == pytest.approx(measured_gib, rel=0.15)


def test_measured_peak_of_a_quantised_7b_is_its_making_and_not_its_training() -> None:
    """17.4 GiB were measured, and 1.6 MB a token: the same model as LoRA took 0.7.

    A randomly initialised model is made in bf16 and then quantised, so both were held at once. Weights that are read
    from files are quantised one by one, and the plan counts the training alone.
    """
    shape = shape_named("7B")
    both = shape.parameters * 2 + shape.linear_parameters * 0.5625
    load = replace(LIGER, kind=MethodKind.QLORA, gradient_checkpointing=True, micro_tokens=8192)
    planned = need_of(shape, load).allocated
    print(f"7B qlora: measured 17.4 GiB, made {both / GIB:.1f} GiB, planned training {planned / GIB:.1f} GiB")
    assert both == pytest.approx(17.4 * GIB, rel=0.15)
    assert planned < both


def test_figures_of_this_ledgers_own_trainings_correct_an_estimate_within_bounds() -> None:
    estimate = Estimate(value=10.0, basis="from the model's shape")
    assert corrected(estimate, []) == estimate
    once = corrected(estimate, [(4.0, 5.0)])
    assert (once.value, once.basis) == (12.5, "from the model's shape, corrected by 1 training")
    several = corrected(estimate, [(4.0, 5.0), (2.0, 2.2), (1.0, 9.0)])
    assert (several.value, several.basis) == (12.5, "from the model's shape, corrected by 3 trainings")
    assert [corrected(estimate, [(1.0, took)]).value for took in (0.01, 100.0)] == [5.0, 30.0]


def device_of(gib: float, *, measured: tuple[tuple[float, float], ...] = ()) -> Device:
    return Device(capacity=Estimate(value=gib * GIB, basis="a test"), measured=measured)


def passes(gib: float, *, size: str = "1.5B", longest: int = 512, batch_tokens: int = 10**6, **changes: Any) -> Passes:
    load = Load(kind=MethodKind.LORA, micro_tokens=1, kernels="liger")
    checkpointing = changes.pop("checkpointing", None)
    return passes_of(
        ModelSpec(name=f"{CODER}{size}"),
        replace(load, **changes),
        device=device_of(gib),
        longest=longest,
        batch_tokens=batch_tokens,
        checkpointing=checkpointing,
    )


def test_largest_pass_that_fits_is_chosen_and_recomputation_only_where_passes_would_be_short() -> None:
    large = passes(80)
    assert large == Passes(micro_tokens=32_768, gradient_checkpointing=False)
    small = passes(12)
    assert small.gradient_checkpointing
    assert small.micro_tokens > passes(12, checkpointing=False).micro_tokens
    model = ModelSpec(name=f"{CODER}1.5B")
    for chosen, gib in ((large, 80), (small, 12)):
        load = Load(
            kind=MethodKind.LORA,
            micro_tokens=chosen.micro_tokens,
            kernels="liger",
            gradient_checkpointing=chosen.gradient_checkpointing,
        )
        assert value(training_memory(model, load)) <= gib * GIB
        twice = replace(load, micro_tokens=2 * chosen.micro_tokens)
        assert value(training_memory(model, twice)) > gib * GIB


@given(st.floats(1, 200), st.integers(1, 5000), st.integers(1, 200_000), st.sampled_from(["0.5B", "7B"]), st.booleans())
def test_pass_holds_the_longest_example_and_no_more_than_a_batch(
    gib: float, longest: int, batch_tokens: int, size: str, on_cpu: bool
) -> None:
    found = passes(gib, size=size, longest=longest, batch_tokens=batch_tokens, on_cpu=on_cpu)
    assert longest <= found.micro_tokens <= max(longest, batch_tokens)


@given(st.floats(1, 100), st.floats(0, 100))
def test_larger_device_never_gets_a_shorter_pass_of_its_kind(gib: float, more: float) -> None:
    for checkpointing in (False, True):
        small, large = (passes(size, checkpointing=checkpointing) for size in (gib, gib + more))
        assert small.micro_tokens <= large.micro_tokens


def test_unknown_device_or_model_gets_a_pass_that_is_long_enough_to_be_fast() -> None:
    load, nowhere = Load(kind=MethodKind.LORA, micro_tokens=1), Device(capacity=Unknown(reason="a test"))
    found = passes_of(ModelSpec(name="org/base"), load, device=nowhere, longest=300, batch_tokens=10**6)
    assert found == Passes(micro_tokens=8192, gradient_checkpointing=False)
    small = passes_of(ModelSpec(name=f"{CODER}7B"), load, device=nowhere, longest=300, batch_tokens=900)
    assert small == Passes(micro_tokens=900, gradient_checkpointing=False)
    assert not must_recompute(ModelSpec(name=f"{CODER}7B"), replace(load, micro_tokens=10**6), device=nowhere)


def test_trainings_that_took_more_than_planned_shorten_the_passes_of_those_to_come() -> None:
    model, load = ModelSpec(name=f"{CODER}1.5B"), Load(kind=MethodKind.LORA, micro_tokens=1, kernels="liger")
    asked = {"longest": 512, "batch_tokens": 10**6}
    as_planned, larger = (
        passes_of(model, load, device=device_of(80, measured=took), **asked) for took in ((), ((10.0, 20.0),))
    )
    assert larger.micro_tokens < as_planned.micro_tokens
    need = value(training_memory(model, replace(load, micro_tokens=larger.micro_tokens)))
    assert 2 * need <= 80 * GIB


def test_passes_of_a_length_that_is_said_are_recomputed_where_they_would_not_fit() -> None:
    model, load = ModelSpec(name=f"{CODER}1.5B"), Load(kind=MethodKind.LORA, micro_tokens=16_384, kernels="liger")
    assert must_recompute(model, load, device=device_of(24))
    assert not must_recompute(model, load, device=device_of(80))


@given(st.integers(1, 100_000), st.integers(1, 5000), st.booleans(), st.booleans(), st.booleans())
def test_what_ran_out_of_memory_is_made_lighter_until_nothing_is_left(
    tokens: int, least: int, again: bool, on_cpu: bool, may: bool
) -> None:
    first = Passes(micro_tokens=max(tokens, least), gradient_checkpointing=again)
    tried = [first]
    while (after := lighter(tried[-1], least=least, on_cpu=on_cpu, may_recompute=may)) is not None:
        before = tried[-1]
        assert lightest(before, after) == after != before
        tried.append(after)
    assert tried[-1] == Passes(micro_tokens=least, gradient_checkpointing=again or may)
    assert len(tried) <= 20


def test_recomputation_comes_before_short_rows_on_a_gpu_and_last_on_a_cpu() -> None:
    def tries(*, on_cpu: bool) -> list[tuple[int, bool]]:
        found: list[Passes | None] = [Passes(micro_tokens=16_384, gradient_checkpointing=False)]
        while found[-1] is not None:
            found.append(lighter(found[-1], least=2048, on_cpu=on_cpu, may_recompute=True))
        return [(one.micro_tokens, one.gradient_checkpointing) for one in found if one is not None]

    assert tries(on_cpu=False) == [(16_384, False), (8192, False), (8192, True), (4096, True), (2048, True)]
    assert tries(on_cpu=True) == [(16_384, False), (8192, False), (4096, False), (2048, False), (2048, True)]


def test_sizes_that_are_tried_are_few_and_rise() -> None:
    assert list(steps_up(300, 3000)) == [300, 384, 512, 768, 1024, 1536, 2048, 3000]
    assert list(steps_up(512, 512)) == [512]


def test_gradients_that_are_kept_apart_are_counted() -> None:
    shape, load = shape_named("1.5B"), Load(kind=MethodKind.LORA, micro_tokens=512)
    one, six = need_of(shape, load), need_of(shape, replace(load, gradient_copies=6))
    assert six.total - one.total == pytest.approx(5 * 4 * shape.lora_parameters(8))


def test_planner_imports_no_torch() -> None:
    code = "import sys, trainers.memory; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_full_weights_on_disk_are_as_wide_as_the_training_computes(model_spec: ModelSpec) -> None:
    narrow = value(weights_size(model_spec, kind=MethodKind.FULL, rank=0))
    assert value(weights_size(model_spec, kind=MethodKind.FULL, rank=0, in_32_bits=True)) == 2 * narrow
