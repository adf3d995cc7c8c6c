"""Executions and scores that are made again: when one is due, and what tells its record from the one before.

One decision: what a machine could not say for want of a tool is not final. When the missing tool has come, the stage
runs once more under its own key; its record goes by the inputs of the first one and a mark, is looked for before
it, and condemns it where it lacked a tool itself.
"""

from collections.abc import Iterable, Mapping
from typing import cast

from evaluators.sandbox.toolchains import missing_toolchain
from orchestrator.ledger.record import StageRecord
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Language, Track

# Stands among the inputs of a stage that was made again because a tool had been missing.
JUDGED_AGAIN: dict[str, str] = {"toolchains": "installed since"}
# Why such a record is condemned where it lacked a tool itself: the next one has the same inputs.
SUPERSEDED = "judged again since"
# The facts of a record that name what was missing: languages that could not be run, analyzers that counted nothing.
_ABSENT = {StageName.EXECUTE: "absent_toolchains", StageName.SCORE: "absent_tools"}


def inputs_to_look_for(stage: StageName, inputs: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """The inputs that a stage's record may go by, the one that counts first."""
    again = ({**inputs, **JUDGED_AGAIN},) if stage in _ABSENT else ()
    return (*again, inputs)


def facts_of_absent(stage: StageName, names: Iterable[str]) -> dict[str, list[str]]:
    """What a stage's record keeps of the tools that it lacked."""
    found = sorted(names)
    return {_ABSENT[stage]: found} if found else {}


def present_tools() -> frozenset[str]:
    """What this machine has: languages that it can run, and analyzers of code, by name."""
    from evaluators.quality.analysis import TOOLS
    from evaluators.quality.outcome import MissingTool

    found = {language.value for language in Language if not missing_toolchain(language)}
    for name, tool in TOOLS.items():
        try:
            tool.version()
        except MissingTool:
            continue
        found.add(name)
    return frozenset(found)


def judgeable_since(record: StageRecord, trial: TrialSpec, present: frozenset[str]) -> str:
    """What a stage lacked of tools, in words, if it is all `present` now; nothing if not, or if nothing was lacked."""
    names = cast("list[str]", record.facts.get(_ABSENT.get(record.stage, ""), []))
    written = {str(target) for track in trial.tracks if (target := Track.parse(track).target)}
    languages = {language.value: language.title for language in Language}
    absent = [name for name in names if name in written or name not in languages]
    if not absent or not present.issuperset(absent):
        return ""
    return ", ".join(languages.get(name, name) for name in absent)


__all__ = ["JUDGED_AGAIN", "SUPERSEDED", "facts_of_absent", "inputs_to_look_for", "judgeable_since", "present_tools"]
