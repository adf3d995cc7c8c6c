"""Every kind of method, and what is true of it.

One decision: who wants to know whether a kind trains, what, in how many processes or in which precision asks
this table. A new kind is a row here, and a test fails as long as a kind has none.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.spec import Precision


class MethodKind(StrEnum):
    """How a model is adapted; the values are what study files say."""

    FROZEN = "frozen"
    LORA = "lora"
    QLORA = "qlora"
    FULL = "full"


class Trained(StrEnum):
    """Which weights a training changes."""

    NOTHING = "nothing"
    ADAPTER = "adapter"
    ALL = "all weights"


class EngineName(StrEnum):
    """What computes the steps of a training: adapters over a frozen base, or all weights under DeepSpeed ZeRO."""

    ADAPTERS = "adapters"
    ZERO = "zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodTraits:
    """A row of the table.

    `on_cpu` and `on_cuda` are how the base's weights are held there, in training and in generation. `title` is
    what a model card calls a model that was made so. `learning_rate` is what a training of which a study says nothing
    learns at: adapters want about ten times what all weights do (Schulman et al. 2025, "LoRA Without Regret").
    """

    trained: Trained
    on_cpu: Precision
    on_cuda: Precision
    engine: EngineName | None
    title: str
    learning_rate: float = 0.0

    @property
    def is_trained(self) -> bool:
        """Whether there is a training at all."""
        return self.trained is not Trained.NOTHING

    @property
    def has_adapter(self) -> bool:
        """Whether the result is an adapter, to be put on the base."""
        return self.trained is Trained.ADAPTER

    @property
    def has_own_weights(self) -> bool:
        """Whether the result is a whole model, which needs the base no more."""
        return self.trained is Trained.ALL

    @property
    def is_quantised(self) -> bool:
        """Whether the base is held in 4 bits."""
        return "nf4" in (self.on_cpu, self.on_cuda)

    @property
    def in_many_processes(self) -> bool:
        """Whether a training may be spread over several processes."""
        return self.engine is EngineName.ZERO

    def precision_on(self, device: str) -> Precision:
        """How the base's weights are held on a type of device, `cpu` or `cuda`."""
        return self.on_cpu if device == "cpu" else self.on_cuda

    def trained_precision_on(self, device: str, asked: str) -> Precision:
        """How they are held in a training that asks for `bf16` or `fp32`; what is quantised is so either way."""
        return "fp32" if asked == "fp32" and not self.is_quantised else self.precision_on(device)


METHODS: dict[MethodKind, MethodTraits] = {
    MethodKind.FROZEN: MethodTraits(
        trained=Trained.NOTHING,
        on_cpu="fp32",
        on_cuda="bf16",
        engine=None,
        title="the model as it came, untrained",
    ),
    MethodKind.LORA: MethodTraits(
        trained=Trained.ADAPTER,
        on_cpu="fp32",
        on_cuda="bf16",
        engine=EngineName.ADAPTERS,
        title="LoRA adapter",
        learning_rate=2e-4,
    ),
    MethodKind.QLORA: MethodTraits(
        trained=Trained.ADAPTER,
        on_cpu="nf4",
        on_cuda="nf4",
        engine=EngineName.ADAPTERS,
        title="QLoRA adapter (trained on the base in 4 bits, NF4 with double quantisation)",
        learning_rate=2e-4,
    ),
    MethodKind.FULL: MethodTraits(
        trained=Trained.ALL,
        on_cpu="fp32",
        on_cuda="bf16",
        engine=EngineName.ZERO,
        title="full fine-tuning of all weights",
        learning_rate=2e-5,
    ),
}


def traits_of(kind: str) -> MethodTraits:
    """The row of a kind.

    Raises:
        ValueError: if there is no such kind.
    """
    return METHODS[MethodKind(kind)]


def processes_of(kind: str, *, full_workers: int) -> int:
    """How many processes a training of a kind has, where a spread one is given `full_workers`."""
    return full_workers if traits_of(kind).in_many_processes else 1
