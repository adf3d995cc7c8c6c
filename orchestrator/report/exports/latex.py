"""Text for LaTeX: what is escaped, how wide it will be, where it may break.

One decision: a table's shape is chosen before LaTeX runs, from widths estimated a little too large. A table that is
given more room than it needs looks fine; one that is given less runs into the margin.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from orchestrator.report.layout import ABSENT, MINUS

PACKAGES = ("array", "booktabs", "longtable")
"""What the tables need; all are part of every TeX distribution."""
COLUMN = 219.0
"""Width in points of one column of a two-column page: that of the ACL's template, the narrowest in wide use."""
PAGE = 345.0
"""Width in points of a page's text: that of LaTeX's own article, the narrowest in wide use."""
SIZE = 8.0
"""Points of `\\footnotesize`, in which tables are set."""
GAP = 3.0
"""Points on either side of a column (`\\tabcolsep`)."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    ABSENT: "--",
    MINUS: "$-$",
    "\N{NO-BREAK SPACE}": "~",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "χ": r"$\chi$",
    "²": r"\textsuperscript{2}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}
_ESCAPE = re.compile("|".join(map(re.escape, _SPECIAL)))
_LATIN = 0x180
"""Where the letters end that every LaTeX sets without further packages."""
_WIDTHS = {
    sign: ems
    for ems, signs in {
        0.3: "!',.:;<[]_`il\"",
        0.35: "fj- ",
        0.42: "I()rts",
        0.47: "cez",
        0.53: "$*/0123456789?>^ago{}~",
        0.59: "JkqvxySbdhnpu",
        0.69: "ZLF",
        0.77: "EPBCTw",
        0.83: "RAHNUVXYDGKOQ&+=@",
        0.89: "#%m",
        1.09: "MW|",
    }.items()
    for sign in signs
}
"""Widths of signs in ems of cmr8, the font of `\\footnotesize`, as TeX measures them, alike ones together."""
_UNKNOWN = 0.83
_ABOVE = r" \\ "
_BREAKS = re.compile(r"(?<=[/._\-,=])(?=\w)")


def escape(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    plain = "".join(_plain(sign) for sign in _tied(text))
    return _ESCAPE.sub(lambda found: _SPECIAL[found[0]], plain)


def _tied(text: str) -> str:
    """Text on one line, its units tied to their figures."""
    return " ".join(text.split()).replace(" %", "\N{NO-BREAK SPACE}%")


def _plain(sign: str) -> str:
    """A sign that LaTeX knows; an emoji or a Chinese letter in a name stops pdflatex."""
    if sign in _SPECIAL:
        return sign
    if ord(sign) < _LATIN:
        return sign if sign.isprintable() else "?"
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def escape_breakable(text: str) -> str:
    """The same, with breaks allowed inside long names such as paths."""
    return r"\allowbreak{}".join(escape(part) for part in _BREAKS.split(text))


def width_of(text: str, *, size: float = SIZE, bold: bool = False) -> float:
    """About how many points a line takes; rather too many than too few."""
    ems = sum(_WIDTHS.get(sign, _UNKNOWN) for sign in text)
    return 1.01 * ems * size * (1.15 if bold else 1.0)


def longest_part(text: str) -> float:
    """The width of the longest run that `escape_breakable` lets stand unbroken."""
    return max((width_of(part) for word in _tied(text).split(" ") for part in _BREAKS.split(word)), default=0.0)


def join_row(fields: Iterable[str]) -> str:
    """Fields as a row."""
    return " & ".join(fields) + r" \\"


def raised(text: str) -> str:
    """Text above the line; none where there is none."""
    return f"\\textsuperscript{{{text}}}" if text else ""


def stacked(lines: Sequence[str], *, mark: str = "") -> str:
    """Lines above each other in one cell, the last on the row's own line with what is raised behind it."""
    told = [escape(line) for line in lines]
    told[-1] += raised(mark)
    return told[0] if len(told) == 1 else rf"\shortstack{{{_ABOVE.join(told)}}}"


def needs() -> str:
    """The first line of every file: what it asks of the preamble."""
    return f"% needs \\usepackage{{{','.join(PACKAGES)}}}"


__all__ = [
    "COLUMN",
    "GAP",
    "PACKAGES",
    "PAGE",
    "SIZE",
    "escape",
    "escape_breakable",
    "join_row",
    "longest_part",
    "needs",
    "raised",
    "stacked",
    "width_of",
]
