"""The pictures of scores and of differences.

One decision: every dot has its interval and every axis of one metric the same scale, so that what
looks different is different; arms keep their colour and marker in all pictures.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from statistics import fmean
from typing import TYPE_CHECKING, Any

from orchestrator.report.contrasts import Contrast
from orchestrator.report.evidence import Arm, group_ways
from orchestrator.report.findings import Findings
from orchestrator.report.layout import format_number
from orchestrator.report.pictures import PALETTE, Frame, add_legend, choose_colour, draw_dot
from orchestrator.report.scores import Measure, Score, Unscored
from trainers.methods.table import MethodKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SEED_SPREAD = 0.22
Line = tuple[str, str]
"""A line of the overview: model and way; its arms differ in their seeds alone."""


def draw_overview(findings: Findings, frame: Frame) -> "Figure | None":
    """Dot plot: a panel for each place and metric, a line for each way, a dot for each seed."""
    from matplotlib.figure import Figure

    if not findings.measures:
        return None
    lines = group_ways(findings.evidence.arms)
    across = min(frame.across, len(findings.measures))
    down = -(-len(findings.measures) // across)
    figure = Figure(figsize=(frame.width, down * (0.27 * len(lines) + 0.75)))
    panels = figure.subplots(down, across, sharey=True, squeeze=False).flat
    reach = _find_reach(findings)
    for panel, measure in zip_longest(panels, findings.measures):
        if measure is None:
            panel.set_visible(False)
            continue
        _draw_panel(panel, findings, lines=lines, measure=measure)
        panel.set_xlim(0, reach[measure.metric] * 1.22)
    return figure


def _find_reach(findings: Findings) -> Mapping[str, float]:
    """The right end of each metric's axis, the same at every place."""
    reach: dict[str, float] = {}
    for (_, measure), score in findings.scores.items():
        if isinstance(score, Score):
            end = max(score.value, score.interval.high if score.interval else 0.0)
            reach[measure.metric] = max(reach.get(measure.metric, 1.0), end)
    return {measure.metric: reach.get(measure.metric, 100.0) for measure in findings.measures}


def _draw_panel(panel: "Axes", findings: Findings, *, lines: Mapping[Line, tuple[Arm, ...]], measure: Measure) -> None:
    panel.set_title(f"{measure.place.title}\n", fontweight="bold")
    panel.annotate(measure.title, (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
                   color=PALETTE["soft"], fontsize=8)  # fmt: skip
    several = len({model for model, _ in lines}) > 1
    panel.set_yticks(range(len(lines)), [f"{model} · {way}" if several else way for model, way in lines])
    panel.set_ylim(len(lines) - 0.5, -0.5)
    for position, arms in enumerate(lines.values()):
        _draw_line(panel, [(arm, findings.score(arm, measure)) for arm in arms], at=position)
        score = findings.score(arms[0], measure)
        if arms[0].is_frozen and not several and isinstance(score, Score):
            panel.axvline(
                score.value, color=PALETTE[MethodKind.FROZEN], linewidth=0.9, linestyle=(0, (3, 3)), zorder=0.9
            )


def _draw_line(panel: "Axes", found: Sequence[tuple[Arm, Score | Unscored]], *, at: float) -> None:
    """The scores of one way, a seed below the other, or why there are none."""
    scored = [(arm, score) for arm, score in found if isinstance(score, Score)]
    ends = []
    for index, (arm, score) in enumerate(scored):
        y = at if len(scored) == 1 else at + _SEED_SPREAD * (2 * index / (len(scored) - 1) - 1)
        if score.interval:
            panel.hlines(y, *score.interval, color=choose_colour(arm.kind), linewidth=1.8, alpha=0.55)
        draw_dot(panel, (score.value, y), kind=arm.kind, grouping=arm.grouping, filled=not arm.is_frozen)
        ends.append(max(score.value, score.interval.high if score.interval else 0.0))
    small: dict[str, Any] = {"va": "center", "fontsize": 7.5, "color": PALETTE["soft"]}
    if scored:
        mean = format_number(fmean(score.value for _, score in scored))
        panel.annotate(mean, (max(ends), at), xytext=(4, 0), textcoords="offset points", **small)
        return
    # Paper behind the words, or the frozen model's line would strike them out.
    behind = {"facecolor": PALETTE["paper"], "edgecolor": "none", "pad": 1.5}
    reason = next((score.reason for _, score in found if isinstance(score, Unscored)), "").partition(":")[0]
    panel.text(0.02, at, reason, transform=panel.get_yaxis_transform(), style="italic", bbox=behind, **small)


def draw_forest(findings: Findings, frame: Frame) -> "Figure | None":
    """Differences in points with their intervals: a panel for each question and model."""
    from matplotlib.figure import Figure

    tested = [contrast for contrast in findings.contrasts if contrast.points is not None]
    if not tested:
        return None
    models = list(dict.fromkeys(contrast.first.model for contrast in tested))
    families = list(dict.fromkeys(contrast.family for contrast in tested))
    measures = [measure for measure in findings.measures if any(contrast.measure == measure for contrast in tested)]
    lines = max(
        len({(item.first.title, item.second.title) for item in tested if item.family == family}) for family in families
    ) / len(models)
    across = min(frame.across, len(families))
    shown = [(model, family) for model in models for family in families]
    down = -(-len(families) // across) * len(models)
    figure = Figure(figsize=(frame.width, down * (max(0.4, 0.1 * lines) * len(measures) + 0.6) + 0.5))
    panels = figure.subplots(down, across, sharey=True, squeeze=False).flat
    reach = {family: _find_ends([item for item in tested if item.family == family]) for family in families}
    for panel, (model, family) in zip(panels, _pad(shown, across, len(families)), strict=True):
        mine = [item for item in tested if (item.family, item.first.model) == (family, model)]
        panel.set_visible(bool(family))
        if not family:
            continue
        _draw_differences(panel, mine, measures=measures)
        panel.set_title(f"{model} · {family}" if len(models) > 1 else family, fontweight="bold")
        panel.set_xlim(*reach[family])
        panel.set_xlabel("points, first minus second")
    ways = dict.fromkeys((item.first.way, item.first.kind, item.first.grouping) for item in tested)
    add_legend(figure, ways, hollow="hollow: no difference shown", columns=6 if frame.across > 1 else 2)
    return figure


def _pad(shown: Sequence[tuple[str, str]], across: int, families: int) -> Iterator[tuple[str, str]]:
    """What each panel shows, with blanks where the families of a model do not fill its last line."""
    for start in range(0, len(shown), families):
        yield from shown[start : start + families]
        yield from [("", "")] * (-families % across)


def _find_ends(contrasts: Sequence[Contrast]) -> tuple[float, float]:
    """Ends of an axis that holds zero and every interval of one family, so that its panels can be compared."""
    ends = [0.0, *(item.points or 0.0 for item in contrasts)]
    ends += [end for item in contrasts if item.points_interval for end in item.points_interval]
    room = 0.06 * (max(ends) - min(ends)) or 1.0
    return min(ends) - room, max(ends) + room


def _draw_differences(panel: "Axes", contrasts: Sequence[Contrast], *, measures: Sequence[Measure]) -> None:
    pairs = list(dict.fromkeys((item.first.title, item.second.title) for item in contrasts))
    panel.axvline(0, color=PALETTE["soft"], linewidth=0.9, zorder=0.9)
    panel.set_yticks(range(len(measures)), [f"{measure.place.title}  {measure.title}" for measure in measures])
    panel.set_ylim(len(measures) - 0.5, -0.5)
    for edge in range(1, len(measures)):
        panel.axhline(edge - 0.5, color=PALETTE["rule"], linewidth=0.5)
    for item in contrasts:
        index = pairs.index((item.first.title, item.second.title))
        offset = 0.0 if len(pairs) == 1 else 0.56 * (index / (len(pairs) - 1) - 0.5)
        at = measures.index(item.measure) + offset
        if item.points_interval:
            panel.hlines(at, *item.points_interval, color=choose_colour(item.first.kind), linewidth=1.5, alpha=0.55)
        first = item.first
        draw_dot(panel, (item.points or 0.0, at), kind=first.kind, grouping=first.grouping, filled=item.is_shown)
