"""Every picture of a report by name: what draws it, its title and its caption.

One decision: the page, the exported files and MLflow read this one list, so a picture has one name, one title and
one caption wherever it stands.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.curves import draw_curves, draw_track_curves
from orchestrator.report.findings import Findings
from orchestrator.report.interference import draw_interference
from orchestrator.report.pictures import WIDE, Frame, drawing_style
from orchestrator.report.plots import draw_forest, draw_overview
from orchestrator.report.tradeoffs import draw_correctness, draw_frontier, draw_scaling

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One kind of picture. `draw` gives None where the study has nothing to show there."""

    name: str
    title: str
    caption: str
    draw: "Callable[[Findings, Frame], Figure | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A picture of one study: `name` is fit for a file."""

    name: str
    title: str
    caption: str
    figure: "Figure"


DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        name="overview",
        draw=draw_overview,
        title="Scores by method",
        caption="A dot is a mean over problems, its line the 95 % interval, the hollow dot and dashed line the frozen "
        "model. Circles: one model for all tasks; diamonds: one for each. Panels of one metric share their scale.",
    ),
    Drawing(
        name="forest",
        draw=draw_forest,
        title="Differences, problem by problem",
        caption="Right of zero favours the first. Lines are 95 % intervals of each difference by itself; a dot is "
        "filled where the difference holds after the correction of p-values. Each panel has its own scale.",
    ),
    Drawing(
        name="interference",
        draw=draw_interference,
        title="What training together does to each task",
        caption="Points that training all tasks together adds to each of them, paired by problem, with the 95 % "
        "interval over problems and seeds. Blue: the tasks help each other there; orange: they harm. Bold: the "
        "interval leaves out zero, before any correction for looking at several.",
    ),
    Drawing(
        name="frontier",
        draw=draw_frontier,
        title="Cost against score",
        caption="Each dot is a method, all its trainings together, with the range of its seeds where it has several. "
        "The grey line joins the methods that no other beats in both time and score. Scores do not begin at 0; "
        "frozen models cost no training.",
    ),
    Drawing(
        name="scaling",
        draw=draw_scaling,
        title="Model size",
        caption="Mean over tracks by parameters of the model, with the range of the seeds where there are several.",
    ),
    Drawing(
        name="correctness",
        draw=draw_correctness,
        title="Correct and tidy",
        caption="Right: more programs pass their tests. Down: fewer lint messages than the reference solutions to the "
        "same problems have. Messages that every snippet has by nature, such as a missing docstring, are left out; so "
        "are methods of which too few outputs parse.",
    ),
    Drawing(
        name="curves",
        draw=draw_curves,
        title="Training",
        caption="Coloured: training loss. Black or white with dots: validation loss.",
    ),
    Drawing(
        name="curves-by-track",
        draw=draw_track_curves,
        title="Training, track by track",
        caption="Lines: training loss, a running mean. Dots of the same colour: validation loss. A line for each seed.",
    ),
)
"""All pictures, in the order in which the page shows them."""


def list_pictures(findings: Findings, *, frame: Frame = WIDE) -> Iterator[Drawn]:
    """Draw every picture that the study can fill, one after the other; to be saved under `drawing_style`."""
    for drawing in DRAWINGS:
        with drawing_style():
            figure = drawing.draw(findings, frame)
        if figure is not None:
            yield Drawn(name=drawing.name, title=drawing.title, caption=drawing.caption, figure=figure)


__all__ = ["DRAWINGS", "Drawing", "Drawn", "list_pictures"]
