"""The engine of a training, with its method's model in it.

One decision: only here do methods and engines meet. Neither imports the other, and what a training does not use (peft,
DeepSpeed) is not imported for it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from trainers.engines.protocol import Engine
from trainers.footing import Footing
from trainers.methods.table import EngineName, traits_of
from trainers.spec import Runtime, TrainingSpec

if TYPE_CHECKING:
    from models.kernels import Applied


def build_engine(spec: TrainingSpec, *, runtime: Runtime, num_tracks: int) -> tuple[Engine, Footing]:
    """The machinery for a training as the table of methods says, and what it stands on."""
    engine = traits_of(spec.kind).engine
    assert engine is not None, "a TrainingSpec is of a kind that is trained"
    return BUILDERS[engine](spec, runtime, num_tracks)


def _adapters(spec: TrainingSpec, runtime: Runtime, num_tracks: int) -> tuple[Engine, Footing]:
    from trainers.engines.adapters import SharedBase
    from trainers.methods.adapted import coverage_of
    from trainers.methods.dropout import DropoutKey
    from trainers.methods.lora import frozen_base, with_adapters

    assert spec.lora is not None, "a TrainingSpec of an adapter has lora settings"
    key = DropoutKey(seed=spec.seed)
    base, kernels = frozen_base(spec, runtime=runtime)
    model = with_adapters(base, spec.lora, seed=spec.seed, key=key)
    shared = SharedBase(model, flat=_is_flat(model, runtime), key=key)
    coverage = coverage_of(model)
    footing = _footing(kernels).model_copy(
        update={
            "ours": _by_last_part(coverage.own),
            "by_peft": _by_last_part(coverage.by_peft),
            "dropout": _dropout_on(base.device.type) if coverage.own and spec.lora.dropout else None,
        }
    )
    return shared.join(spec.settings, num_tracks=num_tracks, seed=spec.seed), footing


def _footing(kernels: "Applied") -> Footing:
    return Footing(kernels=kernels.kernels, kernels_of=kernels.version, no_kernels=kernels.why_not)


def _by_last_part(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(name.rsplit(".", 1)[-1] for name in names).items()))


def _dropout_on(device: str) -> Literal["one kernel", "several operators"]:
    from trainers.methods.dropout import is_fused

    return "one kernel" if device == "cuda" and is_fused() else "several operators"


def _zero(spec: TrainingSpec, runtime: Runtime, num_tracks: int) -> tuple[Engine, Footing]:
    from trainers.engines.zero import ZeroEngine, join_group
    from trainers.methods.full import whole

    join_group(runtime)
    model, kernels = whole(spec, runtime=runtime)
    engine = ZeroEngine(
        model,
        settings=spec.settings,
        runtime=runtime,
        num_tracks=num_tracks,
        flat=_is_flat(model, runtime),
        seed=spec.seed,
    )
    return engine, _footing(kernels)


def _is_flat(model: Any, runtime: Runtime) -> bool:
    """Whether examples go several in a row: as a probe of the family found, or as the model itself shows."""
    from models.flat import path_of

    return (runtime.rows or path_of(model)) == "flat"


BUILDERS: dict[EngineName, Callable[[TrainingSpec, Runtime, int], tuple[Engine, Footing]]] = {
    EngineName.ADAPTERS: _adapters,
    EngineName.ZERO: _zero,
}
