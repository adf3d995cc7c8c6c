"""What stands between the figures and their meaning: each kind of warning once, with where it holds.

One decision: a warning says whether it touches a verdict. What makes a verdict doubtful (a leaked test set, a broken
template, a seed gone astray) is told beside it; what merely describes poor outputs has lowered their score already, and
waits below.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evaluators.health import LIMITS, warnings
from orchestrator.ledger.progress import State
from orchestrator.report.costs import collect_facts, read_number
from orchestrator.report.evidence import Arm, Evidence, Place, group_ways
from orchestrator.report.findings import Findings
from orchestrator.report.layout import count_nouns, format_number, say_state
from orchestrator.report.results import CellScores, TrialOutcome
from orchestrator.report.scores import Measure, Score
from orchestrator.report.verdicts import Verdict

_TOLD = ("left out for want of a value on both sides", "More seeds are needed")
"""What the statistics say, and what stands here with its places, or beside the verdict."""
_NAMED = 3
"""How many places or trials are named one by one; a sentence that names more is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One kind of warning. `where` lists all that it is about; `touches` the verdicts that it makes doubtful."""

    kind: str
    text: str
    where: tuple[str, ...] = ()
    touches: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """How a share of faults is told. `of_test_set`: it is the problems' and not a trial's."""

    says: str
    doubtful: bool = True
    of_test_set: bool = False


_FAULTS: Mapping[str, _Fault] = {
    "first_character_lost": _Fault(
        says="of outputs lack their first character, as if training and generation used different chat templates"
    ),
    "training_duplicate": _Fault(says="of test problems are in the training data themselves", of_test_set=True),
    "training_overlap": _Fault(says="of test references overlap with training", of_test_set=True),
    "reference_in_prompt": _Fault(says="of test references stand in their own prompt", of_test_set=True),
    "chat_leftovers": _Fault(says="of outputs hold left-overs of a chat template"),
    "skipped": _Fault(says="of prompts were too long for the model and were skipped"),
    "truncated": _Fault(says="of outputs were cut off at the limit of length"),
    "empty": _Fault(says="of outputs are empty"),
    "degenerate": _Fault(says="of outputs repeat themselves over and over", doubtful=False),
    "unparseable": _Fault(says="of outputs do not parse", doubtful=False),
    "prompt_echoed": _Fault(says="of outputs repeat their prompt", doubtful=False),
}
"""Faults of `evaluators.health`, the gravest first, in words that need one reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One trial at one place; `share` is in %, None where there is none."""

    arm: Arm
    trial: TrialOutcome
    place: Place | None = None
    share: float | None = None


def list_doubts(findings: Findings) -> tuple[Doubt, ...]:
    """Every warning, those that touch a verdict first."""
    found = (
        *_list_idle(findings),
        *_list_faults(findings),
        *_list_astray(findings),
        *_list_ends(findings),
        *_list_lost(findings),
        *_list_notes(findings),
        *_list_cautions(findings),
    )
    return tuple(sorted(found, key=lambda doubt: not doubt.touches))


def main_verdicts(findings: Findings) -> tuple[Verdict, ...]:
    """The verdicts that answer the question: those between trained ways, if there are any."""
    frozen = {arm.way for arm in findings.evidence.arms if arm.is_frozen}
    trained = tuple(verdict for verdict in findings.verdicts if not {verdict.first, verdict.second} & frozen)
    return trained or findings.verdicts


def _touched(findings: Findings, cases: Sequence[_Case]) -> tuple[Verdict, ...]:
    return tuple(verdict for verdict in main_verdicts(findings) if any(_concerns(case, verdict) for case in cases))


def _concerns(case: _Case, verdict: Verdict) -> bool:
    ours = case.arm.model == verdict.model and case.arm.way in (verdict.first, verdict.second)
    return ours and (case.place is None or case.place.title in verdict.tracks)


def _list_cells(evidence: Evidence) -> Iterator[tuple[_Case, CellScores]]:
    for arm in evidence.arms:
        for trial in arm.trials:
            for place in evidence.places:
                if cell := evidence.cell_at(trial, place):
                    yield _Case(arm=arm, trial=trial, place=place), cell


def _list_faults(findings: Findings) -> Iterator[Doubt]:
    for name, fault in _FAULTS.items():
        cases = [
            _Case(arm=case.arm, trial=case.trial, place=case.place, share=100 * share)
            for case, cell in _list_cells(findings.evidence)
            if (share := getattr(cell.health, name)) is not None and share > LIMITS[name].highest
        ]
        if cases:
            shares = [case.share for case in cases if case.share is not None]
            yield Doubt(
                kind=name.replace("_", " "),
                text=f"{_write_shares(shares)} {fault.says}{_say_where(findings, cases, fault.of_test_set)}",
                where=tuple(f"{_name(findings, case)}: {_write_share(case.share or 0.0)} %" for case in cases),
                touches=_touched(findings, cases) if fault.doubtful else (),
            )


def _write_shares(shares: Sequence[float]) -> str:
    low, high = _write_share(min(shares)), _write_share(max(shares))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _write_share(share: float) -> str:
    return format_number(share, digits=0 if share >= 1 else 1)


def _say_where(findings: Findings, cases: Sequence[_Case], of_test_set: bool = False) -> str:
    """The ways and tracks that cases are about: names if they are few, else numbers."""
    tracks = list(dict.fromkeys(case.place.title for case in cases if case.place))
    ways = list(dict.fromkeys(case.arm.way for case in cases))
    models = list(dict.fromkeys(case.arm.model for case in cases))
    several = len({arm.model for arm in findings.evidence.arms}) > 1
    places = _name_some(tracks, "track")
    with_models = f" with {_name_some(models, 'model')}" if several else ""
    return f", on {places}" if of_test_set else f": {_name_some(ways, 'method')}{with_models} on {places}"


def _name_some(names: Sequence[str], noun: str) -> str:
    if len(names) > _NAMED:
        return count_nouns(len(names), noun)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _name(findings: Findings, case: _Case) -> str:
    name = findings.evidence.names[case.trial.trial]
    return f"{name} on {case.place.title}" if case.place else name


def _list_notes(findings: Findings) -> Iterator[Doubt]:
    """What cells say in their own words, such as why nothing could be judged there."""
    said: dict[str, list[_Case]] = {}
    for case, cell in _list_cells(findings.evidence):
        known = set(warnings(cell.health))
        for text in dict.fromkeys((*cell.health_warnings, *cell.notes)):
            if text not in known:
                said.setdefault(text.rstrip("."), []).append(case)
    for text, cases in said.items():
        where = tuple(dict.fromkeys(_name(findings, case) for case in cases))
        yield Doubt(
            kind="note", text=f"{text}{_say_where(findings, cases)}", where=where, touches=_touched(findings, cases)
        )


def _list_ends(findings: Findings) -> Iterator[Doubt]:
    """Trials that did not run to the end, by how they stand and why."""
    said: dict[str, list[_Case]] = {}
    for arm in findings.evidence.arms:
        for trial in arm.trials:
            stage = next((stage for stage in trial.stages if stage.state != State.DONE), None)
            if stage is not None:
                state = f"{stage.stage} failed" if stage.state == State.FAILED else say_state(stage.state)
                said.setdefault(f"{state}: {stage.cause}" if stage.cause else state, []).append(
                    _Case(arm=arm, trial=trial)
                )
    for why, cases in said.items():
        names = [_name(findings, case) for case in cases]
        text = f"{count_nouns(len(cases), 'trial')} did not run to the end, {_name_some(names, 'trial')}: {why}"
        yield Doubt(kind="unfinished", text=text, where=tuple(names), touches=_touched(findings, cases))


def _list_idle(findings: Findings) -> Iterator[Doubt]:
    cases = [
        _Case(arm=arm, trial=trial)
        for arm in findings.evidence.arms
        for trial in arm.trials
        if any(stage.facts.get("adapter_changes_outputs") == 0 for stage in trial.stages)
    ]
    if not cases:
        return
    names = [f"{_name(findings, case)}{_in_steps(case.trial)}" for case in cases]
    yield Doubt(
        kind="nothing learned",
        text=f"Every output equals the frozen model's, so the trained weights were not applied, or have learned "
        f"nothing; more steps or a higher learning rate may change that: {_name_some(names, 'trial')}",
        where=tuple(names),
        touches=_touched(findings, cases),
    )


def _in_steps(trial: TrialOutcome) -> str:
    steps = read_number(collect_facts(trial), "steps")
    return f" in {count_nouns(int(steps), 'step')}" if steps else ""


def _list_astray(findings: Findings) -> Iterator[Doubt]:
    """Seeds whose intervals lie apart from those of all other seeds of their way, by most measures."""
    for arms in group_ways(findings.evidence.arms).values():
        for arm in arms if len(arms) > 1 else ():
            others = [other for other in arms if other is not arm]
            apart = [found for measure in findings.measures if (found := _lies_apart(findings, arm, others, measure))]
            scored = [measure for measure in findings.measures if isinstance(findings.score(arm, measure), Score)]
            if not apart or 2 * len(apart) < len(scored) or (len(others) == 1 and arm is arms[0]):
                continue
            _, measure = max(apart, key=lambda found: found[0])
            cases = [_Case(arm=arm, trial=trial) for trial in arm.trials]
            yield Doubt(
                kind="seed",
                text=f"One seed is unlike the others: {arm.title}, {_say_gap(findings, arm, others, measure)}",
                where=tuple(
                    f"{measure.place.title}, {measure.title}: {_say_gap(findings, arm, others, measure)}"
                    for _, measure in apart
                ),
                touches=_touched(findings, cases),
            )


def _lies_apart(findings: Findings, arm: Arm, others: Sequence[Arm], measure: Measure) -> tuple[float, Measure] | None:
    """How far a seed lies from the nearest other, where their intervals do not meet; the others meet each other."""
    mine, theirs = findings.score(arm, measure), [findings.score(other, measure) for other in others]
    scores = [score for score in theirs if isinstance(score, Score)]
    if not isinstance(mine, Score) or not scores or len(scores) < len(theirs):
        return None
    if any(_meet(mine, score) for score in scores) or not all(_meet(one, two) for one in scores for two in scores):
        return None
    return min(abs(mine.value - score.value) for score in scores), measure


def _meet(one: Score, two: Score) -> bool:
    if one.interval is None or two.interval is None:
        return True
    return one.interval.low <= two.interval.high and two.interval.low <= one.interval.high


def _say_gap(findings: Findings, arm: Arm, others: Sequence[Arm], measure: Measure) -> str:
    mine = findings.score(arm, measure)
    values = [score.value for other in others if isinstance(score := findings.score(other, measure), Score)]
    assert isinstance(mine, Score)
    low, high = format_number(min(values)), format_number(max(values))
    against = low if low == high else f"{low} to {high}"
    return f"{format_number(mine.value)} against {against} ({measure.title}, {measure.place.title})"


def _list_lost(findings: Findings) -> Iterator[Doubt]:
    """Problems that only one side has a result for, a warning for each pair."""
    for verdict in findings.verdicts:
        if verdict.dropped:
            places: dict[str, int] = {}
            for name in verdict.dropped:
                place = name.partition(": ")[0]
                places[place] = places.get(place, 0) + 1
            lost = [f"{number} on {place}" if len(places) > 1 else place for place, number in places.items()]
            count = count_nouns(len(verdict.dropped), "problem")
            lacks = "has" if len(verdict.dropped) == 1 else "have"
            yield Doubt(
                kind="missing results",
                text=f"{count} {lacks} a result on one side only and count for neither "
                f"({_name_pair(findings, verdict)}): "
                f"{_name_some(lost, 'track')}",
                where=verdict.dropped,
                touches=(verdict,) if verdict in main_verdicts(findings) else (),
            )


def _name_pair(findings: Findings, verdict: Verdict) -> str:
    several = len({arm.model for arm in findings.evidence.arms}) > 1
    return f"{verdict.first} against {verdict.second}" + (f" with {verdict.model}" if several else "")


def _list_cautions(findings: Findings) -> Iterator[Doubt]:
    """What the statistics say of verdicts, each sentence once."""
    said: dict[str, list[Verdict]] = {}
    stages = [stage for trial in findings.results.trials for stage in trial.stages]
    causes = {stage.cause for stage in stages if stage.state != State.DONE and stage.cause}
    for verdict in findings.verdicts:
        for text in verdict.cautions:
            if any(part in text for part in (*_TOLD, *causes)):
                continue
            said.setdefault(text.rstrip("."), []).append(verdict)
    main = main_verdicts(findings)
    for text, verdicts in said.items():
        touched = tuple(verdict for verdict in verdicts if verdict in main)
        tested = [verdict for verdict in main if not verdict.reason]
        of = (
            ""
            if len(touched) == len(tested)
            else f" ({_name_some(_list_pairs(findings, touched or verdicts), 'comparison')})"
        )
        yield Doubt(kind="statistics", text=text + of, touches=touched)


def _list_pairs(findings: Findings, verdicts: Sequence[Verdict]) -> list[str]:
    return list(dict.fromkeys(_name_pair(findings, verdict) for verdict in verdicts))


__all__ = ["Doubt", "list_doubts", "main_verdicts"]
