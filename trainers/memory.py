"""How much memory a training needs, estimated from a model's shape.

One decision: weights are counted in the precision that the table of methods says, so an estimate cannot
speak of another model than the one that a training loads.
"""

from dataclasses import dataclass

from models.shapes import Estimate, Shape, Unknown, shape_of
from models.spec import ModelSpec, Precision
from trainers.methods.table import MethodKind, traits_of

# Bytes of a projection's weight. NF4 has 4.5 bits: its scales are quantised in their turn.
_WIDTH: dict[Precision, float] = {"nf4": 0.5625, "bf16": 2, "fp32": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How a training would use one device.

    `tokens` is the micro-batch times its length; `processes` share states by DeepSpeed's `zero_stage`.
    """

    kind: MethodKind
    tokens: int
    rank: int = 8
    optimizer_8bit: bool = False
    gradient_checkpointing: bool = False
    on_cpu: bool = False
    zero_stage: int = 0
    processes: int = 1


def training_memory(model: ModelSpec, load: Load) -> Estimate | Unknown:
    """Bytes that training takes on one device: weights, gradients, optimizer, activations.

    QLoRA holds projections in 4.5 bits (NF4 with doubly quantised scales) and the embeddings in 32 bits, as
    peft prepares them; LoRA holds bf16 weights, 32-bit ones on a CPU. Full fine-tuning holds bf16 weights and
    gradients with 32-bit masters and two moments; ZeRO 1 shares masters and moments between processes, 2
    gradients too, 3 weights too. Activations are counted as 34 hidden-sized bytes a token and layer
    (Korthikanti et al. 2022), with checkpointing 2 and one layer's 34, and the logits in 32 bits twice. It
    ignores fragmentation and what the runtime holds.
    """
    shape = shape_of(model)
    if isinstance(shape, Unknown):
        return shape
    layers_kept = shape.layers if not load.gradient_checkpointing else shape.layers * 2 / 34 + 1
    activations = 34 * shape.hidden * layers_kept * load.tokens + 2 * 4 * shape.vocabulary * load.tokens
    return Estimate(value=float(_states(shape, load) + activations), basis="from the model's shape")


def _states(shape: Shape, load: Load) -> float:
    """Bytes of weights, gradients, masters and moments on one device."""
    moments, traits = 2 if load.optimizer_8bit else 8, traits_of(load.kind)
    if traits.has_own_weights:
        weights, gradients, optimizer = (
            width / (load.processes if load.zero_stage >= stage else 1)
            for width, stage in ((2, 3), (2, 2), (4 + moments, 1))
        )
        return shape.parameters * (weights + gradients + optimizer)
    adapter = shape.lora_parameters(load.rank) * (4 + 4 + moments)
    precision = traits.precision_on("cpu" if load.on_cpu else "cuda")
    width = _WIDTH[precision]
    # peft prepares a quantised base with embeddings in 32 bits.
    embedding_width = 4 if precision == "nf4" else width
    return shape.linear_parameters * width + shape.embedding_parameters * embedding_width + adapter


def weights_size(model: ModelSpec, *, kind: MethodKind, rank: int, on_cpu: bool) -> Estimate | Unknown:
    """Bytes on disk of what a training keeps: adapters in 32 bits, full weights as they are trained."""
    shape = shape_of(model)
    if isinstance(shape, Unknown):
        return shape
    whole = traits_of(kind).has_own_weights
    size = shape.parameters * (4 if on_cpu else 2) if whole else shape.lora_parameters(rank) * 4
    return Estimate(value=float(size), basis="from the model's shape")
