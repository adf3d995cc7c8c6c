"""Whether the stages of compared trials were made by the same software, or would be: a difference may be one of it.

One decision: what made completions that were there already counts for their trial, and not what recorded them.
"""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.plan.plan import PlannedTrial
from orchestrator.study.stages import StageName

# What may change a weight or a token.
_LIBRARIES = ("torch", "cuda", "transformers", "peft", "bitsandbytes", "deepspeed", "vllm")
_ENGINE = "transformers"
_DOING = {StageName.TRAIN: "trained", StageName.GENERATE: "generated"}
_NAMED = 3

_Made = dict[str, dict[str, list[str]]]
"""By library, by version: the trials of which something was made with it."""


def unlike_software(planned: Sequence[PlannedTrial], ledger: Ledger, now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs in the libraries and engines of trials over one base model, a sentence each.

    Args:
        planned: The study's trials.
        ledger: What has been done.
        now: The versions of what would make the stages that are due.
    """
    models = dict.fromkeys(p.trial.model.name for p in planned)
    return tuple(
        text
        for model in models
        for stage in _DOING
        for text in _differing(stage, [p for p in planned if p.trial.model.name == model], ledger, now)
    )


def _differing(
    stage: StageName, planned: Sequence[PlannedTrial], ledger: Ledger, now: Mapping[str, str]
) -> Iterator[str]:
    made: _Made = {}
    finished = False
    for p in planned:
        record = ledger.records_of(p.trial).get(stage)
        finished = finished or record is not None
        told = _of_record(record) if record is not None else [now] if stage in p.due else []
        for versions in told:
            for name in (*_LIBRARIES, "engine"):
                if version := versions.get(name):
                    trials = made.setdefault(name, {}).setdefault(version, [])
                    trials += [p.trial.label] if p.trial.label not in trials else []
    for name, found in made.items() if finished else ():
        if len(found) > 1:
            said = ", ".join(f"{name} {version} for {_some(trials)}" for version, trials in found.items())
            yield (
                f"compared trials were {_DOING[stage]} by different software: {said}; a difference between them may be "
                "one of that. They are kept as they are; another storage makes all anew"
            )


def _of_record(record: StageRecord) -> Iterator[Mapping[str, str]]:
    """The versions that made a stage: those of its record, or of what was there before it, or both."""
    completions = record.facts.get("completions")
    there = completions if isinstance(completions, dict) else {}
    engine = {"engine": str(record.facts.get("engine") or _ENGINE)} if record.stage == StageName.GENERATE else {}
    if there.get("asked") != 0:
        yield {**record.provenance, **engine}
    earlier = there.get("made_with")
    for words in earlier if isinstance(earlier, list) else ():
        parts = (part.rpartition(" ") for part in str(words).split(", "))
        yield {**{name: version for name, _, version in parts}, **engine}


def _some(trials: Sequence[str]) -> str:
    more = len(trials) - _NAMED
    return ", ".join(trials[:_NAMED]) + (f" and {more} more" if more > 0 else "")


__all__ = ["unlike_software"]
