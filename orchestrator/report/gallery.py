"""Every picture of a report by name: what draws it, its title and its caption.

One decision: the page, the exported files and MLflow read this one list, so a picture has one name, one title and
one caption wherever it stands.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.findings import Findings
from orchestrator.report.pictures import WIDE, Frame, drawing_style
from orchestrator.report.plots import draw_curves, draw_forest, draw_overview

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
        "filled where the difference holds after Holm's correction. Each panel has its own scale.",
    ),
    Drawing(
        name="curves",
        draw=draw_curves,
        title="Training",
        caption="Coloured: training loss. Black or white with dots: validation loss.",
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
