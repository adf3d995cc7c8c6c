"""How trainings went: the loss of each way, as a whole and track by track.

One decision: a track's curves of all ways share one panel, because the question is which way learns that track
faster, not how one training looks.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from orchestrator.report.evidence import Arm, name_trial
from orchestrator.report.findings import Findings
from orchestrator.report.pictures import DASHES, PALETTE, Frame, choose_colour
from orchestrator.report.results import TrialOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 32
"""Trials above which nobody looks at a panel each."""
_SMOOTHED_OVER = 15
"""Of a track's training loss each point is the mean of this share of all points; single steps hold few examples."""


def draw_curves(findings: Findings, frame: Frame) -> "Figure | None":
    """Loss by step, a panel for each way and its tracks, a line for each seed; where tracks were not told apart."""
    trained = _group_curves(findings.evidence.arms)
    by_track = any("loss/" in name for of in trained.values() for point in of[0].curve for name in point)
    if not trained or by_track or len(trained) > _MOST_PANELS:
        return None
    figure, panels = _lay_out(len(trained), frame, height=1.85)
    for panel, title in zip_longest(panels, trained):
        if title is None:
            panel.set_visible(False)
            continue
        _draw_curves(panel, trained[title])
        panel.set_title(title, fontweight="bold")
    return figure


def draw_track_curves(findings: Findings, frame: Frame) -> "Figure | None":
    """Loss by step of each track: a panel for each model and track, a line for each way and seed."""
    places = [
        (model, track)
        for model in dict.fromkeys(arm.model for arm in findings.evidence.arms)
        for track in dict.fromkeys(place.track for place in findings.evidence.places)
        if any(_knows(trial, track) for arm in findings.evidence.arms if arm.model == model for trial in arm.trials)
    ]
    if not places or len(places) > _MOST_PANELS:
        return None
    several = len({model for model, _ in places}) > 1
    figure, panels = _lay_out(len(places), frame, height=1.95, alike=False)
    for panel, place in zip_longest(panels, places):
        if place is None:
            panel.set_visible(False)
            continue
        model, track = place
        _draw_ways(panel, [arm for arm in findings.evidence.arms if arm.model == model], track=track)
        panel.set_title(f"{model}\n{track}" if several else track, fontweight="bold")
    handles = {
        label: line for panel in figure.axes for line in panel.lines if (label := str(line.get_label()))[0] != "_"
    }
    figure.legend(handles=list(handles.values()), loc="outside upper left", ncols=4, frameon=False, fontsize=8)
    return figure


def _knows(trial: TrialOutcome, track: str) -> bool:
    return any(f"loss/{track}" in point or f"validation/loss/{track}" in point for point in trial.curve)


def _lay_out(count: int, frame: Frame, *, height: float, alike: bool = True) -> "tuple[Figure, Sequence[Axes]]":
    """A figure with as many panels as asked for, and those that fill its last line; of one scale if `alike`."""
    from matplotlib.figure import Figure

    across = min(frame.across, count)
    down = -(-count // across)
    figure = Figure(figsize=(frame.width * (across / frame.across) ** 0.5, height * down + 0.45))
    panels = list(figure.subplots(down, across, sharey=alike, squeeze=False).flat)
    for index, panel in enumerate(panels[:count]):
        panel.grid(visible=True, axis="y")
        panel.grid(visible=False, axis="x")
        panel.set_xlabel("step")
        if index % across == 0:
            panel.set_ylabel("loss")
    return figure, panels


def _group_curves(arms: Sequence[Arm]) -> Mapping[str, list[TrialOutcome]]:
    """Trials with a curve, by a title that leaves out the seed alone."""
    several = len({arm.model for arm in arms}) > 1
    found: dict[str, list[TrialOutcome]] = {}
    for arm in arms:
        for trial in arm.trials:
            title = name_trial(trial, head=f"{arm.model} · {arm.way}" if several else arm.way)
            if any("loss" in point for point in trial.curve):
                found.setdefault(title.replace(" · ", "\n"), []).append(trial)
    return found


def _draw_curves(panel: "Axes", trials: Sequence[TrialOutcome]) -> None:
    for trial in trials:
        panel.plot(*_list_points(trial, "loss"), color=choose_colour(trial.kind), linewidth=1.3, alpha=0.75)
        validation = _list_points(trial, "validation/loss")
        if validation[0]:
            panel.plot(*validation, color=PALETTE["ink"], linewidth=1.1, marker="o", markersize=2.8)


def _draw_ways(panel: "Axes", arms: Sequence[Arm], *, track: str) -> None:
    """A track's smoothed training loss as a line and its validation loss as dots, in each way's colour."""
    ways = list(dict.fromkeys((arm.kind, arm.way) for arm in arms))
    seen: set[str] = set()
    for arm in arms:
        trial = arm.trial_for(track)
        if trial is None or not _knows(trial, track):
            continue
        of_kind = [way for kind, way in ways if kind == arm.kind]
        look = {"color": choose_colour(arm.kind), "linestyle": DASHES[of_kind.index(arm.way) % len(DASHES)]}
        steps, losses = _list_points(trial, f"loss/{track}")
        label = f"_{arm.title}" if arm.way in seen else arm.way
        panel.plot(steps, _smooth(losses), linewidth=1.3, alpha=0.8, label=label, **look)
        validation = _list_points(trial, f"validation/loss/{track}")
        panel.plot(*validation, color=look["color"], linestyle="", marker="o", markersize=3.2)
        seen.add(arm.way)


def _smooth(values: Sequence[float]) -> list[float]:
    """A running mean over the values before, so that no point knows what comes after it."""
    window = max(1, len(values) // _SMOOTHED_OVER)
    return [sum(part) / len(part) for end in range(1, len(values) + 1) if (part := values[max(0, end - window) : end])]


def _list_points(trial: TrialOutcome, name: str) -> tuple[list[float], list[float]]:
    points = [(point["step"], point[name]) for point in trial.curve if name in point and "step" in point]
    return [step for step, _ in points], [value for _, value in points]


__all__ = ["draw_curves", "draw_track_curves"]
