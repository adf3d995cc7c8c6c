"""All that a report computes from a study's results, computed once.

One decision: tables, pictures and the answer read the same scores and the same tests, so a sentence
can never disagree with the table below it.
"""

from dataclasses import dataclass

from orchestrator.report.contrasts import Contrast, Scores, draw_contrasts
from orchestrator.report.evidence import Arm, Evidence, gather
from orchestrator.report.results import StudyResults
from orchestrator.report.scores import Measure, Score, Unscored, choose_measures, score_arm
from orchestrator.report.verdicts import Verdict, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Scores of every arm by every headline measure, the tests between arms, and what they say together."""

    evidence: Evidence
    measures: tuple[Measure, ...]
    scores: Scores
    contrasts: tuple[Contrast, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def results(self) -> StudyResults:
        """What the findings were made from."""
        return self.evidence.results

    def score(self, arm: Arm, measure: Measure) -> Score | Unscored:
        """The score of an arm by a headline measure, or why there is none."""
        return self.scores[arm.title, measure]


def find(results: StudyResults) -> Findings:
    """Score every arm and test what the study's questions ask for."""
    evidence = gather(results)
    measures = choose_measures(evidence)
    scores = {
        (arm.title, measure): score_arm(evidence, arm, measure=measure) for arm in evidence.arms for measure in measures
    }
    return Findings(
        evidence=evidence,
        measures=measures,
        scores=scores,
        contrasts=draw_contrasts(evidence.arms, measures, scores=scores, question=results.asked),
        verdicts=judge(evidence, results.asked),
    )
