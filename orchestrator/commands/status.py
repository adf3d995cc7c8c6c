"""`polytune status`: how far a study is, from any terminal."""

import json
import sys
from typing import Annotated

import typer

from orchestrator.commands.options import JsonOption, SetOption, StudyArg, load


def status(
    study: StudyArg,
    set_: SetOption = None,
    json_: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", help="Redraw while the study runs; Ctrl-C ends it.")] = False,
) -> None:
    """Show each trial's stage, step, loss, tokens/s and time left, as the ledger has them now."""
    from rich.console import Console

    from orchestrator.ledger.studies import ledger_of
    from orchestrator.limits import stopped_because
    from orchestrator.study.cells import trials_of
    from orchestrator.watch import Look, picture
    from orchestrator.watch import follow as redraw

    loaded = load(study, set_)
    ledger = ledger_of(loaded)
    look = Look(trials_of(loaded), ledger)

    def since() -> float | None:
        driver = ledger.lease(loaded.study).holder()
        return driver.since if driver else None

    if json_:
        rows = [trial.as_json() for trial in look(live_since=since())]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    elif follow and sys.stdout.isatty():
        redraw(lambda: look(live_since=since()), wanted=lambda: since() is not None)
    else:
        Console(highlight=False).print(picture(look(live_since=since())))
    if not json_ and since() is None and (why := stopped_because(loaded.study, ledger)):
        sys.stdout.write(f"stopped: {why}\n")
