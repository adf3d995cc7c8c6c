"""What is paid for a score: pictures of cost against score, of correctness against quality, and of model size.

One decision: a point is a way with one model, over all its seeds and all tracks of one metric. A way that lacks one of
those tracks has no point, since a mean over fewer tracks is another figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean
from typing import TYPE_CHECKING

from orchestrator.report.evidence import Arm, Place, group_ways
from orchestrator.report.findings import Findings
from orchestrator.report.layout import format_count
from orchestrator.report.methodcosts import MethodCost, average_scores, list_costs
from orchestrator.report.pictures import DASHES, PALETTE, Frame, add_legend, choose_colour, draw_dot
from orchestrator.report.quality import HEADLINES, read_three_ways
from orchestrator.report.results import InstanceRow
from orchestrator.report.scores import estimate_pass, title_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MESSAGES = "lint messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A way with one model: its mean score by one metric, with the range of its seeds, beside what it cost."""

    cost: MethodCost
    score: float
    low: float
    high: float


def list_points(findings: Findings, metric: str) -> tuple[Point, ...]:
    """Every way's mean over the tracks of a metric, with the range from its lowest to its highest seed."""
    costs = {(cost.model, cost.way): cost for cost in list_costs(findings)}
    return tuple(
        Point(cost=costs[key], score=fmean(means), low=min(means), high=max(means))
        for key, means in average_scores(findings, metric).items()
    )


def draw_frontier(findings: Findings, frame: Frame) -> "Figure | None":
    """Training time against score, a panel for each metric; the line joins what nothing beats in both."""
    panels = {metric: list_points(findings, metric) for metric in dict.fromkeys(m.metric for m in findings.measures)}
    panels = {metric: points for metric, points in panels.items() if _count_trained(points) > 1}
    if not panels:
        return None
    several = len({point.cost.model for points in panels.values() for point in points}) > 1
    figure, axes = _lay_out(len(panels), frame, height=3.1)
    for panel, (metric, points) in zip(axes, panels.items(), strict=False):
        _draw_frontier(panel, points, several=several)
        panel.set_title(f"{title_metric(metric)}, mean over tracks", fontweight="bold")
    _name_ways(figure, [point.cost for points in panels.values() for point in points], frame=frame)
    return figure


def _name_ways(figure: "Figure", costs: Sequence[MethodCost], *, frame: Frame) -> None:
    ways = dict.fromkeys((cost.way, cost.kind, cost.grouping) for cost in costs)
    add_legend(figure, ways, columns=6 if frame.across > 1 else 2)


def _count_trained(points: Sequence[Point]) -> int:
    return sum(point.cost.training_s is not None for point in points)


def _draw_frontier(panel: "Axes", points: Sequence[Point], *, several: bool) -> None:
    paid = [(point.cost.training_s, point) for point in points if point.cost.training_s is not None]
    longest = max(seconds for seconds, _ in paid)
    unit, name = (3600, "hours") if longest >= 5400 else (60, "minutes")
    ends = [end for _, point in paid for end in (point.low, point.high)]
    room = max(1.0, 0.14 * (max(ends) - min(ends)))
    frozen = [point for point in points if point.cost.training_s is None]
    for point in frozen:
        panel.axhline(point.score, color=PALETTE["frozen"], linewidth=0.9, linestyle=(0, (3, 3)))
    panel.set_ylim(min(ends) - room, max(ends) + room)
    below = [point for point in frozen if point.score < min(ends) - room]
    if below:
        # Far below, it would press all others together; its figure is told instead.
        text = ", ".join(
            f"{point.cost.model} {point.score:.1f}" if several else f"{point.score:.1f}" for point in below
        )
        panel.text(0.02, 0.03, f"frozen, below: {text}", transform=panel.transAxes, fontsize=7.5, color=PALETTE["soft"])
    for seconds, point in paid:
        at = (seconds / unit, point.score)
        if point.high > point.low:
            panel.vlines(at[0], point.low, point.high, color=choose_colour(point.cost.kind), linewidth=1.5, alpha=0.5)
        draw_dot(panel, at, kind=point.cost.kind, grouping=point.cost.grouping, filled=True, size=6)
    for seconds, point in _find_highest(paid) if several else ():
        panel.annotate(point.cost.model, (seconds / unit, point.score), xytext=(0, 8), textcoords="offset points",
                       fontsize=7.5, ha="center")  # fmt: skip
    best = _find_best(paid)
    panel.step([seconds / unit for seconds, _ in best], [point.score for _, point in best], where="post",
               color=PALETTE["soft"], linewidth=1, zorder=0.8)  # fmt: skip
    if longest > 20 * min(seconds for seconds, _ in paid):
        _make_logarithmic(panel, low=min(seconds for seconds, _ in paid) / unit, high=longest / unit)
    else:
        panel.set_xlim(left=0, right=(1.3 if several else 1.1) * longest / unit)
    panel.set_xlabel(f"{name} of training, for one seed")


def _make_logarithmic(panel: "Axes", *, low: float, high: float) -> None:
    """A log scale whose marks are plain numbers."""
    from matplotlib.ticker import NullLocator

    panel.set_xscale("log")
    panel.set_xlim(low / 1.5, high * 1.5)
    decades = [10.0**power * step for power in range(-4, 7) for step in (1, 3)]
    marks = [mark for mark in decades if low / 1.5 <= mark <= high * 1.5]
    panel.set_xticks(marks, [f"{mark:g}" for mark in marks])
    panel.xaxis.set_minor_locator(NullLocator())


def _find_highest(paid: Sequence[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """The best point of each model, where its name stands; beside each dot the names would cover each other."""
    highest: dict[str, tuple[float, Point]] = {}
    for item in sorted(paid, key=lambda item: item[1].score):
        highest[item[1].cost.model] = item
    return list(highest.values())


def _find_best(paid: Sequence[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """Points that no other beats in both time and score, the quickest first."""
    best: list[tuple[float, Point]] = []
    for seconds, point in sorted(paid, key=lambda item: (item[0], -item[1].score)):
        if not best or point.score > best[-1][1].score:
            best.append((seconds, point))
    return best


def draw_scaling(findings: Findings, frame: Frame) -> "Figure | None":
    """Score over model size, a panel for each metric and a line for each way; nothing where all are of one size."""
    sizes = _find_sizes(list_costs(findings))
    if len(set(sizes.values())) < 2:
        return None
    metrics = list(dict.fromkeys(measure.metric for measure in findings.measures))
    figure, axes = _lay_out(len(metrics), frame, height=2.9)
    for panel, metric in zip(axes, metrics, strict=False):
        _draw_sizes(panel, list_points(findings, metric), sizes=sizes)
        panel.set_title(f"{title_metric(metric)}, mean over tracks", fontweight="bold")
    handles = {str(line.get_label()): line for panel in figure.axes for line in panel.lines if line.get_label()}
    shown = {name: line for name, line in handles.items() if not name.startswith("_")}
    figure.legend(handles=list(shown.values()), loc="outside upper left", ncols=6, frameon=False, fontsize=8)
    return figure


def _find_sizes(costs: Sequence[MethodCost]) -> Mapping[str, float]:
    """Parameters of each model: the least that any training counted, for adapters come on top."""
    sizes: dict[str, float] = {}
    for cost in costs:
        if cost.total_parameters:
            sizes[cost.model] = min(sizes.get(cost.model, cost.total_parameters), cost.total_parameters)
    return sizes


def _draw_sizes(panel: "Axes", points: Sequence[Point], *, sizes: Mapping[str, float]) -> None:
    from matplotlib.ticker import NullLocator

    ways = dict.fromkeys((point.cost.kind, point.cost.way) for point in points)
    for kind, way in ways:
        mine = sorted(
            (point for point in points if point.cost.way == way and point.cost.model in sizes),
            key=lambda point: sizes[point.cost.model],
        )
        alike = [other for of, other in ways if of == kind]
        xs, ys = [sizes[point.cost.model] for point in mine], [point.score for point in mine]
        panel.plot(xs, ys, color=choose_colour(kind), linestyle=DASHES[alike.index(way) % len(DASHES)], label=way)
        for x, point in zip(xs, mine, strict=True):
            panel.vlines(x, point.low, point.high, color=choose_colour(kind), linewidth=1.5, alpha=0.5)
            draw_dot(panel, (x, point.score), kind=kind, grouping=point.cost.grouping, filled=kind != "frozen")
    panel.set_xscale("log")
    marks = sorted(set(sizes.values()))
    panel.set_xticks(marks, [format_count(size) for size in marks])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("parameters")
    panel.margins(x=0.12)


def draw_correctness(findings: Findings, frame: Frame) -> "Figure | None":
    """pass@1 against lint messages beyond the reference's, a panel for each track that has both."""
    places = [place for place in findings.evidence.places if place.writes_code]
    found = {place: _list_correctness(findings, place) for place in places}
    found = {place: points for place, points in found.items() if points}
    if not found:
        return None
    figure, axes = _lay_out(len(found), frame, height=2.7)
    for panel, item in zip_longest(axes, found.items()):
        if item is None:
            panel.set_visible(False)
            continue
        place, points = item
        panel.axhline(0, color=PALETTE["soft"], linewidth=0.9, zorder=0.9)
        _draw_correctness(panel, points)
        panel.set_title(place.title, fontweight="bold")
        panel.set(xlabel="pass@1 %", ylabel=f"{_MESSAGES} per file,\nminus the reference's")
    shown = {arms[0].way: arms[0] for points in found.values() for arms, _, _ in points}
    ways = [(way, arm.kind, arm.grouping) for way, arm in shown.items()]
    add_legend(figure, ways, columns=6 if frame.across > 1 else 2)
    return figure


def _draw_correctness(panel: "Axes", points: Sequence[tuple[tuple[Arm, ...], float, float]]) -> None:
    several = len({arms[0].model for arms, _, _ in points}) > 1
    for arms, right, messages in points:
        first = arms[0]
        draw_dot(panel, (right, messages), kind=first.kind, grouping=first.grouping, filled=not first.is_frozen)
        if several:
            panel.annotate(first.model, (right, messages), xytext=(6, 3), textcoords="offset points", fontsize=7.5)
    panel.margins(x=0.15, y=0.2)
    low, high = panel.get_ylim()
    # Differences of a hundredth of a message would else look large.
    short = max(0.0, 1.0 - (high - low)) / 2
    panel.set_ylim(low - short, high + short)
    left, right_end = panel.get_xlim()
    short = max(0.0, 10.0 - (right_end - left)) / 2
    panel.set_xlim(left - short, right_end + short)


def _list_correctness(findings: Findings, place: Place) -> list[tuple[tuple[Arm, ...], float, float]]:
    """Each way's pass@1 and messages beyond the reference's, means over its seeds."""
    points = []
    for arms in group_ways(findings.evidence.arms).values():
        pairs = [pair for arm in arms if (pair := _read_correctness(findings, arm, place)) is not None]
        if pairs:
            points.append((arms, fmean(right for right, _ in pairs), fmean(messages for _, messages in pairs)))
    return points if len(points) > 1 else []


def _read_correctness(findings: Findings, arm: Arm, place: Place) -> tuple[float, float] | None:
    trial = arm.trial_for(place.track)
    rows: tuple[InstanceRow, ...] = findings.evidence.rows_at(trial, place) if trial else ()
    passed = estimate_pass(rows, k=1)
    if trial is None or not passed:
        return None
    ways = read_three_ways(rows, findings.evidence.cell_at(trial, place), HEADLINES[_MESSAGES])
    # What is left of a cell where hardly anything parses says nothing of the method.
    if ways.difference is None or ways.marked:
        return None
    return 100 * fmean(passed.values()), ways.difference.per_file


def _lay_out(count: int, frame: Frame, *, height: float) -> "tuple[Figure, Sequence[Axes]]":
    from matplotlib.figure import Figure

    most = max(1, frame.across - 1)
    across = min(most, count)
    down = -(-count // across)
    figure = Figure(figsize=(frame.width * min(1.0, (across + 0.6) / (most + 0.6)), height * down + 0.4))
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for panel in panels:
        panel.grid(visible=True, axis="both")
    for panel in panels[count:]:
        panel.set_visible(False)
    return figure, panels


__all__ = ["Point", "draw_correctness", "draw_frontier", "draw_scaling", "list_points"]
