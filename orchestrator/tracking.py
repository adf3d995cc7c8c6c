"""MLflow as a projection of the ledger: runs, curves, scores and artifacts for its UI, never a second truth.

One decision: each call reads once what MLflow holds, compares it with what the ledger says it should
hold, and writes the difference. So a call may be repeated, cut off, or made against an empty server,
and always ends in the same runs. A run whose stages were made anew in the ledger is replaced whole,
since MLflow keeps every value that it was ever given.

    experiment STUDY
      run STUDY                          study.json, report.html
        run MODEL/METHOD[/GROUP]/SEED    params, curve, `TASK/LANGUAGE/METRIC`, adapter/, trial.json, summary.json
"""

import getpass
import json
import logging
import os
import sys
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from orchestrator.collect import collect
from orchestrator.errors import PolytuneError
from orchestrator.ledger import Ledger
from orchestrator.projection import (
    Picture,
    Point,
    State,
    Upload,
    study_picture,
    trial_digest,
    trial_picture,
)
from orchestrator.redaction import without_secrets
from orchestrator.study import Study
from orchestrator.trial import TrialSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_STUDY_RUN = "study"
# MLflow takes at most 1000 entities in a batch, tags among them.
_POINTS_PER_BATCH = 900
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow's own patience (7 retries of up to 120 s) would hold a study up for a server that is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A client of a server prints two lines for each run that it closes, where a command prints its JSON.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_STATUSES: dict[State, str] = {
    "done": "FINISHED",
    "failed": "FAILED",
    "training": "RUNNING",
    "interrupted": "KILLED",
    "waiting": "SCHEDULED",
}
_ENDED = ("FINISHED", "FAILED", "KILLED")


class TrackingUnavailable(PolytuneError):
    """MLflow cannot be read or written; the ledger has lost nothing, and `polytune track` catches up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What a call left behind: the study's trial runs in MLflow, and the curve rows that were new to it.

    `pages` are the parts of addresses, after the server's own, of the list of runs and of the page that
    compares all trials; empty while there are no runs.
    """

    runs: int
    rows: int
    pages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """An experiment and the runs that this ledger has in it, by the name that each goes by there."""

    client: "MlflowClient"
    experiment_id: str
    identity: dict[str, str]
    runs: dict[str, "Run"]


def tracking_uri(storage: Path) -> str:
    """Where MLflow keeps its runs: `MLFLOW_TRACKING_URI` if set, else a database beside the stages."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{storage.resolve() / 'mlflow.db'}"


def ui_command(uri: str, *, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that serves MLflow's UI on this machine alone, and what to add to its environment.

    The store's address travels in the environment: it may hold a password, and `ps` shows commands.

    Raises:
        TrackingUnavailable: if the address is a server's, which has a UI of its own.
    """
    if urlsplit(uri).scheme in ("http", "https"):
        raise TrackingUnavailable(f"MLflow is a server at {without_secrets(uri)}; open that address in a browser")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    if uri.startswith("sqlite:///"):
        command += ["--artifacts-destination", str(Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts")]
    return command, {**_QUIET, "MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def project(
    study: Study, trials: Sequence[TrialSpec], ledger: Ledger, *, uri: str, training: Collection[str] = ()
) -> Projection:
    """Bring MLflow up to date with the ledger: a run for the study, below it one for each trial begun.

    Args:
        study: The study, whose name is the experiment's.
        trials: All its trials; runs of others, left by an earlier wording of the study, are marked so.
        ledger: What has been done.
        uri: Where MLflow is, see `tracking_uri`.
        training: Labels of the trials that are being trained at this moment. A ledger cannot tell a
            live attempt from one whose process died; all other runs are closed.

    Raises:
        TrackingUnavailable: if MLflow cannot be reached or refuses what is written.
    """
    results = collect(study, trials, ledger)
    pictures = {
        trial_digest(trial): picture
        for trial, outcome in zip(trials, results.trials, strict=True)
        if (picture := trial_picture(trial, outcome, results, ledger, training=outcome.trial in training))
    }
    if not pictures:
        return Projection(runs=0, rows=0)
    whole = study_picture(study, ledger, tuple(pictures.values()))
    identity = {"polytune.study": study.study, "polytune.ledger": _ledger_id(study, ledger)}
    with _mlflow(uri) as client:
        store = _open(client, identity, artifacts=None if _is_server(uri) else ledger.storage / "mlartifacts")
        parent = _write(store, whole, name=_STUDY_RUN, links={})
        links = {"mlflow.parentRunId": parent.info.run_id}
        rows, ids = 0, []
        for digest, picture in pictures.items():
            run = _write(store, picture, name=digest, links={**links, "polytune.trial": digest})
            rows += len(picture.curve) - _rows_of(run)
            ids.append(run.info.run_id)
        _retire(store, keep={_STUDY_RUN, *pictures})
    return Projection(runs=len(pictures), rows=rows, pages=_pages(store.experiment_id, ids))


def _pages(experiment_id: str, run_ids: Sequence[str]) -> tuple[str, ...]:
    runs, experiments = (quote(json.dumps(ids, separators=(",", ":"))) for ids in (list(run_ids), [experiment_id]))
    return f"/#/experiments/{experiment_id}/runs", f"/#/compare-runs?runs={runs}&experiments={experiments}"


def _ledger_id(study: Study, ledger: Ledger) -> str:
    """What tells this ledger's runs from those that another sends to the same server; moves with it."""
    text = ledger.create_study_file(study.study, "tracking.json", json.dumps({"ledger": uuid.uuid4().hex}))
    return str(json.loads(text)["ledger"])


def _is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in ("http", "https") or uri.startswith("databricks")


@contextmanager
def _mlflow(uri: str) -> "Iterator[MlflowClient]":
    """A quiet, impatient client, whose every fault is one `TrackingUnavailable`."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for logger in ("alembic", "mlflow.store.db.utils", "mlflow.tracking", "urllib3.connectionpool"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield MlflowClient(tracking_uri=uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        answers = not isinstance(error.__context__, OSError)
        reason = without_secrets(str(error)).strip().partition("\n")[0][:300] if answers else "nothing answers there"
        # Without its cause: that may hold the address with its password.
        raise TrackingUnavailable(
            f"MLflow at {without_secrets(uri)} is not up to date: {reason}. The ledger holds "
            "everything: start MLflow there or change MLFLOW_TRACKING_URI, then run `polytune track STUDY`"
        ) from None


def _open(client: "MlflowClient", identity: dict[str, str], *, artifacts: Path | None) -> _Store:
    """The study's experiment, made or restored if need be, and this ledger's runs in it."""
    name = identity["polytune.study"]
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = artifacts.resolve().as_uri() if artifacts else None
        # Without this tag MLflow's pages open a study as a conversation with a language model.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        experiment_id = client.create_experiment(name, artifact_location=location, tags=kind)
        return _Store(client=client, experiment_id=experiment_id, identity=identity, runs={})
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    store = _Store(client=client, experiment_id=experiment.experiment_id, identity=identity, runs={})
    for run in _search(store):
        known = store.runs.setdefault(run.data.tags.get("polytune.trial", _STUDY_RUN), run)
        if known is not run:
            # Two processes projected at once; the older run stays.
            client.delete_run(run.info.run_id)
    return store


def _search(store: _Store) -> "Iterator[Run]":
    """This ledger's runs in the experiment, oldest first."""
    query, token = f"tags.`polytune.ledger` = '{store.identity['polytune.ledger']}'", None
    while True:
        page = store.client.search_runs(
            [store.experiment_id],
            filter_string=query,
            max_results=1000,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _write(store: _Store, picture: Picture, *, name: str, links: dict[str, str]) -> "Run":
    """Bring a run up to its picture; returns the run as it was before, bare if it is new."""
    run = store.runs.get(name)
    if run is not None and _is_outdated(run, picture):
        store.client.delete_run(run.info.run_id)
        run = None
    if run is None:
        run = _create(store, picture, links=links)
    _write_facts(store, run, picture, links=links)
    _write_curve(store, run, picture)
    missing = [point for point in picture.figures if point.key not in run.data.metrics]
    for start in range(0, len(missing), _POINTS_PER_BATCH):
        _log(store, run, missing[start : start + _POINTS_PER_BATCH])
    for upload in picture.uploads:
        _send(store, run, upload)
    _close(store, run, status=_STATUSES[picture.state], end_ms=picture.end_ms)
    return run


def _is_outdated(run: "Run", picture: Picture) -> bool:
    """Whether a run shows an attempt at a stage that is no longer the stage's result."""
    shown = {key: value for key, value in run.data.tags.items() if key.startswith("polytune.attempt.")}
    return any(picture.attempts.get(key) != value for key, value in shown.items())


def _create(store: _Store, picture: Picture, *, links: dict[str, str]) -> "Run":
    try:
        user = {"mlflow.user": getpass.getuser()}
    except (KeyError, OSError):  # A container may run under a number without a name.
        user = {}
    source = {"mlflow.source.name": "polytune", "mlflow.source.type": "LOCAL"}
    return store.client.create_run(
        store.experiment_id,
        start_time=picture.start_ms,
        tags={**store.identity, **links, **user, **source},
        run_name=picture.name,
    )


def _write_facts(store: _Store, run: "Run", picture: Picture, *, links: dict[str, str]) -> None:
    """Tags that differ and params that are missing, in one batch: a picture has some forty in all."""
    from mlflow.entities import Param, RunTag

    wanted = {**picture.tags, **picture.attempts, **links, "polytune.current": "true"}
    tags = [RunTag(key, value) for key, value in wanted.items() if run.data.tags.get(key, "") != value]
    params = [Param(key, value) for key, value in picture.params.items() if key not in run.data.params]
    if tags or params:
        store.client.log_batch(run.info.run_id, params=params, tags=tags)


def _rows_of(run: "Run") -> int:
    return int(run.data.tags.get("polytune.rows", "0"))


def _write_curve(store: _Store, run: "Run", picture: Picture) -> None:
    """Rows not yet written, whole rows in each batch, together with the count of those written so far.

    A call cut off between a batch and its count sends that batch again, with the same values and
    times; MLflow's databases keep one of equals.
    """
    batch: list[Point] = []
    for number, row in enumerate(picture.curve[_rows_of(run) :], start=_rows_of(run)):
        if len(batch) + len(row) > _POINTS_PER_BATCH:
            _log(store, run, batch, rows=number)
            batch = []
        batch.extend(row)
    if batch:
        _log(store, run, batch, rows=len(picture.curve))


def _log(store: _Store, run: "Run", points: Sequence[Point], *, rows: int | None = None) -> None:
    from mlflow.entities import Metric, RunTag

    metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in points]
    tags = [] if rows is None else [RunTag("polytune.rows", str(rows))]
    store.client.log_batch(run.info.run_id, metrics=metrics, tags=tags)


def _send(store: _Store, run: "Run", upload: Upload) -> None:
    """Write an artifact unless this very one is there; its mark is set last."""
    tag, run_id = f"polytune.file.{upload.name}", run.info.run_id
    if run.data.tags.get(tag) == upload.mark:
        return
    if isinstance(upload.source, str):
        store.client.log_text(run_id, upload.source, upload.name)
    elif upload.source.is_dir():
        store.client.log_artifacts(run_id, str(upload.source), upload.name)
    else:
        store.client.log_artifact(run_id, str(upload.source))
    store.client.set_tag(run_id, tag, upload.mark)


def _close(store: _Store, run: "Run", *, status: str, end_ms: int) -> None:
    """Give a run its status and, unless it goes on, its end."""
    if status in _ENDED:
        if (run.info.status, run.info.end_time) != (status, end_ms):
            store.client.set_terminated(run.info.run_id, status, end_ms)
    elif run.info.status != status:
        store.client.update_run(run.info.run_id, status=status)


def _retire(store: _Store, *, keep: set[str]) -> None:
    """Mark and close runs of trials that the study no longer has; they keep what they show."""
    for name, run in store.runs.items():
        if name in keep:
            continue
        if run.data.tags.get("polytune.current") != "false":
            store.client.set_tag(run.info.run_id, "polytune.current", "false")
        if run.info.status not in _ENDED:
            store.client.set_terminated(run.info.run_id, "KILLED")
