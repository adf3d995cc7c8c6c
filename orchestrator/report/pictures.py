"""From a matplotlib figure to inline SVG that follows the page's colours, or to PNG.

One decision: figures are drawn in the light palette, and in the SVG each of its colours becomes the
CSS variable of that name. One drawing then serves light, dark and print.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from trainers.methods.table import METHODS, MethodKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE: Mapping[str, str] = {
    "ink": "#1d2129",
    "soft": "#5b636f",
    "rule": "#dfe2e7",
    "paper": "#fffffe",
    MethodKind.FROZEN: "#7d8590",
    MethodKind.QLORA: "#0a5fb0",
    MethodKind.LORA: "#2fa37c",
    MethodKind.FULL: "#c9520a",
    "other": "#6b2d7d",
    "gain": "#1f78c8",
    "loss": "#d9680f",
}
"""Colours by role; page.css holds the same names for light and for dark. No two may be equal.

Those of methods stay apart for readers who see no red, no green or no blue, which a test computes.
"""
MARKERS: Mapping[str, str] = {"together": "o", "apart": "D"}
"""The marker of a grouping, in every picture; what has a colour of its own has a shape of its own as well."""
DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
"""Lines of ways of one kind, which share a colour."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "polytune",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": PALETTE["ink"],
    "axes.edgecolor": PALETTE["rule"],
    "axes.labelcolor": PALETTE["soft"],
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": PALETTE["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": PALETTE["rule"],
    "xtick.labelcolor": PALETTE["soft"],
    "ytick.color": PALETTE["rule"],
    "ytick.labelcolor": PALETTE["ink"],
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.09,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Room for a figure: its width in inches (96 pixels each) and how many panels stand side by side."""

    width: float
    across: int


WIDE = Frame(width=11.5, across=4)
NARROW = Frame(width=4.6, across=1)
"""For telephones, one panel below the other; page.css says below which width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure drawn as SVG for wide and for narrow windows, with what it shows in words."""

    title: str
    caption: str
    wide: str
    narrow: str


@contextmanager
def drawing_style() -> Iterator[None]:
    """The style in which every figure is drawn; the caller's own settings come back after it."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def choose_colour(kind: str) -> str:
    """The colour that stands for a kind of method in every picture."""
    return PALETTE.get(kind if kind in METHODS else "other", PALETTE["other"])


def draw_dot(
    panel: "Axes", at: tuple[float, float], *, kind: str, grouping: str, filled: bool, size: float = 5.2
) -> None:
    """Put a way's marker somewhere; hollow where it stands for the frozen model or for what is not shown."""
    colour = choose_colour(kind)
    panel.plot([at[0]], [at[1]], MARKERS.get(grouping, "o"), markersize=size, color=colour, markeredgewidth=1.4,
               markerfacecolor=colour if filled else PALETTE["paper"])  # fmt: skip


def render_svg(figure: "Figure", *, name: str, title: str, description: str) -> str:
    """The figure as an `svg` element with unique ids, a title and a description for screen readers."""
    stream = StringIO()
    _settle(figure)
    figure.savefig(stream, format="svg", metadata={"Date": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for role, colour in PALETTE.items():
        svg = svg.replace(colour, f"var(--{role})")
    opening = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-description"'
        f' style="max-width:{figure.get_figwidth() * 96:.0f}px"'
    )
    said = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
    svg = re.sub(r"<svg([^>]*)>", lambda found: f"{opening}{found[1]}>{said}", svg, count=1)
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*"', _keep_start, svg, count=1)


def _settle(figure: "Figure") -> None:
    """Lay the figure out once; `savefig` would draw all of it a first time to do so."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def add_legend(figure: "Figure", ways: Iterable[tuple[str, str, str]], *, hollow: str = "", columns: int = 6) -> None:
    """Name the dots of ways (name, kind and grouping) above all panels; `hollow` says what hollow dots are."""
    from matplotlib.lines import Line2D

    looks = [(name, MARKERS.get(grouping, "o"), choose_colour(kind), kind) for name, kind, grouping in ways]
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, label=name, markeredgewidth=1.4,
               markerfacecolor=PALETTE["paper"] if kind == MethodKind.FROZEN else colour)
        for name, marker, colour, kind in looks
    ]  # fmt: skip
    if hollow:
        handles.append(
            Line2D([], [], linestyle="", marker="o", markeredgewidth=1.4, color=PALETTE["soft"],
                   markerfacecolor=PALETTE["paper"], label=hollow)
        )  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False, fontsize=8)


def _keep_start(found: re.Match[str]) -> str:
    """Drop the fixed size: the page scales the picture by its view box."""
    return re.sub(r' width="[^"]*"| height="[^"]*"', "", found[0])


def render_png(figure: "Figure") -> bytes:
    """The figure on white, for places that take no SVG."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=160, facecolor="white")
    return stream.getvalue()
