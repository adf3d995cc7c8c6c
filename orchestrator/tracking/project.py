"""MLflow as a projection of the ledger: runs, curves, scores and artifacts for its UI, never a second truth.

One decision: a call compares what the ledger says with what MLflow holds, and writes the difference. So a
call may be repeated, cut off, or made against an empty server, and always ends in the same runs; while a
study runs, a thread of its driver makes such a call every few seconds, and training waits for none.

    experiment STUDY
      run STUDY                          study.json, report.html, samples.jsonl.gz
        run MODEL/METHOD[/GROUP]/SEED    params, `train/...` curves, scores, adapter/, trial.json, tracks.json
    registered model STUDY.MODEL.TASKS   the best adapter of these tasks, as version and alias `best`
"""

import json
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from urllib.parse import quote, urlsplit

from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.progress import State
from orchestrator.provenance import version
from orchestrator.redaction import without_secrets
from orchestrator.report.modelcard import model_card
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.figures import PASS
from orchestrator.tracking.mlflow_runs import QUIET, STUDY_RUN, MlflowRuns, TrackingUnavailable, one_message
from orchestrator.tracking.runview import (
    VIEW_VERSION,
    Glance,
    RunView,
    glance,
    study_view,
    trial_digest,
    trial_view,
)
from orchestrator.tracking.savedviews import CHARTS, SCORES, make_offer, saved_views
from orchestrator.tracking.settings import varying
from orchestrator.tracking.uploads import ADAPTER, answers, text_upload, wordings
from orchestrator.tracking.winners import Standing, Winner, choose_winners

__all__ = ["Projection", "Projector", "TrackingUnavailable", "project", "tracking_uri", "ui_command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What a call left behind: the study's trial runs in MLflow, and the curve rows that were new to it.

    `pages` are, by what they show, the parts of addresses after the server's own; empty while there are no runs.
    `registered` are the versions of the study's best adapters, by their names in the registry.
    """

    runs: int
    rows: int
    pages: Mapping[str, str] = field(default_factory=dict)
    registered: Mapping[str, str] = field(default_factory=dict)


def tracking_uri(storage: Path) -> str:
    """Where MLflow keeps its runs: `MLFLOW_TRACKING_URI` if set, else a database beside the stages."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{storage.resolve() / 'mlflow.db'}"


def ui_command(uri: str, *, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that serves MLflow's UI on this machine alone, and what to add to its environment.

    The store's address travels in the environment: it may hold a password, and `ps` shows commands.

    Raises:
        TrackingUnavailable: if the address is a server's, which has a UI of its own.
    """
    if _is_server(uri):
        raise TrackingUnavailable(f"MLflow is a server at {without_secrets(uri)}; open that address in a browser")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    if uri.startswith("sqlite:///"):
        command += ["--artifacts-destination", str(Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts")]
    return command, {**QUIET, "MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def project(
    study: Study, trials: Sequence[TrialSpec], ledger: Ledger, *, uri: str, live_since: float | None = None
) -> Projection:
    """Bring MLflow up to date with the ledger: a run for the study, below it one for each trial begun.

    Args:
        study: The study, whose name is the experiment's.
        trials: All its trials; runs of others, left by an earlier wording of the study, are marked so.
        ledger: What has been done.
        uri: Where MLflow is, see `tracking_uri`.
        live_since: When the driver that is at work now began, if there is one; what was begun earlier
            and not finished is closed.

    Raises:
        TrackingUnavailable: if MLflow cannot be reached or refuses what is written.
    """
    return Projector(study, trials, ledger, uri=uri).update(live_since=live_since)


class Projector:
    """Repeated projections of one study: each looks only at trials that are not finished and shown."""

    def __init__(self, study: Study, trials: Sequence[TrialSpec], ledger: Ledger, *, uri: str) -> None:
        self._study, self._ledger, self._uri = study, ledger, uri
        self._trials = {trial_digest(trial): trial for trial in trials}
        self._bases = {(t.model.name, t.seed): t for t in trials if not t.traits.is_trained}
        self._store: MlflowRuns | None = None
        self._seen: dict[str, Glance] = {}
        self._shown: dict[str, Glance] = {}
        self._parent: RunView | None = None
        self._figures: dict[str, Mapping[str, float]] = {}
        self._winners: tuple[Winner, ...] = ()
        self._registered: dict[str, str] = {}
        self._varying = varying(trials)
        self._wordings = wordings(study, trials)

    def update(self, *, live_since: float | None = None, wanted: Callable[[], bool] = lambda: True) -> Projection:
        """Write what is new since the last call; stops between two runs once it is not `wanted`.

        Raises:
            TrackingUnavailable: see `project`; the next call starts from what MLflow holds then.
        """
        self._look(live_since)
        if not self._seen:
            return Projection(runs=0, rows=0)
        try:
            with one_message(self._uri):
                rows = self._write(wanted, live=live_since is not None)
        except TrackingUnavailable:
            self._store, self._parent, self._shown = None, None, {}
            raise
        return Projection(runs=len(self._seen), rows=rows, pages=self._pages(), registered=dict(self._registered))

    def _look(self, live_since: float | None) -> None:
        for name, trial in self._trials.items():
            shown = self._shown.get(name)
            if shown is not None and shown.state == State.DONE:
                continue
            seen = glance(trial, self._base(trial), self._ledger, live_since=live_since)
            if seen is not None:
                self._seen[name] = seen

    def _base(self, trial: TrialSpec) -> TrialSpec | None:
        return self._bases.get((trial.model.name, trial.seed)) if trial.traits.is_trained else None

    def _write(self, wanted: Callable[[], bool], *, live: bool) -> int:
        rows, store = 0, self._store or self._open()
        study, trials = self._study, tuple(self._trials.values())
        uploads = (*self._wordings, *answers(study, trials, self._ledger, live=live))
        parent = study_view(study, trials, tuple(self._seen.values()), uploads=uploads, live=live)
        due = [name for name, seen in self._seen.items() if not _alike(self._shown.get(name), seen)]
        if due or parent != self._parent:
            store.write(STUDY_RUN, parent)
            self._parent = parent
        for name in due:
            if not wanted():
                break
            rows += self._show(name, store)
        metrics = set().union(*self._figures.values())
        offer = make_offer(study, trials, metrics=metrics)
        store.describe(study.question.text, views=saved_views(offer))
        if wanted():
            self._register(store)
        return rows

    def _show(self, name: str, store: MlflowRuns) -> int:
        """Bring a trial's run up to what was seen of it, unless it is; returns how many rows of a curve were new."""
        trial, seen, rows = self._trials[name], self._seen[name], 0
        # A finished study of hundreds of trials is looked through in a second, not in half a minute.
        ours = (version(), VIEW_VERSION, self._study.question.metric, self._study.resources.price_per_hour)
        mark = fingerprint([*ours, seen.state, seen.mark, sorted(self._varying)])
        figures = store.shown(name, mark=mark)
        if figures is None:
            view = trial_view(self._study, trial, self._base(trial), self._ledger, seen=seen, varying=self._varying)
            rows = store.write(name, view, mark=mark if seen.state == State.DONE else "")
            figures = {point.key: point.value for point in (*chain.from_iterable(view.curve), *view.figures)}
        self._shown[name], self._figures[name] = seen, figures
        return rows

    def _register(self, store: MlflowRuns) -> None:
        """Enter the best adapters, when they are others than they were."""
        standings = {
            name: Standing(trial=self._trials[name], state=shown.state, figures=self._figures[name])
            for name, shown in self._shown.items()
        }
        unbegun = {
            name: Standing(trial=trial, state=State.WAITING, figures={})
            for name, trial in self._trials.items()
            if name not in standings
        }
        winners = choose_winners(self._study, standings | unbegun)
        for winner in winners:
            if winner not in self._winners:
                self._registered[winner.registered] = self._enter(winner, store)
        self._winners = winners

    def _enter(self, winner: Winner, store: MlflowRuns) -> str:
        """Let the registry have an adapter, unless it has; returns its version. A model card takes a while to make."""
        weights = self._ledger.records_of(winner.trial)[StageName.TRAIN].output_digest
        mark = fingerprint([version(), VIEW_VERSION, winner.why, weights])
        if known := store.registered(winner, mark=mark):
            return known
        # In the place of the card that comes with every adapter and says nothing.
        card = text_upload(f"{ADAPTER}/README.md", model_card(self._study, winner.trial, self._ledger, merged=False))
        return store.register(winner, weights=weights, card=card, mark=mark)

    def _open(self) -> MlflowRuns:
        artifacts = None if _is_server(self._uri) else self._ledger.mlflow_artifacts
        ledger_id = _ledger_id(self._study, self._ledger)
        self._store = MlflowRuns(self._uri, study=self._study.study, ledger_id=ledger_id, artifacts=artifacts)
        self._store.retire(keep={STUDY_RUN, *self._seen})
        return self._store

    def _pages(self) -> dict[str, str]:
        if self._store is None or not self._shown.keys() >= self._seen.keys():
            return {}
        experiment, ids = self._store.experiment_id, [self._store.run_id(name) for name in self._compared()]
        runs, experiments = (quote(json.dumps(some, separators=(",", ":"))) for some in (ids, [experiment]))
        # Without its type MLflow's pages take a study for conversations with a language model.
        kind, page = "workflowType=machine_learning", f"/#/experiments/{experiment}/runs?viewStateShareKey="
        return {
            "Runs": f"{page}{SCORES}&{kind}",
            "Charts": f"{page}{CHARTS}&compareRunsMode=CHART&{kind}",
            "Compare": f"/#/compare-runs?runs={runs}&experiments={experiments}&{kind}",
        }

    def _compared(self) -> Sequence[str]:
        """The trials to compare: MLflow's page opens on a metric that all have, so those with pass@1, if any have."""
        scored = [name for name in self._seen if PASS in self._figures.get(name, {})]
        return scored if len(scored) > 1 else tuple(self._seen)


def _alike(shown: Glance | None, seen: Glance) -> bool:
    return shown is not None and (shown.state, shown.mark) == (seen.state, seen.mark)


def _ledger_id(study: Study, ledger: Ledger) -> str:
    """What tells this ledger's runs from those that another sends to the same server; moves with it."""
    text = ledger.create_study_file(study.study, "tracking.json", json.dumps({"ledger": uuid.uuid4().hex}))
    return str(json.loads(text)["ledger"])


def _is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in ("http", "https") or uri.startswith("databricks")
