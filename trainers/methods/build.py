"""The engine of a training, with its method's model in it.

One decision: only here do methods and engines meet. Neither imports the other, and what a training does not use (peft,
DeepSpeed) is not imported for it.
"""

from collections.abc import Callable

from trainers.engines.protocol import Engine
from trainers.methods.table import EngineName, traits_of
from trainers.spec import Runtime, TrainingSpec


def build_engine(spec: TrainingSpec, *, runtime: Runtime, num_tracks: int) -> Engine:
    """The machinery for a training as the table of methods says."""
    engine = traits_of(spec.kind).engine
    assert engine is not None, "a TrainingSpec is of a kind that is trained"
    return BUILDERS[engine](spec, runtime, num_tracks)


def _adapters(spec: TrainingSpec, runtime: Runtime, num_tracks: int) -> Engine:
    from models.flat import path_of
    from trainers.engines.adapters import SharedBase
    from trainers.methods.lora import adapted

    model = adapted(spec, runtime=runtime)
    shared = SharedBase(model, flat=path_of(model) == "flat")
    return shared.join(spec.settings, num_tracks=num_tracks, seed=spec.seed)


def _zero(spec: TrainingSpec, runtime: Runtime, num_tracks: int) -> Engine:
    from models.flat import path_of
    from trainers.engines.zero import ZeroEngine, join_group
    from trainers.methods.full import whole

    join_group(runtime)
    model = whole(spec, runtime=runtime)
    return ZeroEngine(
        model,
        settings=spec.settings,
        runtime=runtime,
        num_tracks=num_tracks,
        flat=path_of(model) == "flat",
        seed=spec.seed,
    )


BUILDERS: dict[EngineName, Callable[[TrainingSpec, Runtime, int], Engine]] = {
    EngineName.ADAPTERS: _adapters,
    EngineName.ZERO: _zero,
}
