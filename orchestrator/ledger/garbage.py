"""What in a ledger nothing needs any more, and its removal.

One decision: what stays is found first, from the studies' own lists of stages; all else of `stages/` goes. A
record goes before its files, so a clean-up that is cut off leaves no record without them.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import LedgerError, StudyHeld
from orchestrator.ledger.lease import CLEANING
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.ledger.manifest import read_named
from orchestrator.ledger.rejudging import JUDGED_AGAIN, SUPERSEDED
from orchestrator.ledger.storage import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """One stage or attempt that nothing needs: its names, records first, and `what` it was, in words."""

    key: str
    attempt: str
    why: str
    names: tuple[str, ...]
    size_bytes: int
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """All that a ledger holds of one key; `condemned` says why, by attempt."""

    key: str
    entries: tuple[Entry, ...]
    records: Mapping[str, StageRecord]
    condemned: Mapping[str, str]

    def attempts(self) -> dict[str, list[Entry]]:
        """Each attempt's files."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if (made := _attempt_of(entry.name)) is not None:
                found.setdefault(made, []).append(entry)
        return found

    def counting(self) -> dict[str, StageRecord]:
        """Records whose attempts are not condemned, by name."""
        return {name: record for name, record in self.records.items() if record.attempt not in self.condemned}


def named_keys(ledger: Ledger) -> frozenset[str]:
    """Keys of all stages that some study names.

    Raises:
        LedgerError: if a study has left no list of its stages.
    """
    keys: set[str] = set()
    for study in ledger.studies():
        named = read_named(ledger, study)
        if named is None:
            raise LedgerError(
                f"study {study} in {ledger.address} has left no list of its stages, and nothing can be told from its "
                "name; `polytune run` it once more, or remove its folder below studies/"
            )
        keys |= named.keys
    return frozenset(keys)


def find_garbage(ledger: Ledger) -> tuple[Garbage, ...]:
    """Stages that no study names, and attempts of others that no record which counts names.

    The newest failure of a stage that is not done stays, since it says why; so does what a running study has begun.

    Raises:
        LedgerError: if a study has left no list of its stages.
    """
    keys, stages, running = named_keys(ledger), _stages(ledger), bool(ledger.holders().keys() - {CLEANING})
    found: list[Garbage] = []
    for stage in stages.values():
        if stage.key not in keys:
            if not running:
                found.append(_garbage(stage.key, "", "no study names it", stage.entries))
            continue
        outdated = {name: why for name in stage.counting() if (why := _outdated(name, stage, stages))}
        found += _attempts(ledger, stage, outdated=outdated, running=running)
    labels = _labels(ledger)
    return tuple(replace(item, what=labels.get(item.key) or _in_words(stages[item.key])) for item in found)


def _labels(ledger: Ledger) -> dict[str, str]:
    """The trial and stage of each key that a study names."""
    named = {study: read_named(ledger, study) for study in ledger.studies()}
    return {
        stage.key: f"{label} {name} of {study}"
        for study, found in named.items()
        if found is not None
        for label, stages in found.trials.items()
        for name, stage in stages.items()
    }


def _in_words(stage: _Stage) -> str:
    """What a stage was that no study names any more, from what its key is the hash of; nothing without a record."""
    record = next(iter(stage.records.values()), None)
    if record is None:
        return ""
    training = record.spec.get("training")
    if not isinstance(training, dict):
        return str(record.stage)
    settings, model = training.get("settings"), training.get("model")
    rate = settings.get("learning_rate") if isinstance(settings, dict) else None
    name = (model.get("name") or f"model {str(model.get('digest'))[:8]}") if isinstance(model, dict) else ""
    return f"{record.stage} of {name}, {training.get('kind')}, seed {training.get('seed')}, learning rate {rate}"


def remove(ledger: Ledger) -> tuple[Garbage, ...]:
    """Remove what `find_garbage` finds; returns it.

    Raises:
        StudyHeld: if a study is being run.
        LedgerError: as `find_garbage`.
    """
    with ledger.lease(CLEANING):
        for study, holder in ledger.holders().items():
            if study != CLEANING:
                raise StudyHeld(f"{study} is being run by {holder}; wait, or what it has begun would go")
        garbage = find_garbage(ledger)
        for item in garbage:
            ledger.forget(item.names)
    return garbage


def _stages(ledger: Ledger) -> dict[str, _Stage]:
    by_key: dict[str, list[Entry]] = {}
    for entry in ledger.store.entries("stages/"):
        by_key.setdefault(entry.name.split("/")[1], []).append(entry)
    records = _readable(ledger)
    return {
        key: _Stage(
            key=key,
            entries=tuple(entries),
            records={entry.name: records[entry.name] for entry in entries if entry.name in records},
            condemned={
                entry.name.partition("/condemned-")[2].removesuffix(".json"): _why_condemned(ledger, entry.name)
                for entry in entries
                if "/condemned-" in entry.name
            },
        )
        for key, entries in by_key.items()
    }


def _why_condemned(ledger: Ledger, name: str) -> str:
    fault = json.loads(ledger.store.read(name) or b"{}").get("fault")
    return SUPERSEDED if fault == SUPERSEDED else "damaged"


def _readable(ledger: Ledger) -> dict[str, StageRecord]:
    """Every record.

    Raises:
        LedgerError: if one cannot be read; what it names would be taken for left over.
    """
    found = ledger.all_records()
    unreadable = [name for name, record in found.items() if record is None]
    if unreadable:
        raise LedgerError(f"{ledger.address}: {', '.join(unreadable)} cannot be read; remove or mend it first")
    return {name: record for name, record in found.items() if record is not None}


def _attempt_of(name: str) -> str | None:
    parts = name.split("/")
    return parts[3] if len(parts) > 4 and parts[2] == "attempts" else None


def _outdated(name: str, stage: _Stage, stages: Mapping[str, _Stage]) -> str:
    """Why a record that counts is not looked for any more; nothing if it is, or may be."""
    record = stage.records[name]
    for key, digest in record.inputs.items():
        upstream = stages[key].counting().values() if key in stages else ()
        # Without any record upstream, the same output may yet be made again.
        if upstream and all(other.output_digest != digest for other in upstream):
            return "made from what has been made anew since"
    if any(other.inputs == record.inputs | JUDGED_AGAIN for other in stage.counting().values() if other != record):
        return SUPERSEDED
    return ""


def _attempts(ledger: Ledger, stage: _Stage, *, outdated: Mapping[str, str], running: bool) -> Iterator[Garbage]:
    attempts = stage.attempts()
    left = [entry for entry in stage.entries if entry.name.split("/")[2] == "checkpoints"]
    if left and stage.counting():
        yield _garbage(stage.key, "", "what a training that is recorded would have gone on from", left)
    kept = {record.attempt for name, record in stage.counting().items() if name not in outdated}
    for name, why in outdated.items():
        made = stage.records[name].attempt
        family = name.removesuffix(".json").partition(".")[0]
        records = [entry for entry in stage.entries if entry.name.startswith(f"{family}.")]
        yield _garbage(stage.key, made, why, [*records, *attempts.pop(made, [])])
    failures = {made for made, files in attempts.items() if _has(files, "failure.json")}
    newest = None if kept else ledger.last_failure(stage.key)
    kept |= {newest[1].parent.name} if newest else set()
    for made, files in attempts.items():
        if made in kept:
            continue
        if made in stage.condemned:
            yield _garbage(stage.key, made, stage.condemned[made], files)
        elif made in failures:
            yield _garbage(stage.key, made, "failed", files)
        elif not running:
            recorded = any(record.attempt == made for record in stage.records.values())
            yield _garbage(stage.key, made, "superseded" if recorded or kept else "begun and not finished", files)


def _has(files: Sequence[Entry], name: str) -> bool:
    return any(entry.name.endswith(f"/{name}") for entry in files)


def _garbage(key: str, made: str, why: str, entries: Collection[Entry]) -> Garbage:
    records_first = sorted(entries, key=lambda entry: (_attempt_of(entry.name) is not None, entry.name))
    return Garbage(
        key=key,
        attempt=made,
        why=why,
        names=tuple(entry.name for entry in records_first),
        size_bytes=sum(entry.size_bytes for entry in entries),
    )
