"""`polytune plan`: what would run and why, with what it is estimated to take.

One decision: what is planned is plain values; this is where they become lines on a terminal, or JSON.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.shapes import Estimate, Unknown
from orchestrator.commands.options import JsonOption, SetOption, StudyArg, opened
from orchestrator.commands.output import print_json
from orchestrator.plan.expected import format_size, format_time
from orchestrator.plan.guesses import BASIS
from orchestrator.plan.plan import PlannedTrial, refuse_what_does_not_fit
from orchestrator.study.stages import StageName

if TYPE_CHECKING:
    from rich.text import Text

    from orchestrator.ledger.ledger import Ledger
    from orchestrator.study.cells import Cells

EPILOG = "Example: polytune plan studies/paper-2601-15094.yaml --json"


def plan(
    study: StudyArg,
    set_: SetOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every file of finished stages, not only files below 64 MiB.")
    ] = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Look at each model's family and prompts, as a run does: some seconds each, no weights, kept.",
        ),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show what would run and why, with estimates. Needs no network and starts nothing."""
    show_plan(*opened(study, set_), verify=verify, probe=probe, as_json=json_)


def show_plan(cells: "Cells", ledger: "Ledger", *, as_json: bool, verify: bool = False, probe: bool = False) -> None:
    """Print a study's plan; refuse what no machine can run."""
    from orchestrator.run.planning import plan_study

    planned, notes = plan_study(cells, ledger, verify=verify, probing=probe)
    if as_json:
        print_json(plan_as_json(planned, notes=notes))
    else:
        print_plan(planned, notes=notes)
    refuse_what_does_not_fit(planned, here=False)


def plan_as_json(planned: Sequence[PlannedTrial], *, notes: Sequence[str] = ()) -> dict[str, Any]:
    """A plan as JSON data; `notes` are what else a person ought to know."""
    return {
        "notes": list(notes),
        "trials": [
            {
                "trial": p.trial.label,
                "tracks": list(p.trial.tracks),
                "unresolved": list(p.trial.unresolved()),
                "memory_bytes": _estimate_json(p.memory_bytes),
                "micro_tokens": p.passes and p.passes.micro_tokens,
                "gradient_checkpointing": p.passes and p.passes.gradient_checkpointing,
                "checkpoint_bytes": _estimate_json(p.checkpoint_bytes),
                "disk_bytes": _estimate_json(p.disk_bytes),
                "hours": _estimate_json(p.hours),
                "cost_usd": _estimate_json(p.cost),
                "refusal": p.refusal,
                "refused_here": list(p.asks_too_much),
                "stages": [
                    {
                        "stage": s.stage,
                        "action": s.action,
                        "reason": s.reason,
                        "key": s.key,
                        "hours": _estimate_json(s.hours),
                    }
                    for s in p.stages
                ],
            }
            for p in planned
        ],
    }


def _estimate_json(value: Estimate | Unknown) -> dict[str, Any]:
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    return {"value": value.value, "basis": value.basis, "guess": value.guess}


def print_plan(planned: Sequence[PlannedTrial], *, notes: Sequence[str] = ()) -> None:
    """Two lines a trial: what is estimated of its due stages, and each stage with the reason to run or skip it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for p in planned:
        label = Text(p.trial.label, style="bold")
        console.print(label.append(f"  {_estimates(p)}" if p.due else "  nothing to do", style="dim"))
        stages = _stage_line([(s.stage, s.action, s.reason) for s in p.stages])
        for part in stages.wrap(console, max(20, console.width - 4)):
            console.print(Text.assemble("    ", part))
        if p.refusal:
            console.print(Text(f"    does not fit: {p.refusal}", style="red"))
    for text in dict.fromkeys(text for p in planned for text in p.asks_too_much):
        console.print(Text(f"not on this machine: {text}", style="red"))
    for line in (*_unknowns(planned), *_guesses(planned), *(f"note: {note}" for note in notes)):
        console.print(Text(line))
    due = sum(len(p.due) for p in planned)
    total = sum(len(p.stages) for p in planned)
    console.print(f"{due} of {total} stages would run{_sums(planned)}")


def _estimates(p: PlannedTrial) -> str:
    """What a trial's due stages are estimated to need; a dash is explained below the plan."""
    trains = StageName.TRAIN in p.due
    parts = {
        "memory": _memory(p) if trains else "",
        "disk": _amount(p.disk_bytes, format_size),
        "checkpoints": _amount(p.checkpoint_bytes, format_size) if trains else "",
        "time": _amount(p.hours, _hours),
        "cost": _amount(p.cost, _usd) if isinstance(p.cost, Estimate) else "",
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value)


def _memory(p: PlannedTrial) -> str:
    """What a training takes on a device, and how it is cut into passes for that."""
    assert p.passes is not None, "what is trained has passes"
    again = ", recomputing" if p.passes.gradient_checkpointing else ""
    return f"{_amount(p.memory_bytes, format_size)} ({p.passes.micro_tokens} tokens a pass{again})"


def _amount(value: Estimate | Unknown, show: Callable[[float], str]) -> str:
    if isinstance(value, Unknown):
        return "-"
    return f"{'~' if value.guess else ''}{show(value.value)}"


def _hours(value: float) -> str:
    return format_time(value * 3600)


def _usd(value: float) -> str:
    return f"USD {value:.2f}"


def _sums(planned: Sequence[PlannedTrial]) -> str:
    """What all that is due takes together, as far as it is known; one after the other where it is time."""
    said = []
    for name, values, show in (
        ("disk", [p.disk_bytes for p in planned if p.due], format_size),
        ("time one after the other", [p.hours for p in planned if p.due], _hours),
        ("cost", [p.cost for p in planned if p.due], _usd),
    ):
        known = [value.value for value in values if isinstance(value, Estimate)]
        if known:
            unknown = len(values) - len(known)
            mark = "~" if any(isinstance(value, Estimate) and value.guess for value in values) else ""
            said.append(f"{name} {mark}{show(sum(known))}{f' and {unknown} unknown' if unknown else ''}")
    return f": {', '.join(said)}" if said else ""


def _stage_line(stages: Sequence[tuple[str, str, str]]) -> "Text":
    """`train run: new · generate run: after train`, with what would run standing out."""
    from rich.text import Text

    line = Text()
    for number, (stage, action, reason) in enumerate(stages):
        line.append(" · " if number else "", style="dim")
        line.append(stage, style="bold cyan" if action == "run" else "green")
        line.append(f" {reason}")
    return line


def _guesses(planned: Sequence[PlannedTrial]) -> list[str]:
    """What the mark of a guess means, where there is one."""
    shown = [value for p in planned if p.due for value in (p.hours, p.disk_bytes, p.cost)]
    if not any(isinstance(value, Estimate) and value.guess for value in shown):
        return []
    return [f"~ is {BASIS}: it may be off by several times; what this ledger measures takes its place"]


def _unknowns(planned: Sequence[PlannedTrial]) -> list[str]:
    """What is unknown or unpinned, each once."""
    unknown = [
        f"unknown: {what}: {value.reason}"
        for p in planned
        if p.due
        for what, value in (
            *((("memory", p.memory_bytes),) if StageName.TRAIN in p.due else ()),
            ("disk", p.disk_bytes),
            ("time", p.hours),
            *((("cost", p.cost),) if isinstance(p.hours, Estimate) and not p.hours.guess else ()),
        )
        if isinstance(value, Unknown)
    ]
    unpinned = [f"unresolved: {name} is not pinned to a revision" for p in planned for name in p.trial.unresolved()]
    return list(dict.fromkeys((*unknown, *unpinned)))
