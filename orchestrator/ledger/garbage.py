"""What in a ledger nothing needs any more, and its removal.

One decision: what stays is found first, from the studies' own lists of stages; all else of `stages/` and of
`completions/` goes. A record goes before its files, so a clean-up that is cut off leaves no record without them.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import JsonValue

from evaluators.generation.settings import ENGINE_VERSIONS
from orchestrator.errors import LedgerError, StudyHeld
from orchestrator.ledger.completions import FOLDER as COMPLETIONS
from orchestrator.ledger.completions import Owner, read_chunks, recipe_of
from orchestrator.ledger.lease import CLEANING
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.ledger.manifest import read_named
from orchestrator.ledger.rejudging import JUDGED_AGAIN, SUPERSEDED
from orchestrator.ledger.storage import Entry
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.stages import StageName

# In place of a digest: of whatever weights.
_ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """One stage or attempt that nothing needs: its names, records first, and `what` it was, in words.

    Of completions that are kept item by item, `key` is the owner's digest and `chunks` how many files there are.
    """

    key: str
    attempt: str
    why: str
    names: tuple[str, ...]
    size_bytes: int
    what: str = ""
    chunks: int = 0


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
    """Stages that no study names, attempts of others that no record which counts names, and completions for no study.

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
    told = [replace(item, what=labels.get(item.key) or _in_words(stages[item.key])) for item in found]
    return (*told, *([] if running else _completions(ledger, stages)))


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
    settings = training.get("settings")
    rate = settings.get("learning_rate") if isinstance(settings, dict) else None
    method = f"{training.get('kind')}, seed {training.get('seed')}, learning rate {rate}"
    return f"{record.stage} of {_model(training)}, {method}"


def _model(spec: Mapping[str, JsonValue]) -> str:
    model = spec.get("model")
    return str(model.get("name") or f"model {str(model.get('digest'))[:8]}") if isinstance(model, dict) else ""


def _completions(ledger: Ledger, stages: Mapping[str, _Stage]) -> Iterator[Garbage]:
    """Chunks of owners whose completions no study would ask for, and those that are not what was written."""
    used, recipes = _owners_recorded(ledger, stages), _recipes_named(ledger, stages)
    by_owner: dict[str, list[Entry]] = {}
    for entry in ledger.store.entries(COMPLETIONS):
        by_owner.setdefault(entry.name.removeprefix(COMPLETIONS).partition("/")[0], []).append(entry)
    for digest, entries in by_owner.items():
        chunks = dict(read_chunks(ledger.store, [entry.name for entry in entries]))
        owner = next((chunk.owner for chunk in chunks.values() if chunk is not None), None)
        if owner is None or (digest not in used and not _is_asked(owner, recipes)):
            why = "not what was written" if owner is None else "no study would ask for them"
            yield _chunks(digest, owner, why, entries)
        elif damaged := [entry for entry in entries if chunks[entry.name] is None]:
            yield _chunks(digest, owner, "not what was written", damaged)


def _chunks(digest: str, owner: Owner | None, why: str, entries: Sequence[Entry]) -> Garbage:
    training = owner and owner.recipe.get("training")
    spec = training if isinstance(training, dict) else owner.recipe if owner else {}
    what = f"of {_model(spec)}, {owner.kind}" if owner else ""
    return replace(_garbage(digest, "", why, entries), what=what, chunks=len(entries))


def _owners_recorded(ledger: Ledger, stages: Mapping[str, _Stage]) -> set[str]:
    """Owners that generate stages which studies name have in their records."""
    named = named_keys(ledger)
    facts = [r.facts.get("completions") for key in named & stages.keys() for r in stages[key].counting().values()]
    return {str(fact["owner"]) for fact in facts if isinstance(fact, dict)}


def _recipes_named(ledger: Ledger, stages: Mapping[str, _Stage]) -> set[tuple[str, str | None]]:
    """How completions are made for the generate stages that studies name, with the digest of the weights."""
    found: set[tuple[str, str | None]] = set()
    for study in ledger.studies():
        named = read_named(ledger, study)
        for trial in named.trials.values() if named else ():
            generate, train = trial.get(StageName.GENERATE), trial.get(StageName.TRAIN)
            if generate is None:
                continue
            # What an older version named otherwise is asked for by no version of today.
            with suppress(KeyError, TypeError):
                recipe = fingerprint(recipe_of(generate.spec, train.spec if train else None))
                trained = stages[train.key].counting().values() if train and train.key in stages else ()
                # Without a record, weights that were there may yet be made again.
                weights = {record.output_digest for record in trained} or {_ANY}
                found |= {(recipe, digest) for digest in (weights if train else {None})}
    return found


def _is_asked(owner: Owner, recipes: Collection[tuple[str, str | None]]) -> bool:
    """Whether some study's stage may still ask for an owner's completions, on whatever device."""
    is_todays, recipe = ENGINE_VERSIONS.get(owner.engine) == owner.engine_version, fingerprint(owner.recipe)
    return is_todays and any((recipe, weights) in recipes for weights in (owner.weights, _ANY))


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
