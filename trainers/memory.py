"""How much memory a training needs, from a model's shape, and how many tokens a forward pass may therefore hold.

One decision: what is kept for the backward pass is counted tensor by tensor, from what the layers' operators save, and
only two constants are fitted: what the count leaves out, and the bytes of a logit. They were fitted to a table measured
on an H100 (tests/trainers/test_memory.py holds it, with the rows that the count does not explain); what this ledger's
own trainings took corrects them. It imports no torch, since it plans for machines that are elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from models.shapes import Estimate, Shape, Unknown, shape_of
from models.spec import ModelSpec, Precision
from trainers.methods.table import MethodKind, traits_of

# Bytes of a projection's weight. NF4 has 4.5 bits: its scales are quantised in their turn.
_WIDTH: dict[Precision, float] = {"nf4": 0.5625, "bf16": 2, "fp32": 4}
# What is kept beside the tensors that are counted: rounding of allocations, embeddings, rotary tables, small buffers.
_LEFT_OUT = 1.055
# A loss-carrying token's logit while it is worked on: bf16, 32-bit, their gradient in either.
_LOGIT_BYTES = 12
# As many bytes of 32-bit logits are there at once; the loss recomputes them chunk by chunk.
LOSS_CHUNK_BYTES = 2**28
# A CUDA context with its kernels is no tensor; a process with torch and transformers loaded is as large.
_RUNTIME_BYTES = 0.6 * 2**30
# The allocator holds more than is in use, where tensors come in many sizes.
_FRAGMENTATION = 1.04
# On an H100 a row of 8k tokens without checkpointing is 1.1 times as fast as 16k with it, one of 1k six times slower.
_WORTHWHILE_ROW = 8192
# No longer row was faster there, and on a CPU none is faster than this.
_LONGEST_ROW, _LONGEST_ROW_ON_CPU = 65_536, 4096

Kernels = Literal["plain", "liger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How a training would use one device.

    `micro_tokens` is what a forward pass holds; `processes` share states by DeepSpeed's `zero_stage`. `kernels` is who
    computes norms, rotary positions and SwiGLU. `keeps_dropout` says that each adapted projection keeps its dropout
    mask and what it let through, as peft's own does and ours does not. `masters` are 32-bit weights beside bf16 ones in
    full fine-tuning. `gradient_copies` is how many gradients are kept apart, one a track where they are projected.
    `loss_tokens` is of how many tokens logits are there at once, None for as many as our own loss takes. `in_32_bits`
    is a training whose weights and products all have 32 bits.
    """

    kind: MethodKind
    micro_tokens: int
    rank: int = 8
    optimizer_8bit: bool = False
    gradient_checkpointing: bool = False
    on_cpu: bool = False
    zero_stage: int = 0
    processes: int = 1
    kernels: Kernels = "plain"
    keeps_dropout: bool = False
    loss_tokens: int | None = None
    masters: bool = True
    gradient_copies: int = 1
    in_32_bits: bool = False

    @property
    def width(self) -> int:
        """Bytes of a weight that is not quantised, and of what is kept of products."""
        return 4 if self.on_cpu or self.in_32_bits else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes that a training takes on one device, by what they are for.

    `activations` is all that a forward pass keeps, or one layer of it and each layer's input under checkpointing;
    `working` what comes on top for a moment: the logits of a chunk, or the gradients within a layer.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    working: float
    runtime: float

    @property
    def allocated(self) -> float:
        """What tensors hold at the peak, as `torch.cuda.max_memory_allocated` counts it."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.working

    @property
    def total(self) -> float:
        """What the device must have."""
        passing = self.activations + self.working
        return self.allocated + passing * (_FRAGMENTATION - 1) + self.runtime


def need_of(shape: Shape, load: Load) -> Need:
    """Bytes by what they are for; see `Need`.

    QLoRA holds projections in 4.5 bits (NF4 with doubly quantised scales), LoRA bf16 weights, 32-bit ones on a CPU;
    adapters, their gradients and moments are 32-bit. Full fine-tuning holds bf16 weights and gradients with 32-bit
    masters and moments, without masters moments like the weights; ZeRO 1 shares masters and moments between processes,
    2 gradients too, 3 weights too.
    """
    weights, gradients, optimizer = _states(shape, load)
    kept, layer, within = _activations(shape, load)
    loss_tokens = load.loss_tokens or max(1, LOSS_CHUNK_BYTES // (4 * shape.vocabulary))
    chunk = min(loss_tokens, load.micro_tokens) * shape.vocabulary * _LOGIT_BYTES
    # The loss is worked on when all is kept, a layer's gradients after that; under checkpointing with that layer anew.
    passing = within + (layer if load.gradient_checkpointing else 0.0)
    return Need(
        weights=weights,
        gradients=gradients * load.gradient_copies,
        optimizer=optimizer,
        activations=kept * load.micro_tokens * _LEFT_OUT,
        working=max(chunk, passing * load.micro_tokens) * _LEFT_OUT,
        runtime=_RUNTIME_BYTES,
    )


def bytes_per_token(shape: Shape, load: Load) -> float:
    """What a forward pass of `micro_tokens` takes on top of states, for each of its tokens."""
    need = need_of(shape, load)
    return (need.activations + need.working) / load.micro_tokens


def _activations(shape: Shape, load: Load) -> tuple[float, float, float]:
    """Bytes a token of: what all layers keep, what one keeps when it is computed, gradients within a layer.

    Without dropout a layer keeps, in hidden sizes d, inner sizes f and key-value widths k: two norms' inputs (2d, with
    Liger's kernels as they are, else in 32 bits), two norms' outputs, queries and what attention gives (4d), keys and
    values (2k), gate, up and their product (3f, and without Liger the activated gate). With peft's dropout seven
    projections each keep a mask of bytes (6d + f) and what it let through (6d + f), in place of their inputs (2d + f).
    """
    size = load.width
    hidden, inner = shape.hidden, shape.intermediate
    narrow = hidden * shape.key_value_heads // shape.heads
    liger = load.kernels == "liger"
    layer = 2 * hidden * (size if liger else 4) + 4 * hidden * size + 2 * narrow * size
    layer += (3 if liger else 4) * inner * size
    if load.keeps_dropout:
        layer += (6 * hidden + inner) * (1 + size) - (2 * hidden + inner) * size
    kept = shape.layers * (hidden * size if load.gradient_checkpointing else layer)
    return float(kept), float(layer), float(2 * (hidden + inner) * size)


def _states(shape: Shape, load: Load) -> tuple[float, float, float]:
    """Bytes of weights, gradients, and masters with moments, on one device."""
    traits = traits_of(load.kind)
    moments = 2 if load.optimizer_8bit else 8
    if traits.has_own_weights:
        width = load.width
        rest = (4 - width) * 2 + moments if load.masters else min(moments, 2 * width)
        weights, gradients, optimizer = (
            shape.parameters * each / (load.processes if load.zero_stage >= stage else 1)
            for each, stage in ((width, 3), (width, 2), (rest, 1))
        )
        return weights, gradients, optimizer
    device, asked = "cpu" if load.on_cpu else "cuda", "fp32" if load.in_32_bits else "bf16"
    precision = traits.trained_precision_on(device, asked)
    # Embeddings are never quantised; a 32-bit training holds them in 32 bits.
    beside = 4 if load.in_32_bits else _WIDTH["bf16" if precision == "nf4" else precision]
    base = shape.linear_parameters * _WIDTH[precision] + shape.embedding_parameters * beside
    trained = shape.lora_parameters(load.rank)
    return base + trained * 4, float(trained * 4), float(trained * moments)


def training_memory(
    model: ModelSpec, load: Load, *, measured: Sequence[tuple[float, float]] = ()
) -> Estimate | Unknown:
    """Bytes that a training takes on one device, everything included; see `corrected` for `measured`."""
    shape = shape_of(model)
    if isinstance(shape, Unknown):
        return shape
    return _estimate(shape, load, measured)


def _estimate(shape: Shape, load: Load, measured: Sequence[tuple[float, float]]) -> Estimate:
    return corrected(Estimate(value=need_of(shape, load).total, basis="from the model's shape"), measured)


def corrected(estimate: Estimate, measured: Sequence[tuple[float, float]]) -> Estimate:
    """An estimate put right by what like trainings took.

    Args:
        estimate: Bytes by the formula.
        measured: For each like training its bytes by the formula and its measured peak. The median of their ratios
            counts, between a half and three: a wider one says that something else than this training was measured.
    """
    ratios = [took / said for said, took in measured if said > 0 and took > 0]
    if not ratios:
        return estimate
    count = "1 training" if len(ratios) == 1 else f"{len(ratios)} trainings"
    ratio = min(3.0, max(0.5, median(ratios)))
    return Estimate(value=estimate.value * ratio, basis=f"{estimate.basis}, corrected by {count}")


def comparable(shape: Shape, load: Load) -> float:
    """What the formula says of a figure that a training measures: tensors on a GPU, the whole process on a CPU."""
    need = need_of(shape, load)
    return need.total if load.on_cpu else need.allocated


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """How a training is cut into forward passes: their tokens, and whether activations are recomputed."""

    micro_tokens: int
    gradient_checkpointing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a training gets: bytes of a device or of its share of one, and what like trainings took (`corrected`)."""

    capacity: Estimate | Unknown
    measured: Sequence[tuple[float, float]] = ()

    def holds(self, shape: Shape, load: Load) -> bool:
        """Whether a training of this shape fits; only where the capacity is known."""
        assert isinstance(self.capacity, Estimate), "a device of unknown size holds nothing that is known"
        return _estimate(shape, load, self.measured).value <= self.capacity.value


def passes_of(
    model: ModelSpec,
    load: Load,
    *,
    device: Device,
    longest: int,
    batch_tokens: int,
    checkpointing: bool | None = None,
) -> Passes:
    """The largest passes that a device holds, without checkpointing where such passes are long enough to be fast.

    Args:
        model: Whose shape decides.
        load: The rest of how the device is used; its `micro_tokens` and `gradient_checkpointing` are replaced.
        device: What the training gets.
        longest: Tokens of the longest example, which a pass must hold whatever fits.
        batch_tokens: Tokens of one process's share of a global batch; no pass is ever larger.
        checkpointing: What the study says of it; None leaves it to this.
    """
    most = max(longest, min(batch_tokens, _LONGEST_ROW_ON_CPU if load.on_cpu else _LONGEST_ROW))
    enough = min(_WORTHWHILE_ROW, most)
    shape = shape_of(model)
    if isinstance(shape, Unknown) or isinstance(device.capacity, Unknown):
        return Passes(micro_tokens=enough, gradient_checkpointing=bool(checkpointing))

    def largest(checkpointed: bool) -> Passes:
        tried = replace(load, gradient_checkpointing=checkpointed)
        fitting = [t for t in steps_up(longest, most) if device.holds(shape, replace(tried, micro_tokens=t))]
        return Passes(micro_tokens=max(fitting, default=longest), gradient_checkpointing=checkpointed)

    if checkpointing is not None:
        return largest(checkpointing)
    without, with_it = largest(False), largest(True)
    fits = device.holds(shape, replace(load, micro_tokens=without.micro_tokens, gradient_checkpointing=False))
    return without if fits and without.micro_tokens >= min(enough, with_it.micro_tokens) else with_it


def must_recompute(model: ModelSpec, load: Load, *, device: Device) -> bool:
    """Whether passes as long as `load` says fit only if activations are computed again; no, where it is not known."""
    shape = shape_of(model)
    if isinstance(shape, Unknown) or isinstance(device.capacity, Unknown):
        return False
    return not device.holds(shape, replace(load, gradient_checkpointing=False))


def steps_up(longest: int, most: int) -> Iterator[int]:
    """The sizes of passes that are tried: two bounds, and between them powers of two and what lies half-way.

    They are few, since kernels are chosen and graphs are captured for each.
    """
    yield longest
    size = 256
    while size < most:
        yield from (step for step in (size, size * 3 // 2) if longest < step < most)
        size *= 2
    if most > longest:
        yield most


def lighter(passes: Passes, *, least: int, on_cpu: bool, may_recompute: bool) -> Passes | None:
    """What to try after passes ran out of memory: half of their tokens; None if there is nothing left to try.

    Where it may be chosen, recomputation comes before rows that are too short to be fast, and else last of all.
    """
    half = max(least, passes.micro_tokens // 2)
    recomputing = replace(passes, gradient_checkpointing=True)
    may_recompute = may_recompute and not passes.gradient_checkpointing
    if may_recompute and (half == passes.micro_tokens or (not on_cpu and half < _WORTHWHILE_ROW)):
        return recomputing
    return replace(passes, micro_tokens=half) if half < passes.micro_tokens else None


def weights_size(model: ModelSpec, *, kind: MethodKind, rank: int, in_32_bits: bool = False) -> Estimate | Unknown:
    """Bytes on disk of what a training keeps: adapters in 32 bits, full weights in 16 unless it computes in 32."""
    shape = shape_of(model)
    if isinstance(shape, Unknown):
        return shape
    whole = traits_of(kind).has_own_weights
    size = shape.parameters * (4 if in_32_bits else 2) if whole else shape.lora_parameters(rank) * 4
    return Estimate(value=float(size), basis="from the model's shape")


def lightest(passes: Passes, other: Passes) -> Passes:
    """Passes that take no more than either."""
    return Passes(
        micro_tokens=min(passes.micro_tokens, other.micro_tokens),
        gradient_checkpointing=passes.gradient_checkpointing or other.gradient_checkpointing,
    )


def checkpoint_size(model: ModelSpec, load: Load) -> Estimate | Unknown:
    """Bytes on disk of what a training leaves to go on from, once: what is trained in 32 bits, and its moments.

    Full fine-tuning keeps the weights as they are computed with, too, and its masters beside them: DeepSpeed writes
    both. 8-bit moments have a 32-bit scale for each 256 of them.
    """
    shape = shape_of(model)
    if isinstance(shape, Unknown):
        return shape
    moments = 2 * (1 + 4 / 256) if load.optimizer_8bit else 8
    if traits_of(load.kind).has_own_weights:
        return Estimate(value=shape.parameters * (load.width + 4 + moments), basis="from the model's shape")
    return Estimate(value=shape.lora_parameters(load.rank) * (4 + moments), basis="from the model's shape")
