"""How `polytune samples` draws a problem and its outputs on a terminal.

One decision: every text of a study becomes visible characters before it is drawn, and is drawn without markup, so that
nothing that a model wrote acts on the terminal.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator.report.visible import make_visible

if TYPE_CHECKING:
    from rich.text import Text

    from orchestrator.report.samples import Item, Output, Samples

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_STYLES = {"passed": "green", "unjudged": "yellow"}


def draw_item(item: "Item", found: "Samples") -> Iterator["Text"]:
    """A problem's head, prompt and reference, then each different output with whose it is."""
    from rich.text import Text

    from tasks.prompts import system_line
    from tasks.records import Track

    number = f"  sample {item.sample}" if any_sampled(item) else ""
    yield Text(f"{make_visible(item.problem_id)}{number}", style="bold").append(f"  {item.place.title}", style="dim")
    if item.asked is not None:
        yield _section("prompt", system_line(Track.parse(item.place.track)))
        yield _block(item.asked.prompt)
        yield _section("reference")
        yield _block(item.asked.reference)
    reference = item.asked.reference if item.asked else None
    for text, titles in _group(item).items():
        yield from _draw_output(item, text, titles, reference=reference)
    yield Text("")


def any_sampled(item: "Item") -> bool:
    """Whether a problem was asked several times, as far as this item tells."""
    return item.sample > 0


def _section(title: str, note: str = "") -> "Text":
    from rich.text import Text

    return Text(f"  {title}", style="cyan").append(f"  {note}", style="dim")


def _block(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text("\n".join(f"    {line}" for line in make_visible(text).split("\n")), style=style)


def _group(item: "Item") -> dict[str | None, list[str]]:
    """The arms' titles behind each different text, in the order of the report."""
    groups: dict[str | None, list[str]] = {}
    for title, output in item.outputs.items():
        groups.setdefault(output.text, []).append(title)
    return groups


def _alike(item: "Item", titles: Sequence[str]) -> list[tuple["Output", list[str]]]:
    """Arms of which all is the same, said once."""
    groups: list[tuple[Output, list[str]]] = []
    for title in titles:
        output = item.outputs[title]
        for found, same in groups:
            if found == output:
                same.append(title)
                break
        else:
            groups.append((output, [title]))
    return groups


def _draw_output(item: "Item", text: str | None, titles: Sequence[str], *, reference: str | None) -> Iterator["Text"]:
    from rich.text import Text

    for output, same in _alike(item, titles):
        yield _head(", ".join(same), output)
    if text is None:
        yield _block("(what it wrote is not recorded)", style="dim")
    elif not text.strip():
        yield _block("(nothing)", style="dim")
    elif text == reference:
        yield _block("(the reference, letter by letter)", style="dim")
    elif reference is None:
        yield _block(text)
    else:
        yield Text("\n").join(draw_difference(reference, text))


def _head(title: str, output: "Output") -> "Text":
    from rich.text import Text

    verdict = output.verdict or ("" if output.scored else "not scored yet")
    line = Text(f"  {make_visible(title)}", style="bold")
    line.append(f"  {verdict.replace('_', ' ')}", style=_STYLES.get(verdict, "red") if output.scored else "dim")
    if output.detail:
        line.append(f": {make_visible(output.detail)}")
    facts = [f"{name} {value:.1f}" for name, value in output.scores.items() if not name.startswith("codebleu_")]
    facts += ["cut off at the limit of tokens"] if output.finish == "length" else []
    if facts:
        line.append(f"  {', '.join(facts)}", style="dim")
    if output.messages:
        said = [name if count == 1 else f"{name} x{count:g}" for name, count in output.messages.items()]
        line.append(f"\n    {', '.join(said)}", style="dim")
    return line


def draw_difference(reference: str, text: str) -> Iterator["Text"]:
    """The lines of a text against those of its reference: `-` stands in the reference alone, `+` in the text alone."""
    from rich.text import Text

    old, new = make_visible(reference).split("\n"), make_visible(text).split("\n")
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, start, end, begin, stop in matcher.get_opcodes():
        if kind == "equal":
            yield from (Text(f"      {line}", style="dim") for line in old[start:end])
            continue
        removed, added = old[start:end], new[begin:stop]
        pairs = list(zip(removed, added, strict=False)) if len(removed) == len(added) else []
        others = dict(pairs)
        partners = {new_line: old_line for old_line, new_line in pairs}
        yield from (_changed("-", "red", line, others.get(line)) for line in removed)
        yield from (_changed("+", "green", line, partners.get(line)) for line in added)


def _changed(mark: str, colour: str, line: str, partner: str | None) -> "Text":
    """A line that stands on one side; what differs from the line in its place is underlined."""
    from rich.text import Text

    drawn = Text(f"    {mark} ", style=colour)
    if partner is None:
        return drawn.append(line)
    tokens, others = _TOKEN.findall(line), _TOKEN.findall(partner)
    matcher = difflib.SequenceMatcher(a=tokens, b=others, autojunk=False)
    for kind, start, end, _, _ in matcher.get_opcodes():
        drawn.append("".join(tokens[start:end]), style="" if kind == "equal" else "underline")
    return drawn


__all__ = ["draw_difference", "draw_item"]
