"""The plan of the page: which pictures and tables stand in which section, and which are folded.

One decision: a section that has nothing to show is left out with its entry in the contents, and a table that nobody
placed stands at the end rather than nowhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

FIRST_SCREEN = ("methods",)
"""Tables that stand beside the verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A picture or a table of a section, by name; what is folded a reader opens when needed."""

    kind: Literal["picture", "table"]
    name: str
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading of the page with what stands below it; `name` is its address."""

    name: str
    title: str
    entries: tuple[Entry, ...]


def _picture(name: str, *, folded: bool = False) -> Entry:
    return Entry(kind="picture", name=name, folded=folded)


def _table(name: str, *, folded: bool = False) -> Entry:
    return Entry(kind="table", name=name, folded=folded)


_PLAN: Mapping[tuple[str, str], tuple[Entry, ...]] = {
    ("scores", "Scores"): (
        _picture("overview"),
        _table("seeds"),
        _table("main"),
        _table("details", folded=True),
        _table("verdicts", folded=True),
    ),
    ("differences", "Differences"): (_picture("forest"), _table("comparisons", folded=True)),
    ("interference", "Interference"): (_picture("interference"), _table("interference", folded=True)),
    ("costs", "Cost"): (
        _picture("frontier"),
        _table("cost", folded=True),
        _table("training", folded=True),
        _table("generation", folded=True),
    ),
    ("size", "Model size"): (_picture("scaling"),),
    ("quality", "Code quality"): (
        _picture("correctness"),
        _table("quality", folded=True),
        _table("quality-detail", folded=True),
    ),
    ("health", "Health of the outputs"): (_table("health", folded=True),),
    ("curves", "Training"): (_picture("curves-by-track"), _picture("curves", folded=True)),
    ("troubles", "What did not run"): (_table("troubles"),),
}


def _fold(section: Section, name: str) -> Section:
    """The section with one of its tables folded."""
    entries = tuple(replace(entry, folded=entry.folded or entry.name == name) for entry in section.entries)
    return replace(section, entries=entries)


def list_sections(*, pictures: Iterable[str], tables: Iterable[str]) -> tuple[Section, ...]:
    """The sections that have something to show, each with that alone."""
    there = {("picture", name) for name in pictures} | {("table", name) for name in tables}
    sections = [
        Section(name=name, title=title, entries=tuple(entry for entry in entries if (entry.kind, entry.name) in there))
        for (name, title), entries in _PLAN.items()
    ]
    if ("table", "seeds") in there:
        # Single seeds are for whoever doubts the means over them.
        sections[0] = _fold(sections[0], "main")
    placed = {(entry.kind, entry.name) for entries in _PLAN.values() for entry in entries}
    rest = sorted(there - placed - {("table", name) for name in FIRST_SCREEN})
    others = tuple(_picture(name) if kind == "picture" else _table(name, folded=True) for kind, name in rest)
    return tuple(
        section for section in (*sections, Section(name="more", title="More", entries=others)) if section.entries
    )


__all__ = ["FIRST_SCREEN", "Entry", "Section", "list_sections"]
