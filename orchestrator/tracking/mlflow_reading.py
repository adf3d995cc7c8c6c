"""What a study left in MLflow, read back from its run or from that of one of its trials.

One decision: a run is named as people have it, by the id in its page's address or by its name, and every way in which
that can fail names what there is instead.
"""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from orchestrator.errors import PolytuneError
from orchestrator.redaction import without_secrets
from orchestrator.tracking.mlflow_runs import one_message
from orchestrator.tracking.replay import Kept
from orchestrator.tracking.uploads import STAGES_FILE, STUDY_FILE, TRIAL_FILE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_MOST_SHOWN = 5


def read_kept(run: str, *, uri: str, experiment: str | None = None) -> Kept:
    """The study that a run in MLflow belongs to.

    Args:
        run: The run's id, or its name: that of the study, or a trial's label.
        uri: Where MLflow is.
        experiment: The experiment to look for a name in, which is called like the study; all of them if None.

    Raises:
        PolytuneError: if there is no such run, or more than one, or it holds no study.
        TrackingUnavailable: if MLflow cannot be reached.
    """
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        # MLflow would make an empty one.
        raise PolytuneError(
            f"there is no MLflow database at {uri.removeprefix('sqlite:///')}; name a server or a database with "
            "--from or MLFLOW_TRACKING_URI, or run this where the study's storage is"
        )
    with one_message(uri):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        found = _find(client, run, experiment=experiment, uri=uri)
        parent = found.data.tags.get("mlflow.parentRunId")
        return Kept(
            run=f"{found.info.run_name} ({found.info.run_id})",
            study=_text(client, parent or found.info.run_id, STUDY_FILE, run=run),
            stages=_text(client, parent or found.info.run_id, STAGES_FILE, run=run),
            trial=_text(client, found.info.run_id, TRIAL_FILE, run=run) if parent else None,
        )


def _find(client: "MlflowClient", run: str, *, experiment: str | None, uri: str) -> "Run":
    from mlflow.exceptions import MlflowException

    places = _places(client, experiment, uri=uri)
    quoted = run.replace("'", "''")
    named = list(client.search_runs(places, filter_string=f"attributes.run_name = '{quoted}'")) if places else []
    if not named and experiment is None:
        try:
            return client.get_run(run)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    current = [found for found in named if found.data.tags.get("polytune.current") != "false"] or named
    if len(current) != 1:
        raise PolytuneError(_which(client, run, current, places=places, uri=uri))
    return current[0]


def _places(client: "MlflowClient", experiment: str | None, *, uri: str) -> list[str]:
    """The ids of the experiments to look in."""
    known = {found.name: str(found.experiment_id) for found in client.search_experiments()}
    if experiment is None:
        return list(known.values())
    if experiment not in known:
        near = difflib.get_close_matches(experiment, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there is: {', '.join(list(known)[:_MOST_SHOWN])}"
        raise PolytuneError(f"MLflow at {without_secrets(uri)} has no experiment {experiment!r}; {hint}")
    return [known[experiment]]


def _which(client: "MlflowClient", run: str, found: "Sequence[Run]", *, places: Sequence[str], uri: str) -> str:
    """What to say of a name that none or several runs have."""
    at = f"MLflow at {without_secrets(uri)}"
    if found:
        ids = ", ".join(one.info.run_id for one in found[:_MOST_SHOWN])
        return f"{at} has {len(found)} runs named {run!r}; name one by its id: {ids}, or give --experiment"
    names = {str(one.info.run_name) for one in client.search_runs(list(places), max_results=1000)} if places else set()
    near = difflib.get_close_matches(run, names, n=1)
    hint = f"did you mean {near[0]}?" if near else "a run's id stands in the address of its page, its name above it"
    return f"{at} has no run {run!r}; {hint}"


def _text(client: "MlflowClient", run_id: str, name: str, *, run: str) -> str:
    """An artifact as text."""
    if not any(file.path == name for file in client.list_artifacts(run_id)):
        mine = json.dumps(name)
        raise PolytuneError(
            f"run {run} has no artifact {mine}, so it is no run of Polytune, or of a version before it kept one; run "
            "`polytune track STUDY` where the study's ledger is, and replay then"
        )
    with TemporaryDirectory(prefix="polytune-") as folder:
        return Path(client.download_artifacts(run_id, name, folder)).read_text(encoding="utf-8")


__all__ = ["read_kept"]
