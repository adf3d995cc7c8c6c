"""`polytune replay`: a study file from a run in MLflow."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.output import warn
from orchestrator.errors import PolytuneError

if TYPE_CHECKING:
    from orchestrator.tracking.replay import Replayed

EPILOG = "Example: polytune replay micro/qlora-together/seed0 --experiment quickstart --to again.yaml"


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id in MLflow, or its name: a study, or a trial.")],
    experiment: Annotated[
        str | None, typer.Option("--experiment", metavar="NAME", help="Where to look for a name: the study's name.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="A new file; without it, printed.")] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="ADDRESS", help="MLflow's address, if not MLFLOW_TRACKING_URI or ./runs."),
    ] = None,
) -> None:
    """Make a study file from a run in MLflow, that gives the same trials."""
    from orchestrator.study.schema import DEFAULT_STORAGE
    from orchestrator.tracking.mlflow_reading import read_kept
    from orchestrator.tracking.project import tracking_uri
    from orchestrator.tracking.replay import replay as make

    if to is not None and to.exists():
        raise PolytuneError(f"{to} is there, and a replay never overwrites; name another file, or remove it")
    made = make(read_kept(run, uri=from_ or tracking_uri(Path(DEFAULT_STORAGE)), experiment=experiment))
    if to is None:
        sys.stdout.write(made.text)
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(made.text, encoding="utf-8")
        sys.stdout.write(f"Written: {to}\n")
    _tell(made, name=str(to or "FILE"))


def _tell(made: "Replayed", *, name: str) -> None:
    """How the file's trials compare with those of the run, on standard error."""
    if made.unchecked:
        warn(f"whether its trials are those of the run was not looked at: {made.unchecked}")
    elif made.odd:
        shown = ", ".join(made.odd[:3]) + (", ..." if len(made.odd) > 3 else "")
        warn(
            f"{len(made.odd)} of {made.same + len(made.odd)} trials are not what they were, as data, models or code "
            f"have changed since: {shown}. `polytune plan {name}` says what would run"
        )
    else:
        from orchestrator.report.layout import count_nouns

        sys.stderr.write(f"{count_nouns(made.same, 'trial')}, with the keys of the run\n")


__all__ = ["EPILOG", "replay"]
