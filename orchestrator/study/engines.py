"""Which engine writes a study's completions: what stands against vLLM, and what `auto` comes to.

One decision: a study has one engine, and `auto` is decided where the study is opened. What is compared is then written
alike, the engine is in the keys of all trials, and a study that was run once keeps the one that it was run with.
"""

from collections.abc import Iterator

from evaluators.generation.engines import absent_vllm, unfit_for_vllm, unlisted_family
from evaluators.generation.settings import EngineName
from orchestrator.errors import Fault
from orchestrator.study.resources import cluster_address
from orchestrator.study.schema import Study
from trainers.spec import LoraSettings

_GPUS = "vLLM writes on GPUs, and resources.generator_gpus is 0"


def engine_conflicts(study: Study) -> tuple[Fault, ...]:
    """What of a study vLLM cannot do, where the study asks for it by name; each with the remedy."""
    if study.evaluation.generation.engine != "vllm":
        return ()
    gpus = () if study.resources.generator_gpus else (_no_gpus(),)
    return (*gpus, *(Fault(where=f"methods.{name}.lora", message=why) for name, why in _unfit_methods(study)))


def engine_here(study: Study) -> str:
    """Why vLLM could not write a study that asks for it by name, as far as this machine tells; nothing if it could.

    A cluster that is joined has an environment of its own, which says so itself.
    """
    if study.evaluation.generation.engine != "vllm" or cluster_address(study.resources):
        return ""
    return absent_vllm(quantised=_is_quantised(study))


def engine_notes(study: Study) -> Iterator[str]:
    """What a person ought to know of the engine, where it is not the usual one."""
    if study.engine_note:
        yield study.engine_note
    if study.evaluation.generation.engine != "vllm":
        return
    yield (
        "vLLM writes all completions; how far its logits are off the model's own is not measured, and was never "
        "measured on a GPU by us"
    )
    for model in study.models:
        if why := unlisted_family(model):
            yield f"{why}: vLLM may refuse it, or compute something else"


def decided(study: Study, *, before: EngineName | None) -> Study:
    """The study with an engine in place of `auto`.

    Args:
        study: The study as it is written.
        before: What it was run with when it was last run; None if it never was.
    """
    if study.evaluation.generation.engine != "auto":
        return study
    why = next(_against_vllm(study), "") if before is None else "as it was when the study was run"
    engine: EngineName = before or ("transformers" if why else "vllm")
    note = f"generation.engine: auto is {engine}{f', {why}' if why else ''}"
    return study.with_engine(engine, note=note)


def _against_vllm(study: Study) -> Iterator[str]:
    """Why `auto` is not vLLM, a clause each."""
    if not study.resources.generator_gpus:
        yield f"since {_GPUS}"
    if absent := absent_vllm(quantised=_is_quantised(study)):
        yield f"since {absent}"
    if study.evaluation.generation.too_warm_for_vllm:
        yield "since generation.temperature is more than vLLM takes"
    yield from (f"since {why}" for model in study.models if (why := unlisted_family(model)))
    yield from (f"since of {name} {why}" for name, why in _unfit_methods(study))


def _unfit_methods(study: Study) -> Iterator[tuple[str, str]]:
    for name, method in study.methods.items():
        if method.lora is not None and (why := unfit_for_vllm(_as_saved(method.lora))):
            yield name, why


def _as_saved(lora: LoraSettings) -> dict[str, object]:
    """What an adapter's own file is going to say, by peft's names."""
    return {
        "r": 2 * lora.rank if lora.init == "pissa" else lora.rank,
        "use_dora": lora.use_dora,
        "modules_to_save": lora.modules_to_save,
        "rank_pattern": lora.rank_pattern,
    }


def _is_quantised(study: Study) -> bool:
    return any(method.traits.is_quantised for method in study.methods.values())


def _no_gpus() -> Fault:
    remedy = "set it, as to 1, or use generation.engine: transformers"
    return Fault(where="resources.generator_gpus", message=f"{_GPUS}; {remedy}")


__all__ = ["decided", "engine_conflicts", "engine_here", "engine_notes"]
