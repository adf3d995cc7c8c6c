"""The sheet of single outputs: what was asked, what was written, what was measured of it.

One decision: a row stands alone. Prompt and reference are repeated for each trial, so that any tool filters, shows and
pairs rows without a join; Parquet writes what repeats once.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial

from evaluators.similarity.table import METRICS
from orchestrator.report.evidence import Evidence
from orchestrator.report.exports.figures import about
from orchestrator.report.exports.sheets import PLACE, TRIAL, Row, Sheet, counts, flags, numbers, texts
from orchestrator.report.results import InstanceRow, TrialOutcome
from orchestrator.report.texts import Texts


def instance_sheet(evidence: Evidence) -> Sheet:
    """Every output of every trial."""
    results = evidence.results
    measured = {name for row in results.rows for name in row.scores}
    counted = sorted({name for row in results.rows for name in row.counts})
    scores = [*METRICS, *sorted(measured - METRICS.keys())]
    return Sheet(
        name="instances",
        title="every output, with what was asked and what was measured",
        fields=(
            *TRIAL,
            *PLACE,
            *texts(problem_id="the problem"),
            *counts(sample="which output of the problem, from 0"),
            *texts(
                prompt="what the problem asks, without the words that a study puts around it",
                reference="the data set's own answer",
                output="what the model wrote, exactly",
                finish="why it stopped: `stop`, `length` or `skipped`",
            ),
            *flags(empty="whether nothing was written", parses="whether it parses; empty for prose"),
            *texts(verdict="what running it showed; empty where there are no tests"),
            *flags(passed="whether it passed; empty where it was not judged"),
            *texts(detail="the verdict's detail"),
            *numbers(**{name: _meaning(name) for name in scores}),
            *numbers(**{name: "a count of quality; empty where it was not measured" for name in counted}),
        ),
        list_rows=partial(_list_instances, evidence, cache(results.read_texts)),
    )


def _meaning(metric: str) -> str:
    known = METRICS.get(metric)
    return f"{known.about}; empty where it was not computed" if known else "a score"


def _list_instances(evidence: Evidence, read_texts: Callable[[], Texts]) -> Iterator[Row]:
    results = evidence.results
    trials = {trial.trial: trial for trial in results.trials}
    read = read_texts()
    for row in results.rows:
        yield _tell(row, trials[row.trial], read)


def _tell(row: InstanceRow, trial: TrialOutcome, read: Texts) -> Row:
    asked = read.asked_of(row.track, row.problem_id)
    written = read.written_by(row.trial, row.problem_id, row.sample)
    return {
        **about(trial),
        "track": row.track,
        "dataset": row.dataset,
        "problem_id": row.problem_id,
        "sample": row.sample,
        "prompt": asked.prompt if asked else None,
        "reference": asked.reference if asked else None,
        "output": written.text if written else None,
        "finish": written.finish if written else None,
        "empty": row.empty,
        "parses": row.parses,
        "verdict": row.verdict,
        "passed": None if row.verdict in (None, "unjudged") else row.verdict == "passed",
        "detail": row.detail,
        **{name: float(value) for name, value in (*row.scores.items(), *row.counts.items())},
    }


__all__ = ["instance_sheet"]
