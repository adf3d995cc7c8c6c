"""A report's table as LaTeX that breaks over pages and never runs into the margin.

One decision: columns that do not fit beside each other go into further blocks, each with its row labels, as in a
terminal; words wrap in a column of their own width. Nothing is made smaller until it cannot be read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from orchestrator.report.exports.latex import (
    GAP,
    PAGE,
    SIZE,
    escape,
    escape_breakable,
    join_row,
    longest_part,
    needs,
    raised,
    width_of,
)
from orchestrator.report.layout import Cell, Column, Table, is_text, number_notes, starts_as

_BESIDE_WORDS = 30.0
"""Points that all labels may take together beyond what one column of words may."""
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {"comparisons": ("first is", "p", "pairs")}
"""Columns that a printed table can do without, so that it stays in one block."""
_WORDS = range(130, 40, -10)
"""Points that a column of words may have, tried from the widest."""
_BESIDE = 2
"""Labels that stand beside figures; more of them head their rows."""
_BELOW = r" \\[-1pt] "
_SMALL = 0.95
"""What `\\scriptsize` takes of the size around it: its letters are broader for their height."""


def render_long(table: Table) -> str:
    """A table with its notes below it, in as many blocks as its width asks for."""
    table = number_notes(_leave_out(table))
    widths = _widths(table)
    blocks = list(_cut(table, widths))
    return "\n".join(
        [
            needs(),
            r"\begingroup\footnotesize",
            f"\\setlength{{\\tabcolsep}}{{{GAP:g}pt}}",
            r"\setlength{\LTcapwidth}{\linewidth}",
            *(line for number, block in enumerate(blocks) for line in _block(table, block, widths, first=not number)),
            *(
                f"\\noindent{{\\scriptsize {raised(str(n))} {escape_breakable(note)}}}\\par"
                for n, note in enumerate(table.notes, 1)
            ),
            r"\endgroup",
            "",
        ]
    )


def _leave_out(table: Table) -> Table:
    """A table without what the rest of it says, and CSV in full."""
    titles = _LEFT_OUT.get(table.name, ())
    kept = [index for index, column in enumerate(table.columns) if column.title not in titles]
    columns = tuple(table.columns[index] for index in kept)
    return replace(table, columns=columns, rows=tuple(tuple(row[index] for index in kept) for row in table.rows))


def _widths(table: Table) -> list[float]:
    """Points of each column's content; words wrap as little as the fewest blocks allow."""
    tried = [_widths_within(table, words=float(words)) for words in _WORDS]
    return min(tried, key=lambda widths: len(list(_cut(table, widths))))


def _widths_within(table: Table, *, words: float) -> list[float]:
    """The same for a width of words; the widest labels wrap until all labels leave room for figures."""
    start, end, cap = _heading_labels(table), table.label_count, words
    found = [_width(table, index, cap=words) for index in range(len(table.columns))]
    while cap > SIZE and sum(found[start:end]) + 2 * GAP * (end - start) > words + _BESIDE_WORDS:
        cap -= SIZE
        found[start:end] = [_width(table, index, cap=cap) for index in range(start, end)]
    return found


def _width(table: Table, index: int, *, cap: float) -> float:
    """Points of a column's content, of words at most `cap` unless one of them is longer."""
    column = table.columns[index]
    cells = [row[index] for row in table.rows]
    if _wraps(table, index):
        texts = [column.title, *(" ".join((cell.text, *cell.lines)) for cell in cells)]
        return max(max(map(longest_part, texts)), min(max(map(width_of, texts)), cap))
    members = sum(other.group == column.group for other in table.columns)
    heads = max(longest_part(column.title), longest_part(column.group) / members if column.group else 0.0)
    return max(heads, *(_cell_width(cell) for cell in cells))


def _cell_width(cell: Cell) -> float:
    beside = max((width_of(line) for line in cell.lines), default=0.0)
    return max(width_of(cell.text) + 0.75 * width_of(str(cell.mark or "")), _SMALL * beside)


def _wraps(table: Table, index: int) -> bool:
    """Whether a column holds words: labels, and texts in place of figures."""
    return table.columns[index].is_label or is_text(table, column=index)


def _heading_labels(table: Table) -> int:
    """How many labels, from the left, are headings above their rows: of many, all but the last."""
    return max(0, table.label_count - _BESIDE)


def _cut(table: Table, widths: Sequence[float]) -> Iterator[range]:
    """Runs of columns that fit beside the labels; at least one a block."""
    full = [width + 2 * GAP + 0.5 for width in widths]
    room = PAGE - sum(full[_heading_labels(table) : table.label_count])
    start, used = table.label_count, 0.0
    for index in range(table.label_count, len(full)):
        if used and used + full[index] > room:
            yield range(start, index)
            start, used = index, 0.0
        used += full[index]
    yield range(start, len(full))


def _block(table: Table, block: range, widths: Sequence[float], *, first: bool) -> Iterator[str]:
    shown = [*range(_heading_labels(table), table.label_count), *block]
    columns = [table.columns[index] for index in shown]
    places = "".join(_place(table, index, widths[index]) for index in shown)
    head = [r"\toprule", *_heads(table, shown, widths), r"\midrule"]
    title = escape(f"{table.title}. {table.caption}".strip())
    named = ", ".join(dict.fromkeys(column.group or column.title for column in columns if not column.is_label))
    yield f"\\begin{{longtable}}{{@{{}}{places}@{{}}}}"
    if first:
        yield f"\\caption{{{title}}}\\label{{tab:{table.name}}}\\\\"
    else:
        yield f"\\caption[]{{{escape(table.title)}, continued: {escape(named)}.}}\\\\"
    yield from (*head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot")
    above: tuple[Cell, ...] | None = None
    for row in table.rows:
        yield from _rows(table, row, above, widths={index: widths[index] for index in shown})
        above = row
    yield r"\end{longtable}"


def _place(table: Table, index: int, width: float) -> str:
    if _wraps(table, index):
        return f">{{\\raggedright\\arraybackslash}}p{{{width + 0.5:.1f}pt}}"
    return "r"


def _heads(table: Table, shown: Sequence[int], widths: Sequence[float]) -> Iterator[str]:
    """Headings, those that neighbours share above them; a long one wraps within its columns."""
    columns = [table.columns[index] for index in shown]
    if any(column.group for column in columns):
        yield from _group_heads(columns, [widths[index] for index in shown])
    yield join_row(
        [_head(column, widths[index], wraps=_wraps(table, index)) for column, index in zip(columns, shown, strict=True)]
    )


def _head(column: Column, width: float, *, wraps: bool) -> str:
    if wraps:
        return escape_breakable(column.title)
    if width_of(column.title) <= width:
        return escape(column.title)
    return f"\\multicolumn{{1}}{{>{{\\raggedleft\\arraybackslash}}p{{{width + 0.5:.1f}pt}}}}{{{escape(column.title)}}}"


def _group_heads(columns: Sequence[Column], widths: Sequence[float]) -> Iterator[str]:
    fields, rules, position = [], [], 1
    for group, members in groupby(zip(columns, widths, strict=True), key=lambda pair: pair[0].group):
        inside = [width for _, width in members]
        if not group:
            fields += [""] * len(inside)
        else:
            room = sum(inside) + 2 * GAP * (len(inside) - 1)
            fields.append(
                f"\\multicolumn{{{len(inside)}}}{{>{{\\centering\\arraybackslash}}p{{{room:.1f}pt}}}}"
                f"{{{escape_breakable(group)}}}"
            )
            rules.append(f"\\cmidrule(lr){{{position}-{position + len(inside) - 1}}}")
        position += len(inside)
    yield join_row(fields)
    yield " ".join(rules)


def _rows(
    table: Table, row: tuple[Cell, ...], above: tuple[Cell, ...] | None, *, widths: Mapping[int, float]
) -> Iterator[str]:
    """A row, below the heading that it and its neighbours share where a table has many labels."""
    heads = _heading_labels(table)
    if heads and (above is None or not starts_as(row, above, heads)):
        told = escape_breakable(", ".join(cell.text for cell in row[:heads]))
        room = sum(widths.values()) + 2 * GAP * (len(widths) - 1)
        place = f"@{{}}>{{\\raggedright\\arraybackslash}}p{{{room:.1f}pt}}"
        yield f"\\multicolumn{{{len(widths)}}}{{{place}}}{{\\emph{{{told}}}}} \\\\*"
    fields = []
    for index in widths:
        again = above is not None and index < table.label_count - 1 and starts_as(row, above, index + 1)
        fields.append("" if again else _entry(row[index], wraps=_wraps(table, index)))
    yield join_row(fields)


def _entry(cell: Cell, *, wraps: bool) -> str:
    """A cell; what stands below its figure is smaller, and words are written on."""
    mark = raised(str(cell.mark or ""))
    if wraps:
        return (
            escape_breakable(cell.text)
            + mark
            + "".join(f" {{\\scriptsize {escape_breakable(line)}}}" for line in cell.lines)
        )
    lines = [f"{escape(cell.text)}{mark}", *(f"\\scriptsize {escape(line)}" for line in cell.lines)]
    return lines[0] if len(lines) == 1 else f"\\begin{{tabular}}[t]{{@{{}}r@{{}}}}{_BELOW.join(lines)}\\end{{tabular}}"


__all__ = ["render_long"]
