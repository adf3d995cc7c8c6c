"""Plans, prompts and checks as tables on a terminal.

One decision: what commands compute is plain values; this is where they become pictures.
"""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.plan import PlannedTrial
from trainers.memory import Estimate, Unknown

_GIB = 2**30


def plan_as_json(planned: Sequence[PlannedTrial]) -> dict[str, Any]:
    """A plan as JSON data."""
    return {
        "trials": [
            {
                "trial": p.trial.label,
                "tracks": list(p.trial.tracks),
                "unresolved": list(p.trial.unresolved()),
                "memory_bytes": _estimate_json(p.memory_bytes),
                "hours": _estimate_json(p.hours),
                "stages": [{"stage": s.stage, "action": s.action, "reason": s.reason, "key": s.key} for s in p.stages],
            }
            for p in planned
        ]
    }


def _estimate_json(value: Estimate | Unknown) -> dict[str, Any]:
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    return {"value": value.value, "basis": value.basis}


def print_plan(planned: Sequence[PlannedTrial]) -> None:
    """Two lines a trial: its estimates, and each stage with the reason to run or skip it."""
    console = Console(highlight=False)
    for p in planned:
        memory = f"{p.memory_bytes.value / _GIB:.1f} GiB" if isinstance(p.memory_bytes, Estimate) else "-"
        hours = f"{p.hours.value:.2f} h" if isinstance(p.hours, Estimate) else "-"
        console.print(Text(p.trial.label, style="bold").append(f"  memory {memory}, training {hours}", style="dim"))
        console.print(_stage_line([(s.stage, s.action, s.reason) for s in p.stages]))
    for line in _unknowns(planned):
        console.print(Text(line))
    due = sum(len(p.due) for p in planned)
    total = sum(len(p.stages) for p in planned)
    console.print(f"{due} of {total} stages would run")


def _stage_line(stages: Sequence[tuple[str, str, str]]) -> Text:
    """`train run: new · generate run: after train`, with what would run standing out."""
    line = Text("    ")
    for number, (stage, action, reason) in enumerate(stages):
        line.append(" · " if number else "", style="dim")
        line.append(stage, style="bold cyan" if action == "run" else "green")
        line.append(f" {reason}")
    return line


def _unknowns(planned: Sequence[PlannedTrial]) -> list[str]:
    """What is unknown or unpinned, each once."""
    unknown = [
        f"unknown: {what}: {value.reason}"
        for p in planned
        if p.trial.training is not None
        for what, value in (("memory", p.memory_bytes), ("hours", p.hours))
        if isinstance(value, Unknown)
    ]
    unpinned = [f"unresolved: {name} is not pinned to a revision" for p in planned for name in p.trial.unresolved()]
    return list(dict.fromkeys((*unknown, *unpinned)))


def print_shown(examples: Sequence[Any]) -> None:
    """Prompts and answers as a model sees them; tokens that carry loss are underlined."""
    console = Console()
    for example in examples:
        console.rule(Text(f"{example.track}  {example.id}"), align="left")
        text = Text()
        for token in example.tokens:
            text.append(token.text, style="bold underline" if token.loss else "dim")
        console.print(text)
        console.print(Text(example.note, style="dim"))


def _add_row(table: Table, *cells: str | Text) -> None:
    """A row of plain text: causes and labels may hold brackets, which rich would read as markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def print_checks(checks: Sequence[Any]) -> None:
    """What this machine can do, worst news in red."""
    table = Table()
    for column in ("what", "state", "detail", "remedy"):
        table.add_column(column, overflow="fold")
    styles = {"ok": "green", "limited": "yellow", "missing": "red"}
    for check in checks:
        _add_row(table, check.name, Text(check.state, style=styles[check.state]), check.detail, check.remedy)
    Console().print(table)
