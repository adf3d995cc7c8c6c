"""The runs of one study in MLflow: read what is there, write what is missing. No other code talks to MLflow.

One decision: what a run already shows is read from MLflow itself, never remembered elsewhere, so a write
may be cut off anywhere and repeated. The last batch of a curve's rows carries, as a tag, the count of rows
written so far; MLflow's databases write the tag last and keep one of equal values, so a batch that was
written but not counted is sent again to no effect.
"""

import getpass
import json
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from orchestrator.errors import PolytuneError
from orchestrator.ledger.progress import State
from orchestrator.redaction import without_secrets
from orchestrator.tracking.figures import Point
from orchestrator.tracking.mlflow_registry import Registry
from orchestrator.tracking.runview import VIEW_VERSION, RunView
from orchestrator.tracking.uploads import ADAPTER, Upload
from orchestrator.tracking.winners import Winner

if TYPE_CHECKING:
    from mlflow.entities import Run

STUDY_RUN = "study"
_VERSION = "polytune.view"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow's own patience (7 retries of up to 120 s) would hold a study up for a server that is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A client of a server prints two lines for each run that it closes, where a command prints its JSON.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# MLflow takes at most 1000 entities in a batch, params and tags among them.
_POINTS_PER_BATCH = 900
_STATUSES: dict[State, str] = {
    State.DONE: "FINISHED",
    State.FAILED: "FAILED",
    State.RUNNING: "RUNNING",
    State.STOPPED: "KILLED",
    State.NOT_RUN: "FAILED",
    State.WAITING: "SCHEDULED",
}
_ENDED = ("FINISHED", "FAILED", "KILLED")
# Where a database keeps absolute places of artifacts.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


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
        reason = without_secrets(str(error)).strip().partition("\n")[0][:300] if answers else "nothing answers there"
        # Without its cause: that may hold the address with its password.
        # A full disk can leave a database half made, in which MLflow itself cannot go on.
        remedy = (
            "free its disk, and remove the file if it stays so" if uri.startswith("sqlite:") else "start MLflow there"
        )
        raise TrackingUnavailable(
            f"MLflow at {without_secrets(uri)} is not up to date: {reason}. The ledger holds "
            f"everything: {remedy} or change MLFLOW_TRACKING_URI, then run `polytune track STUDY`"
        ) from None


def _quieten() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for logger in ("alembic", "mlflow.store.db.utils", "mlflow.tracking", "urllib3.connectionpool"):
        logging.getLogger(logger).setLevel(logging.ERROR)


class MlflowRuns:
    """A study's experiment, and the runs that one ledger has in it, by the name that each goes by there."""

    def __init__(self, uri: str, *, study: str, ledger_id: str, artifacts: Path | None) -> None:
        """Open the experiment, made or restored if need be; `artifacts` is a folder, or None for the server's."""
        _quieten()
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=uri)
        self._ledger_id = ledger_id
        self._ids: dict[str, str] = {}
        self._read: dict[str, Run] = {}
        self._tags: dict[str, str] = {}
        experiment = self._client.get_experiment_by_name(study)
        if experiment is None:
            location = artifacts.resolve().as_uri() if artifacts else None
            # Without this tag MLflow's pages open a study as a conversation with a language model.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            self.experiment_id = str(self._client.create_experiment(study, artifact_location=location, tags=kind))
            return
        self.experiment_id, self._tags = str(experiment.experiment_id), dict(experiment.tags)
        if artifacts is not None:
            _follow_moved_artifacts(uri, experiment.artifact_location, artifacts.resolve().as_uri())
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

    def describe(self, question: str, *, views: Mapping[str, str]) -> None:
        """Let the experiment say what it asks, and offer views of its runs, as `savedviews.saved_views` makes them."""
        for name, value in ({"mlflow.note.content": without_secrets(question)} | dict(views)).items():
            if self._tags.get(name) != value:
                self._client.set_experiment_tag(self.experiment_id, name, value)
                self._tags[name] = value

    def shown(self, name: str, *, mark: str) -> "Mapping[str, float] | None":
        """The latest metrics of a run that `write` was done with when it was given this mark; None of any other."""
        run = self._read.get(name)
        tags = run.data.tags if run is not None and run.info.lifecycle_stage == "active" else {}
        if run is None or tags.get("polytune.shown") != mark or tags.get("polytune.current") != "true":
            return None
        metrics: Mapping[str, float] = run.data.metrics
        return metrics

    def registered(self, winner: Winner, *, mark: str) -> str | None:
        """The version that a winner was entered as with this mark; one that somebody deleted since stays deleted."""
        tag = self._client.get_run(self._ids[winner.run]).data.tags.get("polytune.registered", "")
        known, _, version = tag.partition(" ")
        return version if known == mark else None

    def register(self, winner: Winner, *, weights: str, card: Upload, mark: str) -> str:
        """Enter an adapter that a written run has as an artifact in the registry; returns its version."""
        run = self._client.get_run(self._ids[winner.run])
        self._send(run, [card])
        registry = Registry(self._client, ledger_id=self._ledger_id)
        source, text = f"{run.info.artifact_uri}/{ADAPTER}", str(card.source)
        version = registry.enter(winner, run_id=run.info.run_id, source=source, weights=weights, card=text)
        self._client.set_tag(run.info.run_id, "polytune.registered", f"{mark} {version}")
        return version

    def write(self, name: str, view: RunView, *, mark: str = "") -> int:
        """Bring a run up to its view; returns how many rows of its curve were new.

        `mark` is what `shown` knows it by afterwards, and is set when all else is.
        """
        run = self._current(name)
        if run is not None and (_is_outdated(run, view) or (name != STUDY_RUN and _is_of_other_version(run))):
            # MLflow keeps every value that it was ever given, so other numbers need another run.
            self._client.delete_run(run.info.run_id)
            run = None
        links = {} if name == STUDY_RUN else {"polytune.trial": name, "mlflow.parentRunId": self.run_id(STUDY_RUN)}
        if run is None:
            run = self._create(view, links=links)
            self._ids[name] = run.info.run_id
        rows, count = self._due_rows(run, view)
        figures = [point for point in view.figures if point.key not in run.data.metrics]
        self._log(run, [*figures, *chain.from_iterable(rows)], facts=_facts(run, view, links), count=count)
        self._send(run, view.uploads)
        self._close(run, status=_STATUSES[view.state], end_ms=view.end_ms)
        if mark and run.data.tags.get("polytune.shown") != mark:
            self._client.set_tag(run.info.run_id, "polytune.shown", mark)
        return sum(1 for row in rows if row)

    def _current(self, name: str) -> "Run | None":
        """A run as MLflow has it now; None if it has none, or somebody deleted it there."""
        run = self._read.pop(name, None)
        if run is None and name in self._ids:
            run = self._client.get_run(self._ids[name])
        return run if run is not None and run.info.lifecycle_stage == "active" else None

    def _create(self, view: RunView, *, links: dict[str, str]) -> "Run":
        try:
            user = {"mlflow.user": getpass.getuser()}
        except (KeyError, OSError):  # A container may run under a number without a name.
            user = {}
        source = {"mlflow.source.name": "polytune", "mlflow.source.type": "LOCAL"}
        return self._client.create_run(
            self.experiment_id,
            start_time=view.start_ms,
            tags={"polytune.ledger": self._ledger_id, _VERSION: str(VIEW_VERSION), **links, **user, **source},
            run_name=without_secrets(view.name),
        )

    def _due_rows(self, run: "Run", view: RunView) -> tuple[Sequence[tuple[Point, ...]], dict[str, str]]:
        """Rows of the curve that MLflow lacks, and the tag that counts all rows once these are written.

        A training that was begun again repeats its first attempt's steps: the same spec, data and seed
        give the same values. A step is shown once, as the attempt that reached it first logged it.
        """
        before, _, counted = run.data.tags.get("polytune.curve", "").partition(":")
        attempts = [attempt for attempt in before.split(",") if attempt]
        start = int(counted) if view.curve_attempt in attempts[-1:] else 0
        due: Sequence[tuple[Point, ...]] = view.curve[start:]
        if not due:
            return (), {}
        attempts = [*(a for a in attempts if a != view.curve_attempt), view.curve_attempt]
        if len(attempts) > 1:
            due = self._without_shown(run, due)
        return due, {"polytune.curve": f"{','.join(attempts)}:{len(view.curve)}"}

    def _without_shown(self, run: "Run", rows: Sequence[tuple[Point, ...]]) -> tuple[tuple[Point, ...], ...]:
        """The rows without the points whose step MLflow has; asked of it only where a training was begun again."""
        names = {point.key for row in rows for point in row}
        shown = {
            name: {metric.step for metric in self._client.get_metric_history(run.info.run_id, name)} for name in names
        }
        return tuple(tuple(point for point in row if point.step not in shown[point.key]) for row in rows)

    def _log(self, run: "Run", points: Sequence[Point], *, facts: "_Facts", count: dict[str, str]) -> None:
        """Write facts with the first batch, and the count of rows with the last, when all of them are there."""
        from mlflow.entities import Metric, Param, RunTag

        params, tags = facts
        for start in range(0, max(1, len(points)), _POINTS_PER_BATCH):
            batch = points[start : start + _POINTS_PER_BATCH]
            last = start + _POINTS_PER_BATCH >= len(points)
            first = start == 0
            told = (tags if first else {}) | (count if last else {})
            if batch or told or (first and params):
                self._client.log_batch(
                    run.info.run_id,
                    metrics=[Metric(point.key, point.value, point.time_ms, point.step) for point in batch],
                    params=[Param(*param) for param in params.items()] if first else [],
                    tags=[RunTag(*tag) for tag in told.items()],
                )

    def _send(self, run: "Run", uploads: Sequence[Upload]) -> None:
        """Write the artifacts that are not there yet; their marks are set after them."""
        marks: dict[str, str] = json.loads(run.data.tags.get("polytune.files", "{}"))
        sent: dict[str, str] = {}
        for upload in uploads:
            if marks.get(upload.name) == upload.mark:
                continue
            if isinstance(upload.source, str):
                self._client.log_text(run.info.run_id, without_secrets(upload.source), upload.name)
            elif not isinstance(upload.source, Path):
                with TemporaryDirectory(prefix="polytune-") as folder:
                    made = Path(folder) / upload.name
                    upload.source(made)
                    self._client.log_artifact(run.info.run_id, str(made))
            elif upload.source.is_dir():
                self._client.log_artifacts(run.info.run_id, str(upload.source), upload.name)
            else:
                self._client.log_artifact(run.info.run_id, str(upload.source))
            sent[upload.name] = upload.mark
        if sent:
            self._client.set_tag(run.info.run_id, "polytune.files", json.dumps(marks | sent))

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


def _follow_moved_artifacts(uri: str, before: str, now: str) -> None:
    """Let a database that was moved with its storage find its files, and write new ones, where they are now.

    MLflow keeps absolute places and offers no way to change them.
    """
    if before == now or not uri.startswith("sqlite:///"):
        return
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database, database:
        for table, column in _PLACES:
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR {column} LIKE ? || '/%'",
                (now, len(before) + 1, before, before),
            )


def _is_outdated(run: "Run", view: RunView) -> bool:
    """Whether a run shows an attempt at a stage that is no longer the stage's result."""
    shown: dict[str, str] = json.loads(run.data.tags.get("polytune.attempts", "{}"))
    return any(view.attempts.get(stage) != attempt for stage, attempt in shown.items())


def _is_of_other_version(run: "Run") -> bool:
    """Whether a run was written by a version to which the same names of metrics meant other numbers."""
    return run.data.tags.get(_VERSION) != str(VIEW_VERSION)


_Facts = tuple[dict[str, str], dict[str, str]]


def _facts(run: "Run", view: RunView, links: dict[str, str]) -> _Facts:
    """Params that a run lacks, and tags that differ."""
    wanted = {name: without_secrets(value) for name, value in view.tags.items()} | links
    wanted |= {"polytune.attempts": json.dumps(view.attempts, sort_keys=True), "polytune.current": "true"}
    params = {key: without_secrets(value) for key, value in view.params.items() if key not in run.data.params}
    return params, {key: value for key, value in wanted.items() if run.data.tags.get(key, "") != value}
