"""A trial's figures for MLflow: few metrics to sort and plot by, and one table of everything, a row for each track.

One decision: a metric is what people sort, plot or compare runs by. A number of which a run has one, and that belongs
to a track, stands in the table `tracks.json`, which MLflow shows for one run and side by side for several. So its
charts are few and have many points, where each number as a metric made a page of 150 charts of one point each.

    pass_at_1, codebleu, bleu      means over the trial's tracks of which it is the headline, once a trial is done
    hours, usd                     all stages together, once a trial is done
    TRACK/pass_at_1 (or other)     the track's headline, 0-100; the data set's name follows where there are several
    TRACK/completions, truncated, empty, passed
    counts/...                     problems, completions, verdicts and tokens, over all tracks

Scores and hours are rounded to four decimals, as many as MLflow's pages have room for.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from evaluators.similarity import METRICS, headlines_of, stand_ins
from orchestrator.ledger.artifacts import completions_of
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.report.quality import HEADLINES, read_three_ways
from orchestrator.report.results import CellScores, InstanceRow, StudyResults, TrialOutcome
from orchestrator.report.tally import count_verdicts
from orchestrator.study.question import PASSED, Question
from orchestrator.study.stages import StageName
from tasks.records import Completion, Track, Verdict

PASS = "pass_at_1"
HOURS, USD = "hours", "usd"
TABLE = "tracks.json"
SUMMARIES = (PASS, *sorted(METRICS, key=lambda name: not (METRICS[name].headline_of or METRICS[name].stands_in)))
"""What can stand for a track where there is room for one figure, the usual ones first."""
_OF_A_TRACK = ("completions", "truncated", "empty", "passed")
_COSTS = ("trainable_parameters", "peak_memory_bytes")
_DECIMALS = 4
_Records = Mapping[StageName, StageRecord]
_Value = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of one metric; `time_ms` is since 1970, as MLflow counts."""

    key: str
    value: float
    time_ms: int
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRow:
    """All numbers of a trial on one track and test set: `counts` from its completions and verdicts, `scores`.

    `asked` is the metric that the study's question names, if it does.
    """

    track: str
    dataset: str
    name: str
    counts: Mapping[str, int]
    scores: Mapping[str, float]
    asked: str | None = None

    @property
    def headline(self) -> str | None:
        """The score that stands for the track: what is asked for, pass@1, or the first that is its task's."""
        task = Track.parse(self.track).task
        names = (self.asked, PASS, *headlines_of(task), *stand_ins())
        return next((name for name in names if name in self.scores), None)


def metric_asked(question: Question) -> str | None:
    """The metric that a question names, as MLflow has it."""
    return PASS if question.metric == PASSED else question.metric


def track_rows(
    label: str, results: StudyResults, records: _Records, verdicts: Sequence[Verdict], ledger: Ledger
) -> tuple[TrackRow, ...]:
    """What the ledger has of a trial by track and test set, as far as it is."""
    if StageName.GENERATE not in records:
        return ()
    written: dict[tuple[str, str], list[Completion]] = {}
    for completion in completions_of(ledger, records[StageName.GENERATE]):
        written.setdefault((completion.track, completion.dataset), []).append(completion)
    rows: dict[tuple[str, str], list[InstanceRow]] = {}
    for row in results.rows:
        if row.trial == label:
            rows.setdefault((row.track, row.dataset), []).append(row)
    cells = {(cell.track, cell.dataset): cell for cell in results.cells if cell.trial == label}
    judged = {(verdict.task_id, verdict.sample): verdict for verdict in verdicts}
    tracks = [track for track, _ in written]
    return tuple(
        TrackRow(
            track=place[0],
            dataset=place[1],
            name=place[0] if tracks.count(place[0]) == 1 else f"{place[0]}/{_plain(place[1])}",
            counts=count(found, [v for c in found if (v := judged.get((c.problem_id, c.sample)))]),
            scores=scores_of(cells[place], rows[place]) if place in cells else {},
            asked=metric_asked(results.asked),
        )
        for place, found in written.items()
    )


def _plain(dataset: str) -> str:
    """A data set's name in letters that a metric's name may have."""
    return re.sub(r"[^\w.\- ]", "_", dataset)


def count(completions: Sequence[Completion], verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Problems, completions, what is wrong with them, tokens, and of each verdict how many.

    `failed` are all judged completions that did not pass; `passed` and `failed` are absent where nothing was judged.
    """
    found = count_verdicts(verdicts)
    judged = sum(found.values()) - found.get("unjudged", 0)
    passed = found.get("passed", 0)
    return {
        "problems": len({completion.problem_id for completion in completions}),
        "completions": len(completions),
        "truncated": sum(completion.finish == "length" for completion in completions),
        "empty": sum(not completion.text.strip() for completion in completions),
        "prompt_tokens": sum(completion.prompt_tokens for completion in completions),
        "new_tokens": sum(completion.new_tokens for completion in completions),
        **({"passed": passed, "failed": judged - passed, "unjudged": 0} | found if found else {}),
    }


def scores_of(cell: CellScores, rows: Sequence[InstanceRow]) -> dict[str, float]:
    """A cell's scores, by name.

    Rates, pass@1 and similarity are 0-100: the means over problems that reports show, similarity also for the whole
    corpus, as `_corpus`. The headline counts of quality are means per file, three ways, as `quality.NAME.parsing`,
    `.passing` and `.vs_reference`, each with the number of files behind it as `..._files`.
    """
    judged = [row for row in rows if row.verdict not in (None, "unjudged")]
    parsed = [row.parses for row in rows if row.parses is not None]
    scores = {"parses": 100 * fmean(parsed)} if parsed else {}
    if judged:
        scores[PASS] = 100 * _mean_by_problem((row.problem_id, row.verdict == "passed") for row in judged)
    for name in sorted({name for row in rows for name in row.scores}):
        scores[name] = _mean_by_problem((row.problem_id, row.scores[name]) for row in rows if name in row.scores)
    scores |= {f"{name}_corpus": value for name, value in cell.corpus.items()}
    return scores | dict(_quality(cell, rows))


def _quality(cell: CellScores, rows: Sequence[InstanceRow]) -> Iterator[tuple[str, float]]:
    """The report's three ways of reading quality, each only where the report gives a figure."""
    for title, counted in HEADLINES.items():
        ways = read_three_ways(rows, cell, counted)
        for way, figure in (("parsing", ways.parsing), ("passing", ways.passing), ("vs_reference", ways.difference)):
            if figure is not None:
                name = f"quality.{title.replace(' ', '_')}.{way}"
                yield name, figure.per_file
                yield f"{name}_files", float(figure.files)


def _mean_by_problem(values: Iterable[tuple[str, float]]) -> float:
    """The mean over problems of the mean over a problem's samples, which for passes is pass@1."""
    problems: dict[str, list[float]] = {}
    for problem, value in values:
        problems.setdefault(problem, []).append(value)
    return fmean(fmean(samples) for samples in problems.values())


def summaries(rows: Sequence[TrackRow]) -> dict[str, float]:
    """For each headline the mean over the tracks that it stands for: `{"pass_at_1": 65.0, "bleu": 83.7}`."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.headline is not None:
            found.setdefault(row.headline, []).append(row.scores[row.headline])
    return {name: fmean(found[name]) for name in SUMMARIES if name in found}


def figures_of(outcome: TrialOutcome, rows: Sequence[TrackRow], records: _Records) -> Iterator[Point]:
    """A trial's metrics, as far as they are final; what is most looked at comes first.

    MLflow's page that compares runs opens on the first metric that all of them have, in the order of writing.
    """
    times = {stage: round(record.finished_at * 1000) for stage, record in records.items()}
    if outcome.finished:
        end = max(times.values())
        for name, value in summaries(rows).items():
            yield Point(key=name, value=round(value, _DECIMALS), time_ms=end)
        hours = sum(record.seconds for record in records.values()) / 3600
        yield Point(key=HOURS, value=round(hours, _DECIMALS), time_ms=end)
        if spent := [stage.usd for stage in outcome.stages if stage.usd is not None]:
            yield Point(key=USD, value=round(sum(spent), _DECIMALS), time_ms=end)
    if StageName.SCORE in records and (StageName.EXECUTE in records or not _has_stage(outcome, StageName.EXECUTE)):
        for row in rows:
            if row.headline is not None:
                value = round(row.scores[row.headline], _DECIMALS)
                yield Point(key=_key(row, row.headline), value=value, time_ms=times[StageName.SCORE])
    yield from _count_points(outcome, rows, times)
    yield from _costs(outcome, times)


def _has_stage(outcome: TrialOutcome, stage: StageName) -> bool:
    return any(found.stage == stage for found in outcome.stages)


def _key(row: TrackRow, name: str) -> str:
    """`TRACK/METRIC`, or `TRACK/METRIC/DATASET` where a track has several test sets."""
    return f"{row.track}/{name}{row.name.removeprefix(row.track)}"


def _count_points(outcome: TrialOutcome, rows: Sequence[TrackRow], times: Mapping[StageName, int]) -> Iterator[Point]:
    """Counts by track, a few, and over all tracks; those of verdicts once there are verdicts."""
    totals: dict[str, int] = {}
    for row in rows:
        for name, value in row.counts.items():
            totals[name] = totals.get(name, 0) + value
            if name in _OF_A_TRACK:
                yield Point(key=_key(row, name), value=value, time_ms=_counted_at(name, times))
    for name, value in totals.items():
        yield Point(key=f"counts/{name}", value=value, time_ms=_counted_at(name, times))


def _counted_at(name: str, times: Mapping[StageName, int]) -> int:
    """When the stage that tells a count was finished."""
    of_text = ("problems", "completions", "truncated", "empty", "prompt_tokens", "new_tokens")
    return times[StageName.GENERATE if name in of_text else StageName.EXECUTE]


def _costs(outcome: TrialOutcome, times: Mapping[StageName, int]) -> Iterator[Point]:
    """What a training took, and how much it changed what the base writes."""
    for stage in outcome.stages:
        if stage.stage not in times:
            continue
        names = {"adapter_changes_outputs": "health/adapter_changes_outputs"}
        names |= {name: f"resources/{name}" for name in (_COSTS if stage.stage == StageName.TRAIN else ())}
        for name, key in names.items():
            if isinstance(value := stage.facts.get(name), int | float):
                yield Point(key=key, value=float(value), time_ms=times[stage.stage])


def headlines(tracks: Sequence[str], figures: Collection[str]) -> list[str]:
    """The metrics that stand for tracks, of those that there are, in the tracks' order."""
    return [
        name
        for track in tracks
        for name in sorted(figures)
        if name.startswith(f"{track}/") and name.removeprefix(f"{track}/").partition("/")[0] in SUMMARIES
    ]


def table_of(rows: Sequence[TrackRow]) -> str:
    """Everything of a trial by track, as a table in the form that MLflow shows: columns, and rows of values.

    MLflow sets the tables of several runs side by side, by the first column, and opens on the second.
    """
    values = [_flat(row) for row in rows]
    counts = (name for row in rows for name in row.counts)
    names = dict.fromkeys(
        ("track", "score", "score_of", *SUMMARIES, *counts, *(name for one in values for name in one))
    )
    columns = [name for name in names if any(name in one for one in values)]
    return json.dumps({"columns": columns, "data": [[one.get(name) for name in columns] for one in values]})


def _flat(row: TrackRow) -> dict[str, _Value]:
    scores = _rounded(row.scores)
    headline: dict[str, _Value] = {"score": scores[row.headline], "score_of": row.headline} if row.headline else {}
    return {"track": row.track, **headline, **scores, **row.counts, "dataset": row.dataset}


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, _DECIMALS) for name, value in scores.items()}
