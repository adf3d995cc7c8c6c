"""Arguments that several commands share, so that each means and says the same everywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.ledger.ledger import Ledger
    from orchestrator.study.cells import Cells
    from orchestrator.study.schema import Study

# `polytune on-head` reads a request of another machine; it is no command for people, so `--help` does not show it.
ON_HEAD = "on-head"
STUDY_HELP = "A study file, or a study that was run: its NAME in ./runs, or STORAGE/NAME."
StudyArg = Annotated[str, typer.Argument(metavar="STUDY", help=STUDY_HELP)]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
ClusterOption = Annotated[
    Path | None,
    typer.Option("--cluster", metavar="FILE", help="Ask the head of the cluster of this file, where STUDY was sent."),
]
TrialOption = Annotated[str | None, typer.Option("--trial", help="The trial's label, as `plan` prints it.")]


def load(study: str, changes: list[str] | None = None) -> "Study":
    """A study from its file, or by its name in a ledger: in `runs` here, or STORAGE/NAME."""
    from orchestrator.ledger.studies import find_study

    return find_study(study, changes=changes or [])


def opened(study: str, changes: list[str] | None = None) -> "tuple[Cells, Ledger]":
    """A study's cells, with what its searches found, and its ledger."""
    from orchestrator.run.opening import open_study

    return open_study(study, changes=changes or [])


def opened_as_run(study: str, changes: list[str] | None = None) -> "tuple[Cells, Ledger]":
    """A study's cells by the keys under which they were run, and its ledger; for looking at it, not for running it."""
    from orchestrator.commands.output import warn
    from orchestrator.run.opening import open_as_run

    cells, ledger, outdated = open_as_run(study, changes=changes or [])
    if outdated:
        warn(
            "shown as it was run; code or data have changed since, and `polytune plan` says what a run would make anew"
        )
    return cells, ledger


def choose_trial(labels: list[str], label: str | None) -> str:
    """The label, if it is one of them.

    Raises:
        PolytuneError: with the labels there are, if it is none.
    """
    if label not in labels:
        from orchestrator.errors import PolytuneError

        given = f"no trial {label!r}" if label else "--trial is needed"
        raise PolytuneError(f"{given}; the trials are:\n  " + "\n  ".join(labels))
    return str(label)
