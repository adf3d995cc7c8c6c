"""The runs of one study in MLflow: read what is there, write what is missing. No other code talks to MLflow.

One decision: what a run already shows is read from MLflow itself, never remembered elsewhere, so a write
may be cut off anywhere and repeated. Each batch of a curve's rows carries, as a tag, the count of rows
written so far; MLflow's databases write the tag last and keep one of equal values, so a batch that was
written but not counted is sent again to no effect.
"""

import getpass
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import PolytuneError
from orchestrator.projection import Picture, Point, State, Upload
from orchestrator.secrets import redact

if TYPE_CHECKING:
    from mlflow.entities import Run

STUDY_RUN = "study"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow's own patience (7 retries of up to 120 s) would hold a study up for a server that is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A client of a server prints two lines for each run that it closes, where a command prints its JSON.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# MLflow takes at most 1000 entities in a batch, tags among them.
_POINTS_PER_BATCH = 900
_STATUSES: dict[State, str] = {
    "done": "FINISHED",
    "failed": "FAILED",
    "running": "RUNNING",
    "interrupted": "KILLED",
    "waiting": "SCHEDULED",
}
_ENDED = ("FINISHED", "FAILED", "KILLED")


class TrackingUnavailable(PolytuneError):
    """MLflow cannot be read or written; the ledger has lost nothing, and `polytune track` catches up."""


@contextmanager
def one_message(uri: str) -> Iterator[None]:
    """Turn whatever MLflow raises into one `TrackingUnavailable`."""
    _quieten()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        answers = not isinstance(error.__context__, OSError)
        reason = redact(str(error)).strip().partition("\n")[0][:300] if answers else "nothing answers there"
        # Without its cause: that may hold the address with its password.
        raise TrackingUnavailable(
            f"MLflow at {redact(uri)} is not up to date: {reason}. The ledger holds "
            "everything: start MLflow there or change MLFLOW_TRACKING_URI, then run `polytune track STUDY`"
        ) from None


def _quieten() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for logger in ("alembic", "mlflow.store.db.utils", "mlflow.tracking", "urllib3.connectionpool"):
        logging.getLogger(logger).setLevel(logging.ERROR)


class Store:
    """A study's experiment, and the runs that one ledger has in it, by the name that each goes by there."""

    def __init__(self, uri: str, *, study: str, ledger_id: str, artifacts: Path | None) -> None:
        """Open the experiment, made or restored if need be; `artifacts` is a folder, or None for the server's."""
        _quieten()
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=uri)
        self._ledger_id = ledger_id
        self._ids: dict[str, str] = {}
        self._read: dict[str, Run] = {}
        experiment = self._client.get_experiment_by_name(study)
        if experiment is None:
            location = artifacts.resolve().as_uri() if artifacts else None
            # Without this tag MLflow's pages open a study as a conversation with a language model.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            self.experiment_id = str(self._client.create_experiment(study, artifact_location=location, tags=kind))
            return
        self.experiment_id = str(experiment.experiment_id)
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(self.experiment_id)
        for run in self._search():
            name = run.data.tags.get("polytune.trial", STUDY_RUN)
            self._read.setdefault(name, run)
            if self._ids.setdefault(name, run.info.run_id) != run.info.run_id:
                # Two processes projected at once; the older run stays.
                self._client.delete_run(run.info.run_id)

    def _search(self) -> "Iterator[Run]":
        """This ledger's runs in the experiment, oldest first."""
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.`polytune.ledger` = '{self._ledger_id}'",
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def run_id(self, name: str) -> str:
        """The MLflow id of a run that was written."""
        return self._ids[name]

    def write(self, name: str, picture: Picture) -> int:
        """Bring a run up to its picture; returns how many rows of its curve were new."""
        run = self._current(name)
        if run is not None and _is_outdated(run, picture):
            # MLflow keeps every value that it was ever given, so other numbers need another run.
            self._client.delete_run(run.info.run_id)
            run = None
        links = {} if name == STUDY_RUN else {"polytune.trial": name, "mlflow.parentRunId": self.run_id(STUDY_RUN)}
        if run is None:
            run = self._create(picture, links=links)
            self._ids[name] = run.info.run_id
        self._write_facts(run, picture, links=links)
        rows = self._write_curve(run, picture)
        missing = [point for point in picture.figures if point.key not in run.data.metrics]
        for start in range(0, len(missing), _POINTS_PER_BATCH):
            self._log(run, missing[start : start + _POINTS_PER_BATCH])
        self._send(run, picture.uploads)
        self._close(run, status=_STATUSES[picture.state], end_ms=picture.end_ms)
        return rows

    def _current(self, name: str) -> "Run | None":
        """A run as MLflow has it now; None if it has none, or somebody deleted it there."""
        run = self._read.pop(name, None)
        if run is None and name in self._ids:
            run = self._client.get_run(self._ids[name])
        return run if run is not None and run.info.lifecycle_stage == "active" else None

    def _create(self, picture: Picture, *, links: dict[str, str]) -> "Run":
        try:
            user = {"mlflow.user": getpass.getuser()}
        except (KeyError, OSError):  # A container may run under a number without a name.
            user = {}
        source = {"mlflow.source.name": "polytune", "mlflow.source.type": "LOCAL"}
        return self._client.create_run(
            self.experiment_id,
            start_time=picture.start_ms,
            tags={"polytune.ledger": self._ledger_id, **links, **user, **source},
            run_name=redact(picture.name),
        )

    def _write_facts(self, run: "Run", picture: Picture, *, links: dict[str, str]) -> None:
        """Tags that differ and params that are missing, in one batch: a picture has some forty in all."""
        from mlflow.entities import Param, RunTag

        attempts = json.dumps(picture.attempts, sort_keys=True)
        wanted = {name: redact(value) for name, value in picture.tags.items()} | links
        wanted |= {"polytune.attempts": attempts, "polytune.current": "true"}
        tags = [RunTag(key, value) for key, value in wanted.items() if run.data.tags.get(key, "") != value]
        params = [Param(key, redact(value)) for key, value in picture.params.items() if key not in run.data.params]
        if tags or params:
            self._client.log_batch(run.info.run_id, params=params, tags=tags)

    def _write_curve(self, run: "Run", picture: Picture) -> int:
        """Rows not yet written, whole rows in each batch; returns their number.

        A training that was begun again repeats its first attempt's steps: the same spec, data and seed
        give the same values. A step is shown once, as the attempt that reached it first logged it.
        """
        attempts, counted = _curve_so_far(run)
        start = counted if picture.curve_attempt in attempts[-1:] else 0
        due = picture.curve[start:]
        if not due:
            return 0
        attempts = [*(a for a in attempts if a != picture.curve_attempt), picture.curve_attempt]
        if len(attempts) > 1:
            due = self._without_shown(run, due)
        batch: list[Point] = []
        for number, row in enumerate(due, start=start):
            if len(batch) + len(row) > _POINTS_PER_BATCH:
                self._log(run, batch, curve=f"{','.join(attempts)}:{number}")
                batch = []
            batch.extend(row)
        self._log(run, batch, curve=f"{','.join(attempts)}:{len(picture.curve)}")
        return sum(1 for row in due if row)

    def _without_shown(self, run: "Run", rows: Sequence[tuple[Point, ...]]) -> tuple[tuple[Point, ...], ...]:
        """The rows without the points whose step MLflow has; asked of it only where a training was begun again."""
        names = {point.key for row in rows for point in row}
        shown = {
            name: {metric.step for metric in self._client.get_metric_history(run.info.run_id, name)} for name in names
        }
        return tuple(tuple(point for point in row if point.step not in shown[point.key]) for row in rows)

    def _log(self, run: "Run", points: Sequence[Point], *, curve: str | None = None) -> None:
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in points]
        tags = [] if curve is None else [RunTag("polytune.curve", curve)]
        self._client.log_batch(run.info.run_id, metrics=metrics, tags=tags)

    def _send(self, run: "Run", uploads: Sequence[Upload]) -> None:
        """Write the artifacts that are not there yet; the mark of each is set after it."""
        marks: dict[str, str] = json.loads(run.data.tags.get("polytune.files", "{}"))
        for upload in uploads:
            if marks.get(upload.name) == upload.mark:
                continue
            if isinstance(upload.source, str):
                self._client.log_text(run.info.run_id, redact(upload.source), upload.name)
            elif upload.source.is_dir():
                self._client.log_artifacts(run.info.run_id, str(upload.source), upload.name)
            else:
                self._client.log_artifact(run.info.run_id, str(upload.source))
            marks[upload.name] = upload.mark
            self._client.set_tag(run.info.run_id, "polytune.files", json.dumps(marks))

    def _close(self, run: "Run", *, status: str, end_ms: int) -> None:
        """Give a run its status and, unless it goes on, its end."""
        if status in _ENDED:
            if (run.info.status, run.info.end_time) != (status, end_ms):
                self._client.set_terminated(run.info.run_id, status, end_ms)
        elif run.info.status != status:
            self._client.update_run(run.info.run_id, status=status)

    def retire(self, *, keep: set[str]) -> None:
        """Mark and close runs of trials that the study no longer has; they keep what they show."""
        for name in self._read.keys() - keep:
            run = self._read.pop(name)
            if run.data.tags.get("polytune.current") != "false":
                self._client.set_tag(run.info.run_id, "polytune.current", "false")
            if run.info.status not in _ENDED:
                self._client.set_terminated(run.info.run_id, "KILLED")


def _is_outdated(run: "Run", picture: Picture) -> bool:
    """Whether a run shows an attempt at a stage that is no longer the stage's result."""
    shown: dict[str, str] = json.loads(run.data.tags.get("polytune.attempts", "{}"))
    return any(picture.attempts.get(stage) != attempt for stage, attempt in shown.items())


def _curve_so_far(run: "Run") -> tuple[list[str], int]:
    """The attempts whose rows a run shows, oldest first, and how many rows of the last one were dealt with."""
    attempts, _, count = run.data.tags.get("polytune.curve", "").partition(":")
    return [attempt for attempt in attempts.split(",") if attempt], int(count or 0)
