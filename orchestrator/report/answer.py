"""The answer in one paragraph, computed from the same scores and tests as the tables.

One decision: only differences that hold after Holm's correction are called better or worse, and what
stands in the way of an answer (floors, missing cells, warnings) is said in the same paragraph.
"""

from collections import Counter
from collections.abc import Sequence

from orchestrator.ledger.progress import State
from orchestrator.report.contrasts import Contrast
from orchestrator.report.evidence import Evidence
from orchestrator.report.findings import Findings
from orchestrator.report.health import list_warnings
from orchestrator.report.layout import count_nouns, format_number, format_range
from orchestrator.report.results import StudyResults
from orchestrator.report.scores import PASS, Measure, Score
from orchestrator.report.statistics import NotComparable

_FLOOR = 2.0
"""A score, 0-100, that nobody exceeds where a task is beyond all the models compared."""
_FEW = 2
"""How many of a kind are named one by one; a paragraph that names more is not read."""


def compose_answer(findings: Findings) -> str:
    """One paragraph of plain words: what was compared, what holds, what stands in the way."""
    scores = [score for score in findings.scores.values() if isinstance(score, Score)]
    sentences = [_say_extent(findings)]
    if not scores:
        return f"{sentences[0]} There are no scores to compare yet."
    if all(score.value < _FLOOR for score in scores):
        highest = format_number(max(score.value for score in scores))
        sentences.append(f"The scores are too low to compare methods: the highest is {highest} of 100.")
    else:
        sentences += [*_say_floors(findings), *_say_families(findings.contrasts)]
    return " ".join([*sentences, *_say_obstacles(findings)])


def _say_extent(findings: Findings) -> str:
    trials = findings.results.trials
    finished = sum(trial.finished for trial in trials)
    problems = {(row.track, row.dataset, row.problem_id) for row in findings.results.rows}
    tracks = {row.track for row in findings.results.rows}
    return (
        f"{finished} of {count_nouns(len(trials), 'trial')} finished, "
        f"on {count_nouns(len(problems), 'problem')} in {count_nouns(len(tracks), 'track')}."
    )


def _say_floors(findings: Findings) -> list[str]:
    """Name the measures by which everybody fails, since 'no difference' there says nothing."""
    floored = [measure for measure in findings.measures if _is_floored(findings, measure)]
    if not floored:
        return []
    names = ", ".join(f"{measure.place.title} ({_short(measure)})" for measure in floored)
    return [f"Every method stays below {_FLOOR:.0f} of 100 on {names}: too low to compare methods there."]


def _is_floored(findings: Findings, measure: Measure) -> bool:
    values = [score for arm in findings.evidence.arms if isinstance(score := findings.score(arm, measure), Score)]
    return bool(values) and all(score.value < _FLOOR for score in values)


def _say_families(contrasts: Sequence[Contrast]) -> list[str]:
    """A sentence for each pair of ways, over all models and seeds; what beats the frozen model first."""
    ordered = sorted(contrasts, key=lambda item: not item.second.is_frozen)
    pairs: dict[tuple[str, str], list[Contrast]] = {}
    for item in ordered:
        pairs.setdefault((item.first.way, item.second.way), []).append(item)
    return [_say_pair(first, second, contrasts=found) for (first, second), found in pairs.items()]


def _say_pair(first: str, second: str, *, contrasts: list[Contrast]) -> str:
    """What the tests of one pair of ways say together."""
    tested = [item for item in contrasts if not isinstance(item.outcome, NotComparable)]
    if not tested:
        reasons = dict.fromkeys(item.outcome.reason for item in contrasts if isinstance(item.outcome, NotComparable))
        return f"{first} could not be compared with {second} ({'; '.join(list(reasons)[:_FEW])})."
    found = [(wording, [item for item in tested if item.wording == wording]) for wording in ("better", "worse")]
    outcomes = [f"is {_say_outcome(items, wording, tested=tested)}" for wording, items in found if items]
    if not outcomes:
        return f"Between {first} and {second}, no difference is shown in {count_nouns(len(tested), 'comparison')}."
    undecided = sum(not item.is_shown for item in tested)
    if undecided:
        outcomes.append(f"no difference is shown in {undecided}")
    return f"Against {second}, {first} {'; '.join(outcomes)}."


def _say_outcome(contrasts: list[Contrast], wording: str, *, tested: list[Contrast]) -> str:
    """How often, by how much and, if they are few, where; by model if there are several."""
    count, of = len(contrasts), len(tested)
    times = f"all {count_nouns(of, 'comparison')}" if count == of > 1 else f"{count} of {of}"
    points = [abs(item.points or 0.0) for item in contrasts]
    models = dict.fromkeys(item.first.model for item in tested)
    if len(models) > 1:
        by_model = Counter(item.first.model for item in contrasts)
        shares = ", ".join(f"{model} {by_model[model]}" for model in models)
        return f"{wording} in {times} ({shares}; by {format_range(min(points), max(points))} points)"
    if count > _FEW:
        return f"{wording} in {times} (by {format_range(min(points), max(points))} points)"
    where = " and ".join(
        f"{item.measure.place.title} {_short(item.measure)} by {format_number(size)}"
        for item, size in zip(contrasts, points, strict=True)
    )
    return f"{wording} in {times} ({where} points)"


def _short(measure: Measure) -> str:
    return PASS if measure.metric == PASS else measure.title


def _say_obstacles(findings: Findings) -> list[str]:
    said = [_say_missing(findings.evidence), _say_unjudged(findings.results), _say_untested(findings.contrasts)]
    warnings = list_warnings(findings.evidence)
    if warnings:
        said.append(f"{count_nouns(len(warnings), 'warning')} below should be read before these figures are relied on.")
    return [sentence for sentence in said if sentence]


def _say_missing(evidence: Evidence) -> str:
    trials = evidence.results.trials
    ends = [trial for trial in trials if any(stage.state in (State.FAILED, State.NOT_RUN) for stage in trial.stages)]
    stuck = [evidence.names[trial.trial] for trial in ends]
    waiting = sum(not trial.finished for trial in trials) - len(stuck)
    names = f" ({', '.join(stuck)})" if len(stuck) <= _FEW else ""
    parts = [f"{count_nouns(len(stuck), 'trial')} did not run to the end{names}" if stuck else ""]
    parts.append(f"{count_nouns(waiting, 'trial')} {'has' if waiting == 1 else 'have'} yet to run" if waiting else "")
    text = "; ".join(part for part in parts if part)
    return f"{text}." if text else ""


def _say_unjudged(results: StudyResults) -> str:
    judged = [row for row in results.rows if row.verdict is not None]
    unjudged = sum(row.verdict == "unjudged" for row in judged)
    if not unjudged:
        return ""
    return f"{unjudged:,} of {count_nouns(len(judged), 'sample')} could not be judged and count neither way."


def _say_untested(contrasts: Sequence[Contrast]) -> str:
    untested = sum(isinstance(item.outcome, NotComparable) for item in contrasts)
    return f"{untested} of {count_nouns(len(contrasts), 'comparison')} could not be made." if untested else ""
