"""The small forest plot beside each verdict: its effect and interval on one axis that all verdicts share.

One decision: written as SVG by hand, because a line, a dot and a band need a few hundred bytes, and must stand in the
line of a table at the size of its text.
"""

from collections.abc import Sequence
from html import escape

from orchestrator.report.layout import format_number
from orchestrator.report.verdicts import Verdict

_WIDTH, _HEIGHT = 220, 20
_MIDDLE = _HEIGHT / 2
_COLOURS = {"better": "gain", "worse": "loss", "as good as": "gain"}
_MOST_MARGINS = 6
"""An axis never reaches further than this many margins, or what is near zero could not be told apart."""


def find_reach(verdicts: Sequence[Verdict]) -> float:
    """How far the shared axis goes to both sides of zero: all effects, and intervals unless they are very wide."""
    known = [verdict for verdict in verdicts if verdict.points is not None]
    widest = max((abs(end) for verdict in known if verdict.interval for end in verdict.interval), default=0.0)
    largest = max((abs(verdict.points or 0.0) for verdict in known), default=0.0)
    tracks = max((abs(effect.points) for verdict in known for effect in verdict.by_track), default=0.0)
    widest = max(widest, tracks)
    margin = max((verdict.margin for verdict in known), default=1.0)
    return max(1.15 * largest, min(1.05 * widest, _MOST_MARGINS * margin), 1.5 * margin)


def draw_strip(verdict: Verdict, *, reach: float) -> str:
    """One verdict's interval and effect, over the margin as a band; an arrow where the interval leaves the axis."""
    if verdict.points is None:
        return ""
    colour = f"var(--{_COLOURS.get(verdict.wording, 'soft')})"
    low, high = verdict.interval or (verdict.points, verdict.points)
    left, right = _place(low, reach), _place(high, reach)
    parts = [
        _band(verdict.margin, reach),
        f'<line x1="{_WIDTH / 2}" x2="{_WIDTH / 2}" y1="0" y2="{_HEIGHT}" stroke="var(--soft)"/>',
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{_MIDDLE}" y2="{_MIDDLE}" stroke="{colour}" stroke-width="2.5"/>',
        *([_arrow(0, 1, colour)] if low < -reach else []),
        *([_arrow(_WIDTH, -1, colour)] if high > reach else []),
        *(_tick(effect.points, reach) for effect in verdict.by_track if len(verdict.by_track) > 1),
        _dot(_place(verdict.points, reach), colour, filled=verdict.is_decided),
    ]
    return _frame(parts, _describe(verdict))


def draw_axis(reach: float) -> str:
    """The axis above the strips: its ends and zero."""
    ends = ((0, "start", -reach), (_WIDTH / 2, "middle", 0.0), (_WIDTH, "end", reach))
    digits = 0 if reach >= 3 else 1
    texts = [
        f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}" font-size="11" fill="var(--soft)">'
        f"{format_number(value, digits=digits, signed=True)}</text>"
        for x, anchor, value in ends
    ]
    return _frame(texts, "axis in points")


def _place(points: float, reach: float) -> float:
    return _WIDTH / 2 * (1 + max(-1.0, min(1.0, points / reach)))


def _band(margin: float, reach: float) -> str:
    left, right = _place(-margin, reach), _place(margin, reach)
    return f'<rect x="{left:.1f}" y="0" width="{right - left:.1f}" height="{_HEIGHT}" fill="var(--rule)" opacity=".7"/>'


def _tick(points: float, reach: float) -> str:
    x = _place(points, reach)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_HEIGHT - 4}" y2="{_HEIGHT}" stroke="var(--soft)" stroke-width="1.5"/>'
    )


def _dot(x: float, colour: str, *, filled: bool) -> str:
    fill = colour if filled else "var(--paper)"
    return f'<circle cx="{x:.1f}" cy="{_MIDDLE}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="2"/>'


def _arrow(x: float, direction: int, colour: str) -> str:
    back = x + 7 * direction
    return f'<path d="M{x},{_MIDDLE} L{back},{_MIDDLE - 5} L{back},{_MIDDLE + 5} Z" fill="{colour}"/>'


def _frame(parts: Sequence[str], words: str) -> str:
    body = "".join(parts)
    return f'<svg class="strip" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(words)}">{body}</svg>'


def _describe(verdict: Verdict) -> str:
    text = f"{format_number(verdict.points or 0.0, signed=True)} points"
    if verdict.interval:
        low, high = (format_number(end) for end in verdict.interval)
        text += f", interval {low} to {high}"
    return f"{text}, margin {verdict.margin:g}"


__all__ = ["draw_axis", "draw_strip", "find_reach"]
