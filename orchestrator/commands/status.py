"""`polytune status`: how far a study is, from any terminal."""

import json
import sys
from typing import Annotated

import typer

from orchestrator.commands.cluster import ask_about
from orchestrator.commands.options import ClusterOption, JsonOption, SetOption, StudyArg, opened_as_run


def status(
    study: StudyArg,
    set_: SetOption = None,
    json_: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", help="Redraw while the study runs; Ctrl-C ends it.")] = False,
    cluster: ClusterOption = None,
) -> None:
    """Show each trial's stage, step, loss, tokens/s and time left, as the ledger has them now.

    Below them stands how fast all trainings and all generations go together; --json lists, for each trial that is
    being written for, the processes at it: their tokens/s, slots, slots in use and busy share.
    """
    if cluster:
        options = [name for name, wanted in (("--json", json_), ("--follow", follow)) if wanted]
        ask_about("status", study, cluster, *options, changes=set_)
    from rich.console import Console

    from orchestrator.commands.watch import ProgressReader, picture
    from orchestrator.commands.watch import follow as redraw
    from orchestrator.run.budget import stopped_because

    cells, ledger = opened_as_run(study, set_)
    name = cells.study.study
    look = ProgressReader(name, cells.trials, ledger)

    def since() -> float | None:
        driver = ledger.lease(name).holder()
        return driver.since if driver else None

    if json_:
        rows = [trial.as_json() for trial in look(live_since=since())]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    elif follow and Console().is_terminal:
        redraw(lambda: look(live_since=since()), wanted=lambda: since() is not None)
    else:
        Console(highlight=False).print(picture(look(live_since=since())))
    if not json_ and since() is None and (why := stopped_because(name, ledger)):
        sys.stdout.write(f"stopped: {why}\n")
