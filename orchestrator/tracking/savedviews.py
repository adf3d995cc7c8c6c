"""What a study's page in MLflow opens on: its table of runs, and its charts.

One decision: a view is what MLflow's pages keep of one that a person saved there, and its names are theirs; nothing is
documented, so all of it stands here. Charts that a view does not name MLflow makes by itself, one for each metric; so
the view names those too, as removed.

    Scores    trials as rows, a column for each setting that differs, each headline and the cost
    Charts    settings, cost and score as parallel coordinates; score against cost; losses by step
"""

import base64
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.figures import HOURS, SUMMARIES, USD, headlines, metric_asked
from orchestrator.tracking.settings import IDENTITY, swept, values_of, varying

SCORES, CHARTS = "scores", "charts"
_COSTS = (HOURS, USD)
_CURVES = ("train/loss", "validation/loss")
_ANSWER, _COST, _TRAINING = "Settings, cost and score", "Score against cost", "Training"
# How many charts of each section stand side by side.
_SECTIONS = {_ANSWER: 1, _COST: 2, _TRAINING: 2}
# A filter, and an order other than by date, let MLflow show trials as rows of their own, not below the study's run.
_TRIALS = "tags.`polytune.current` = 'true' AND params.`method` != ''"
_MOST_AXES = 5
# Those of text are as long as their names, those of figures as long as their headers.
_LETTER_PX, _MARGIN_PX, _LEAST_PX = 6, 50, 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What there is to show: settings that differ, metrics that any run has, the study's tracks, the metric asked for.

    `params` have the length of their longest value. `axes` are the settings to plot over: MLflow leaves a run out of
    parallel coordinates where it has no number for one of them, so one by which two methods happen to differ would
    cost the frozen model.
    """

    params: Mapping[str, int]
    axes: tuple[str, ...]
    metrics: frozenset[str]
    tracks: tuple[str, ...]
    asked: str | None

    @property
    def summaries(self) -> list[str]:
        """The figures that stand for a whole trial, with its cost behind them."""
        names = dict.fromkeys((self.asked, *SUMMARIES, *_COSTS))
        return [name for name in names if name in self.metrics]

    @property
    def scores(self) -> list[str]:
        """Those of them that are no cost."""
        return [name for name in self.summaries if name not in _COSTS]

    @property
    def headlines(self) -> list[str]:
        """The figures that stand for a track."""
        return headlines(self.tracks, self.metrics)


def make_offer(study: Study, trials: Sequence[TrialSpec], *, metrics: Collection[str]) -> Offer:
    """What there is to show, the settings that identify a trial first."""
    values, differ, many = values_of(trials), varying(trials), swept(trials)
    identity = [name for name in IDENTITY if name in differ] or [*IDENTITY[:1]]
    rest = sorted(differ - {*IDENTITY, "size"})
    # A seed is no setting that anybody chooses by its score.
    axes = [name for name in identity if name != "seed"] + [name for name in rest if name in many]
    return Offer(
        params={name: max(map(len, values[name])) for name in (*identity, *rest)},
        axes=tuple(axes[:_MOST_AXES]), metrics=frozenset(metrics), tracks=tuple(study.tasks),
        asked=metric_asked(study.question),
    )  # fmt: skip


def saved_views(offer: Offer) -> dict[str, str]:
    """Experiment tags that hold the views, by their names in addresses."""
    shown = {SCORES: ("Scores", _table(offer)), CHARTS: ("Charts", _table(offer) | _charts(offer))}
    return {
        f"mlflow.sharedViewState.{key}": json.dumps(
            {"name": name, "createdAt": 0, "updatedAt": 0, "state": _packed(state)}
        )
        for key, (name, state) in shown.items()
    }


def _packed(state: Mapping[str, object]) -> str:
    """A state as MLflow packs what is long; a tag holds 5,000 letters in older versions."""
    text = json.dumps(state, separators=(",", ":"), sort_keys=True)
    return f"deflate;{base64.b64encode(zlib.compress(text.encode(), 9)).decode()}"


def _table(offer: Offer) -> dict[str, object]:
    """What a trial is, what it reached at what cost, its other settings, then each track."""
    tracks = [name for name in offer.headlines if name not in offer.summaries]
    first = [name for name in offer.params if name in IDENTITY and name != "seed"]
    order = [
        *(f"params.`{name}`" for name in first),
        *(f"metrics.`{name}`" for name in offer.summaries),
        *(f"params.`{name}`" for name in offer.params if name not in first),
        *(f"metrics.`{name}`" for name in tracks),
    ]
    return {
        "searchFilter": _TRIALS,
        "orderByKey": next((key for key in order if key.startswith("metrics.")), order[0]),
        "orderByAsc": not offer.summaries and not tracks,
        "selectedColumns": order,
        "columnOrder": order,
        "columnWidths": {key: _width(offer, key) for key in order},
        "runsHiddenMode": "SHOW_ALL",
    }


def _width(offer: Offer, key: str) -> int:
    """Room for a column's header, and for its longest value."""
    name = key.partition("`")[2].rstrip("`")
    return max(_LEAST_PX, _MARGIN_PX + _LETTER_PX * max(len(name), offer.params.get(name, 0)))


def _charts(offer: Offer) -> dict[str, object]:
    cards = [*_answer_cards(offer), *_curve_cards(offer)]
    used = {card["metricSectionId"] for card in cards}
    named = {card.get("metricKey") for card in cards}
    left_out = [
        _card("BAR", name, _TRAINING, deleted=True, isGenerated=True, metricKey=name)
        for name in sorted(offer.metrics)
        if name not in named
    ]
    return {
        "compareRunCharts": [*cards, *left_out],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "columns": across, "cardHeight": 360}
            for name, across in _SECTIONS.items()
            if name in used
        ],
        "isAccordionReordered": True,
    }


def _card(kind: str, uuid: str, section: str, **settings: object) -> dict[str, object]:
    return {"type": kind, "uuid": uuid, "metricSectionId": section, "deleted": False, "isGenerated": False} | settings


def _answer_cards(offer: Offer) -> Iterator[dict[str, object]]:
    """For each headline: settings, cost and score of all runs as parallel coordinates, and score against cost."""
    for score in offer.scores:
        metrics = [name for name in (HOURS, score) if name in offer.metrics]
        yield _card(
            "PARALLEL", f"parallel-{score}", _ANSWER,
            selectedParams=list(offer.axes), selectedMetrics=metrics, showAllRuns=True,
        )  # fmt: skip
        if HOURS in offer.metrics:
            axes = {"xaxis": {"key": HOURS, "type": "METRIC"}, "yaxis": {"key": score, "type": "METRIC"}}
            yield _card(
                "SCATTER", f"scatter-{score}", _COST, displayName=f"{score} against {HOURS}",
                runsCountToCompare=500, **axes,
            )  # fmt: skip


def _curve_cards(offer: Offer) -> Iterator[dict[str, object]]:
    for name in _CURVES:
        if name in offer.metrics:
            yield _card(
                "LINE", f"line-{name}", _TRAINING, displayName=f"{name} by step", metricKey=name,
                selectedMetricKeys=[name], xAxisKey="step", scaleType="linear", lineSmoothness=0,
                runsCountToCompare=500, useGlobalXaxisKey=True, useGlobalLineSmoothing=True,
            )  # fmt: skip
