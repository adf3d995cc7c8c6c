"""Two methods, or two trials, of a study against each other, by the report's own tests.

One decision: what is compared is named as the report names it, and the answer is a study of those two: the same
pairing, tests and verdict, corrected for the metrics and tracks asked for and nothing else.
"""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from orchestrator.errors import InputError
from orchestrator.report.contrasts import draw_contrasts
from orchestrator.report.evidence import Evidence, gather
from orchestrator.report.findings import Findings
from orchestrator.report.results import StudyResults, TrialOutcome
from orchestrator.report.scores import Measure, choose_measures, list_metrics, score_arm
from orchestrator.report.verdicts import judge
from orchestrator.study.question import Question, Way, faults_of_pair, names_of


def compare_within(
    results: StudyResults, first: str, second: str, *, metrics: Sequence[str] = (), margin: float | None = None
) -> Findings:
    """The findings of two of a study's methods, groupings or trials, by name.

    Raises:
        InputError: if a name is none of the study's, or nothing has a metric.
    """
    chosen = _choose(results, first, second)
    evidence = gather(replace(chosen, asked=_question(chosen, first, second, metrics, margin)))
    measures = _measures(evidence, metrics)
    scores = {(arm.title, m): score_arm(evidence, arm, measure=m) for arm in evidence.arms for m in measures}
    asked = evidence.results.asked
    return Findings(
        evidence=evidence,
        measures=measures,
        scores=scores,
        contrasts=draw_contrasts(evidence.arms, measures, scores=scores, question=asked),
        verdicts=judge(evidence, asked),
    )


def _choose(results: StudyResults, first: str, second: str) -> StudyResults:
    """The results with each trial that is named standing for a method of its own."""
    if first == second:
        raise InputError(f"{first!r} is to be compared with itself; name two")
    named = {trial.trial: _alone(trial) for trial in results.trials if trial.trial in (first, second)}
    if len(named) == 2:
        rows = tuple(row for row in results.rows if row.trial in named)
        cells = tuple(cell for cell in results.cells if cell.trial in named)
        return replace(results, trials=tuple(named[name] for name in (first, second)), rows=rows, cells=cells)
    ways = [Way(method=trial.method, kind=trial.kind, grouping=trial.grouping) for trial in results.trials]
    odd = [name for name in (first, second) if name not in names_of(ways)]
    if odd:
        raise InputError("\n".join(_say_unknown(name, results, names_of(ways)) for name in odd))
    if faults := faults_of_pair((first, second), ways):
        raise InputError("; ".join(faults))
    return results


def _alone(trial: TrialOutcome) -> TrialOutcome:
    """A trial as a method by its own name; seeds are not to part the two that were named."""
    return replace(trial, method=trial.trial, grouping="", seed=0, model="")


def _say_unknown(name: str, results: StudyResults, methods: Sequence[str]) -> str:
    trials = [trial.trial for trial in results.trials]
    if name in trials:
        return f"{name!r} is a trial and the other is none; name two trials or two methods"
    near = get_close_matches(name, [*methods, *trials], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    told = f"{name!r} is no method and no trial of {results.study}; {hint}its methods are {', '.join(methods)}"
    return f"{told}; its trials {', '.join(trials)}"


def _question(results: StudyResults, first: str, second: str, metrics: Sequence[str], margin: float | None) -> Question:
    asked = results.asked.model_dump() | {"compare": ((first, second),)}
    if len(metrics) == 1 and metrics[0] in _known(results):
        asked["metric"] = metrics[0]
    if margin is not None:
        asked["margin"] = margin
    return Question.model_validate(asked)


def _known(results: StudyResults) -> set[str]:
    return {"pass@1", *(name for row in results.rows for name in row.scores)}


def _measures(evidence: Evidence, metrics: Sequence[str]) -> tuple[Measure, ...]:
    """The metrics asked for wherever they are, else the headline ones."""
    if not metrics:
        return choose_measures(evidence)
    there = {place: list_metrics(evidence, place) for place in evidence.places}
    known = list(dict.fromkeys(name for names in there.values() for name in names))
    odd = [name for name in metrics if name not in known]
    if odd:
        raise InputError(f"--metric {odd[0]}: the study has none of it; it has {', '.join(known) or 'no metric yet'}")
    return tuple(
        Measure(place=place, metric=name) for place in evidence.places for name in metrics if name in there[place]
    )


__all__ = ["compare_within"]
