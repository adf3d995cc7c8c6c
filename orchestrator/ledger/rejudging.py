"""Executions and scores that are made again: when one is due, and what tells its record from the one before.

One decision: what a machine could not say for want of a tool is not final. When the missing tool has come, or one
that was too old is another, the stage runs once more under its own key; its record goes by the inputs of the first
one and a mark, is looked for before it, and condemns it where it lacked a tool itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from evaluators.sandbox.toolchains import missing_toolchain, toolchain_version
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
# The fact of an execution that names the compilers which some programs were too new for, with their versions.
_OUTDATED = "outdated_toolchains"


@dataclass(frozen=True, slots=True)
class Tools:
    """What a machine has: languages that it can run, and analyzers of code, by name.

    A compiler is asked for its version, which takes a process, when somebody wants to know, and once.
    """

    names: frozenset[str] = frozenset()
    _versions: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def version(self, language: Language) -> str:
        """The version of a language's compiler; `unknown` where it is not there or does not answer."""
        if language not in self._versions:
            here = language in self.names
            self._versions[language] = toolchain_version(language) if here else "unknown"
        return self._versions[language]


def inputs_to_look_for(stage: StageName, inputs: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """The inputs that a stage's record may go by, the one that counts first."""
    again = ({**inputs, **JUDGED_AGAIN},) if stage in _ABSENT else ()
    return (*again, inputs)


def facts_of_absent(stage: StageName, names: Iterable[str]) -> dict[str, list[str]]:
    """What a stage's record keeps of the tools that it lacked."""
    found = sorted(names)
    return {_ABSENT[stage]: found} if found else {}


def facts_of_outdated(languages: Iterable[Language], tools: Tools) -> dict[str, dict[str, str]]:
    """What an execution's record keeps of compilers that were too old for some programs: their versions."""
    found = {language.value: tools.version(language) for language in sorted(languages)}
    return {_OUTDATED: found} if found else {}


def present_tools() -> Tools:
    """What this machine has."""
    from evaluators.quality.analysis import TOOLS
    from evaluators.quality.outcome import MissingTool

    found = {language.value for language in Language if not missing_toolchain(language)}
    for name, tool in TOOLS.items():
        try:
            tool.version()
        except MissingTool:
            continue
        found.add(name)
    return Tools(frozenset(found))


def judgeable_since(record: StageRecord, trial: TrialSpec, tools: Tools) -> str:
    """Why more of a stage can be judged now, in words: a tool that it lacked is there. Nothing if there is no more."""
    names = cast("list[str]", record.facts.get(_ABSENT.get(record.stage, ""), []))
    written = {str(target) for track in trial.tracks if (target := Track.parse(track).target)}
    languages = {language.value: language.title for language in Language}
    come = [n for n in names if n in tools.names and (n in written or n not in languages)]
    said = [f"lacked {', '.join(languages.get(name, name) for name in come)} before, and has it now"] if come else []
    return "; ".join((*said, *_renewed(record, tools)))


def _renewed(record: StageRecord, tools: Tools) -> Iterable[str]:
    """Compilers that were too old for some programs and have another version now, a phrase each."""
    for name, before in cast("dict[str, str]", record.facts.get(_OUTDATED, {})).items():
        language = Language(name)
        now = tools.version(language)
        if now not in (before, "unknown"):
            yield f"{language.title} was too old for some programs ({before}), and is {now} now"


__all__ = [
    "JUDGED_AGAIN",
    "SUPERSEDED",
    "Tools",
    "facts_of_absent",
    "facts_of_outdated",
    "inputs_to_look_for",
    "judgeable_since",
    "present_tools",
]
