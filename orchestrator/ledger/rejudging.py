"""Executions that are made again: when one is due, and what tells its record from the one before.

One decision: a verdict that a machine could not give is not final. When the missing toolchain has come, the stage
runs once more under its own key; its record goes by the inputs of the first one and a mark, is looked for before
it, and condemns it where it lacked a toolchain itself.
"""

from collections.abc import Mapping
from typing import cast

from evaluators.sandbox.toolchains import missing_toolchain
from orchestrator.ledger.record import StageRecord
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Language, Track

# Stands among the inputs of an execution that was made again because a toolchain had been missing.
JUDGED_AGAIN: dict[str, str] = {"toolchains": "installed since"}
# Why such a record is condemned where it lacked a toolchain itself: the next one has the same inputs.
SUPERSEDED = "judged again since"
# The fact of a record that names the languages which could not be judged.
ABSENT = "absent_toolchains"


def inputs_to_look_for(stage: StageName, inputs: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """The inputs that a stage's record may go by, the one that counts first."""
    again = ({**inputs, **JUDGED_AGAIN},) if stage == StageName.EXECUTE else ()
    return (*again, inputs)


def present_toolchains() -> frozenset[Language]:
    """The languages that this machine can run."""
    return frozenset(language for language in Language if not missing_toolchain(language))


def judgeable_since(record: StageRecord, trial: TrialSpec, present: frozenset[Language]) -> str:
    """The languages that an execution could not judge for want of a toolchain, if all are `present` now."""
    written = {Track.parse(track).target for track in trial.tracks}
    names = cast("list[str]", record.facts.get(ABSENT, []))
    absent = [language for language in map(Language, names) if language in written]
    if not absent or not present.issuperset(absent):
        return ""
    return ", ".join(language.title for language in absent)


__all__ = ["ABSENT", "JUDGED_AGAIN", "SUPERSEDED", "inputs_to_look_for", "judgeable_since", "present_toolchains"]
