"""`polytune samples`: what the models wrote, problem by problem, beside the reference.

One decision: each output is shown as its difference from the reference, and outputs that are the same are shown once;
a reader looks for what is wrong, and the reference stands above.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands.options import JsonOption, SetOption, StudyArg, opened_as_run
from orchestrator.commands.output import print_json, warn

if TYPE_CHECKING:
    from orchestrator.report.results import StudyResults
    from orchestrator.report.samples import Item, Samples

EPILOG = 'Example: polytune samples quickstart --where "qlora-apart passes and qlora-together fails"'


def samples(
    study: StudyArg,
    set_: SetOption = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only problems where this holds, as in 'a passes and not (b passes or b is empty)'. Names are the "
            "report's, or enough of them; states are passes, fails, unjudged, empty, cut, missing and verdicts.",
        ),
    ] = None,
    track: Annotated[str | None, typer.Option("--track", help="Only this track.")] = None,
    problem: Annotated[str | None, typer.Option("--problem", metavar="ID", help="Only this problem.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Show so many; 0 for all.")] = 5,
    json_: JsonOption = False,
) -> None:
    """Show what the models wrote: prompt, reference, and each output's difference from it, with its verdict."""
    from orchestrator.report.collect import collect
    from orchestrator.report.evidence import gather
    from orchestrator.report.samples import gather_samples

    cells, ledger = opened_as_run(study, set_)
    results = collect(cells.study, cells.trials, ledger)
    _check_track(results, track)
    evidence = gather(results)
    condition = _condition(where, evidence)
    found = gather_samples(evidence)
    matching = [
        item
        for item in found.items()
        if track in (None, item.place.track) and _is_problem(item, problem) and (condition is None or condition(item))
    ]
    _check_problem(found, problem, matching)
    shown = matching if limit == 0 else list(islice(matching, limit))
    for gap in found.gaps:
        warn(gap)
    if json_:
        print_json([_as_json(item, found) for item in shown])
    else:
        _print(shown, found)
    _say_count(len(shown), len(matching), sum(1 for _ in found.items()), json_=json_)


def _condition(where: str | None, evidence: Any) -> Any:
    from orchestrator.report.where import name_columns, parse_where

    return None if where is None else parse_where(where, name_columns(evidence))


def _check_track(results: "StudyResults", track: str | None) -> None:
    from orchestrator.errors import InputError

    known = dict.fromkeys(name for trial in results.trials for name in trial.tracks)
    if track is not None and track not in known:
        raise InputError(f"--track {track!r}: the study has no such track; it has: {', '.join(known)}")


def _is_problem(item: "Item", problem: str | None) -> bool:
    return problem is None or item.problem_id == problem or item.problem_id.endswith(f"/{problem}")


def _check_problem(found: "Samples", problem: str | None, matching: Sequence["Item"]) -> None:
    import difflib

    from orchestrator.errors import InputError

    if problem is None or matching or any(_is_problem(item, problem) for item in found.items()):
        return
    known = list(dict.fromkeys(item.problem_id for item in found.items()))
    close = difflib.get_close_matches(problem, known, n=3) or known[:3]
    hint = f"ids are like: {', '.join(close)}" if close else "nothing is written yet"
    raise InputError(f"--problem {problem!r}: the study has no problem of this id; {hint}")


def _as_json(item: "Item", found: "Samples") -> dict[str, Any]:
    trials = {arm.title: arm.trial_for(item.place.track) for arm in found.arms}
    return {
        "track": item.place.track,
        "dataset": item.place.dataset,
        "problem_id": item.problem_id,
        "sample": item.sample,
        "prompt": item.asked and item.asked.prompt,
        "reference": item.asked and item.asked.reference,
        "outputs": [
            {"method": title, "trial": trial.trial if (trial := trials[title]) else None, **asdict(output)}
            for title, output in item.outputs.items()
        ],
    }


def _print(shown: Sequence["Item"], found: "Samples") -> None:
    from rich.console import Console

    from orchestrator.commands.sampletext import draw_item

    console = Console(highlight=False, soft_wrap=True)
    for item in shown:
        for line in draw_item(item, found):
            console.print(line)


def _say_count(shown: int, matching: int, total: int, *, json_: bool) -> None:
    more = "; --limit 0 shows all" if shown < matching else ""
    stream = sys.stderr if json_ else sys.stdout
    if not total:
        stream.write("nothing is written yet; `polytune status` says how far the study is\n")
    else:
        stream.write(f"{shown} of {matching} matching shown, of {total} in the study{more}\n")


__all__ = ["EPILOG", "samples"]
