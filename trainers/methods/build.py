"""The engine of a training, with its method's model in it.

One decision: only here do methods and engines meet. Neither imports the other, and what a training does not use (peft,
DeepSpeed) is not imported for it.
"""

from collections.abc import Callable
from typing import Any

from trainers.engines.protocol import Engine
from trainers.methods.table import EngineName, traits_of
from trainers.spec import Runtime, TrainingSpec


def build_engine(spec: TrainingSpec, *, runtime: Runtime, num_tracks: int) -> Engine:
    """The machinery for a training as the table of methods says."""
    engine = traits_of(spec.kind).engine
    assert engine is not None, "a TrainingSpec is of a kind that is trained"
    return BUILDERS[engine](spec, runtime, num_tracks)


def _adapters(spec: TrainingSpec, runtime: Runtime, num_tracks: int) -> Engine:
    from trainers.engines.adapters import SharedBase
    from trainers.methods.dropout import DropoutKey
    from trainers.methods.lora import adapted

    key = DropoutKey(seed=spec.seed)
    model = adapted(spec, runtime=runtime, key=key)
    shared = SharedBase(model, flat=_is_flat(model, runtime), key=key)
    return shared.join(spec.settings, num_tracks=num_tracks, seed=spec.seed)


def _zero(spec: TrainingSpec, runtime: Runtime, num_tracks: int) -> Engine:
    from trainers.engines.zero import ZeroEngine, join_group
    from trainers.methods.full import whole

    join_group(runtime)
    model = whole(spec, runtime=runtime)
    return ZeroEngine(
        model,
        settings=spec.settings,
        runtime=runtime,
        num_tracks=num_tracks,
        flat=_is_flat(model, runtime),
        seed=spec.seed,
    )


def _is_flat(model: Any, runtime: Runtime) -> bool:
    """Whether examples go several in a row: as a probe of the family found, or as the model itself shows."""
    from models.flat import path_of

    return (runtime.rows or path_of(model)) == "flat"


BUILDERS: dict[EngineName, Callable[[TrainingSpec, Runtime, int], Engine]] = {
    EngineName.ADAPTERS: _adapters,
    EngineName.ZERO: _zero,
}
