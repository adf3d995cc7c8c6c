"""Run a study: bring every due stage into the ledger, and go on where some cannot.

One decision: each kind of stage has a thread that runs whatever of it has become due, and sleeps until the
stage before it has made more so. Trainings go on while the trials that are trained already write, and while
what those wrote is judged. All that a run knows is in the ledger, so running again is the same as going on.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.errors import Cause, PolytuneError, StageFailed
from orchestrator.ledger.lease import Lease
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.oldwords import retries_of
from orchestrator.ledger.writing import clear_words
from orchestrator.plan.estimates import passes_on_this_machine
from orchestrator.plan.expected import expected
from orchestrator.plan.machine import this_machine
from orchestrator.plan.plan import plan, refuse_what_does_not_fit
from orchestrator.run.budget import Limits, Meter, leave_stopped
from orchestrator.run.cluster import ClusterWatch
from orchestrator.run.pipelines import PIPELINES
from orchestrator.run.planning import plan_study, refused_searches, store_families, store_study
from orchestrator.run.queue import TrainingQueue
from orchestrator.run.search import Searches, as_if_found, resolved, under_search, unfinished
from orchestrator.run.state import Listener, Outcome, StudyRun
from orchestrator.run.tune import run_trainings
from orchestrator.study.cells import Cells
from orchestrator.study.passes import saying
from orchestrator.study.resources import Resources
from orchestrator.study.stages import STAGES, StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import check_data
from orchestrator.work.session import local_ray
from orchestrator.work.training import Place, TrainingOrder, train_trial
from trainers.memory import Passes

# How often the lease and the limits are looked at, and how long the threads of a run that is stopped may take.
_TICK_S = 1.0
_PARTING_S = 6.0


def run_study(
    cells: Cells, ledger: Ledger, *, listener: Listener | None = None, limits: Limits | None = None
) -> Outcome:
    """Run whatever of a study is not in the ledger yet.

    `cells` are those of the study with what its finished searches found.

    Raises:
        DataError, ModelError: if local data or a local model is not there.
        DoesNotFit: if a training can fit no device, or a setting asks for more than this machine offers.
        LedgerError: if the ledger cannot be written, or another process runs the study.
        In each case nothing was run.
    """
    study, told = cells.study, listener or Listener()
    machine = this_machine(study.resources)
    tried = plan(under_search(cells, ledger), ledger, resources=study.resources, machine=machine)
    if machine.offers is not None:
        # Before models are looked at, which takes a while: whoever submits from elsewhere waits for this answer.
        early = plan(cells.trials, ledger, resources=study.resources, machine=machine)
        refuse_what_does_not_fit((*early, *tried), refused_searches(cells))
    planned, notes = plan_study(cells, ledger, probing=True)
    refuse_what_does_not_fit((*planned, *tried), refused_searches(cells))
    done = {p.trial.label for p in planned if not p.due}
    check_data([t for t in as_if_found(cells).trials if t.label not in done], root=Path(study.data.root))
    with ledger.lease(study.study) as lease, ExitStack() as stack:
        clear_words(ledger.store, study.study)
        store_families(cells, ledger, planned)
        told.study(cells)
        if line := expected(planned, study.resources, machine):
            told.note(line)
        for note in notes:
            told.note(note)
        meter = Meter(study, ledger, limits or Limits())
        failed: dict[str, StageFailed] = {}
        if unfinished(cells) and not meter.reached():
            store_study(cells, ledger)
            stack.enter_context(local_ray(study.resources))
            cluster = stack.enter_context(ClusterWatch(study.resources, note=told.note))
            failed = _search(Searches(cells, ledger, meter=meter, note=told.note), lease, cluster)
            cells = resolved(cells, ledger)
            told.study(cells)
        run = StudyRun(cells, ledger, lease=lease, listener=told, meter=meter)
        run.outcome.failed.update({(label, StageName.TRAIN): cause for label, cause in failed.items()})
        _go_on_from(run)
        store_study(cells, ledger)
        run.done.look()
        if any(run.done.due(stage) for stage in STAGES):
            _run_due(run)
        else:
            run.outcome.stopped = (meter.reached() if unfinished(cells) else "") or meter.left_out()
            leave_stopped(study.study, ledger, run.outcome.stopped)
    return run.outcome


def _search(searches: Searches, lease: Lease, cluster: ClusterWatch) -> dict[str, StageFailed]:
    """Run searches in a thread, while this one looks after the lease and the limits; returns why some found nothing.

    Raises:
        StudyHeld: if another process took the study over.
        PolytuneError: if the cluster is lost.
    """
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            searches.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded, name="search", daemon=True)
    with searches.meter as meter:
        thread.start()
        try:
            while thread.is_alive() and not searches.stopping:
                thread.join(_TICK_S)
                lease.check()
                if cluster.lost or meter.tick(searches.active()):
                    searches.stop()
        except BaseException:
            searches.stop()
            raise
        finally:
            # Whatever has not come to an end by then ends with Ray.
            thread.join(_PARTING_S)
    if why := cluster.lost or (errors and cluster.verdict()):
        raise PolytuneError(why)
    if errors and not searches.stopping:
        raise errors[0]
    return dict(searches.failed)


def _run_due(run: StudyRun) -> None:
    """Run what is due on a Ray cluster, within the limits, and leave word of an end before the study's.

    Raises:
        StudyHeld: if another process took the study over.
    """
    why = run.meter.reached()
    if why:
        run.stop(why)
    try:
        if not why:
            resources, note = run.study.resources, run.listener.note
            with run.meter, local_ray(resources), ClusterWatch(resources, note=note) as cluster:
                _run_threads(run, cluster)
        run.outcome.stopped = run.outcome.stopped or run.meter.left_out()
    finally:
        leave_stopped(run.study.study, run.ledger, run.outcome.stopped)


def _go_on_from(run: StudyRun) -> None:
    """Condemn what is damaged of the study's finished stages, so that it runs again, and say so."""
    seen: dict[str, str] = {}
    for trial in run.done.trials:
        found = run.ledger.find(trial, hash_up_to=float("inf"), condemn=True)
        for stage, fault in found.damaged.items():
            seen.setdefault(trial.key(stage), f"{trial.label} {stage} runs again, artifact damaged: {fault}")
    for text in seen.values():
        run.listener.note(text)


def run_one_in_process(cells: Cells, ledger: Ledger, label: str) -> Outcome:
    """Run one trial's due stages in this process and thread, for a debugger."""
    resources = Resources.model_validate({**cells.study.resources.model_dump(), "full_workers": 1})
    study = cells.study.model_copy(update={"resources": resources})
    cells = cells.of(study)
    with ledger.lease(study.study) as lease:
        run = StudyRun(cells, ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        run.done.trials = tuple(trial for trial in run.done.trials if trial.label == label)
        store_study(cells, ledger)
        run.done.look()
        passes = passes_on_this_machine(resources, run.meter.history)
        for trial in run.done.due(StageName.TRAIN):
            chosen = passes(trial)
            assert chosen is not None, "what is due to be trained has a training"
            order = TrainingOrder(trial=trial, resources=saying(resources, chosen))
            failed = train_trial(order, Place(storage=ledger.address, root=study.data.root))
            run.finished(trial, StageName.TRAIN, failed)
        for stage, pipeline in PIPELINES.items():
            if due := run.done.due(stage):
                pipeline(run, due, in_process=True)
    return run.outcome


def _run_threads(run: StudyRun, cluster: ClusterWatch) -> None:
    """A thread for each kind of stage; this one looks after the lease and the limits.

    Raises:
        StudyHeld: if another process took the study over.
        BaseException: the first that a thread raised; it stops the run.
    """
    errors: list[BaseException] = []

    def guarded(stage: StageName) -> None:
        try:
            if stage == StageName.TRAIN:
                _train(run)
            else:
                _whenever_due(run, stage)
        except BaseException as error:
            # What Ray's end then does to the other threads' trials is no failure of theirs. Errors that come after
            # the run was stopped say nothing but that it was.
            if not run.stopping:
                errors.append(error)
                run.stop(f"{stage} broke off: {type(error).__name__}")
        finally:
            with run.changed:
                run.working.discard(stage)
                run.changed.notify_all()

    def somebody_writes() -> bool:
        return StageName.GENERATE in run.working and not run.stopping

    run.working = set(STAGES)
    threads = [threading.Thread(target=guarded, args=(stage,), name=stage, daemon=True) for stage in STAGES]
    threads.append(threading.Thread(target=run.ahead.work, args=(somebody_writes,), name="ahead", daemon=True))
    for thread in threads:
        thread.start()
    try:
        while run.working and not run.stopping:
            with run.changed:
                run.changed.wait(_TICK_S)
            run.lease.check()
            why = cluster.lost or run.meter.tick(run.active())
            if why:
                run.stop(why)
    except BaseException:
        run.stop("interrupted")
        raise
    finally:
        until = time.monotonic() + _PARTING_S
        for thread in threads:
            # Whatever has not come to an end by then ends with Ray.
            thread.join(max(0.0, until - time.monotonic()) if run.stopping else None)
    if errors and not cluster.lost:
        if why := cluster.verdict():
            run.outcome.stopped = why
            return
        raise errors[0]


def _train(run: StudyRun) -> None:
    due = run.done.due(StageName.TRAIN)
    if not due:
        return
    run.listener.stage(StageName.TRAIN, len(due))

    def ended(trial: TrialSpec, failed: StageFailed | None, again: str) -> None:
        if run.stopping and failed is not None:
            return
        if failed is not None and again:
            run.begins_again(trial, StageName.TRAIN, failed, again)
        else:
            if failed is None:
                run.meter.trained(trial)
            run.finished(trial, StageName.TRAIN, failed)

    queue = TrainingQueue(
        due,
        resources=run.study.resources,
        ended=ended,
        may_start=lambda trial: run.meter.may_start(trial, StageName.TRAIN),
        hours=lambda trial: run.meter.hours(trial, StageName.TRAIN),
        passes=passes_on_this_machine(run.study.resources, run.meter.history),
    )
    _recall(run, queue)
    run.queue = queue
    # Tune's own state is of no use afterwards, and must not fail where the ledger's disk is full.
    with TemporaryDirectory(prefix="polytune-tune-", ignore_cleanup_errors=True) as scratch:
        run_trainings(queue, ledger=run.ledger, root=run.test_data.root, scratch=Path(scratch))


def _recall(run: StudyRun, queue: TrainingQueue) -> None:
    """Begin with as many tokens a pass as earlier runs found to fit."""
    for trial in run.done.trials:
        record = run.done.before(trial, StageName.TRAIN)
        if record is None or all(retry.kind != Cause.MEMORY for retry in retries_of(record)):
            continue
        runtime = record.facts["runtime"]
        assert isinstance(runtime, dict)
        if "micro_tokens" in runtime:  # records of before passes were counted in tokens
            tokens, again = int(str(runtime["micro_tokens"])), bool(runtime["gradient_checkpointing"])
            queue.learn(trial, Passes(micro_tokens=tokens, gradient_checkpointing=again))


def _whenever_due(run: StudyRun, stage: StageName) -> None:
    """Run a stage for all trials that have become due, again and again until no more can."""
    while not run.stopping:
        with run.changed:
            # What comes in after this look wakes the wait below, or is seen in the next round.
            more = STAGES[stage].upstream in run.working
            due = run.done.due(stage)
            ready = [trial for trial in due if run.is_ready(trial, stage)]
            if not ready and (more or due):
                run.changed.wait(_TICK_S)
                continue
        allowed = [trial for trial in ready if run.meter.may_start(trial, stage)]
        if not allowed:
            return
        run.in_pipeline[stage] = allowed
        try:
            PIPELINES[stage](run, allowed, joining=_joining(run, stage, [trial.key(stage) for trial in ready]))
        finally:
            del run.in_pipeline[stage]


def _joining(run: StudyRun, stage: StageName, asked: Sequence[str]) -> Callable[[], list[TrialSpec]]:
    """Gives the trials that have become due since, each once; `asked` are the keys of those that were looked at."""
    seen = set(asked)

    def joining() -> list[TrialSpec]:
        if run.stopping:
            return []
        with run.changed:
            new = [t for t in run.done.due(stage) if t.key(stage) not in seen and run.is_ready(t, stage)]
        seen.update(trial.key(stage) for trial in new)
        allowed = [trial for trial in new if run.meter.may_start(trial, stage)]
        if allowed:
            run.in_pipeline[stage] = [*run.in_pipeline[stage], *allowed]
        return allowed

    return joining
