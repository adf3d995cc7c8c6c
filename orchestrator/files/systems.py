"""A folder of anybody's results to a study's results, so that the report answers for them as for its own.

One decision: a system is a method without a training. What made it is not known and nothing is said of it; all else
(pairing, tests, corrections, verdicts, page, files) is the report's own.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from evaluators.similarity import METRICS
from orchestrator.errors import InputError
from orchestrator.files.columns import is_table
from orchestrator.files.measured import unpaired_spellings
from orchestrator.files.plainfiles import says_json
from orchestrator.files.systemrows import SystemFile, SystemRow, read_system_file
from orchestrator.report.layout import count_nouns
from orchestrator.report.results import InstanceRow, StudyResults, TrialOutcome
from orchestrator.report.texts import Asked, Texts, Written
from orchestrator.study.question import Question
from trainers.methods.table import MethodKind

_ALL_PAIRS = 6
"""Systems up to which each is compared with each; of more, each with the first."""
Key = tuple[str, str, int]
"""Model, system and seed."""


def read_systems(folder: Path, *, warn: Callable[[str], None] = lambda note: None) -> StudyResults:
    """The results that a folder's files hold; `warn` is told what was assumed or not used.

    Raises:
        InputError: with every fault of every file, or why nothing can be compared.
    """
    files = [read_system_file(path, dataset=folder.resolve().name) for path in _list_files(folder)]
    faults = [fault for file in files for fault in file.faults] or _list_clashes(files)
    if faults:
        count = f"{count_nouns(len(faults), 'fault')} in {folder}"
        raise InputError("\n".join([count, *(f"  {fault}" for fault in faults)]) if faults[1:] else faults[0])
    rows = [row for file in files for row in file.rows]
    scales = _find_scales(rows)
    keys = list(dict.fromkeys(_key(row) for row in rows))
    results = _results(folder, rows, keys, scales)
    for note in (*_list_assumed(files), *_list_notes(rows, keys, scales)):
        warn(note)
    return results


def _list_files(folder: Path) -> list[Path]:
    """The tables of a folder."""
    if not folder.is_dir():
        raise InputError(f"--from {folder}: is no folder; name one that holds a CSV or Parquet file for each system")
    found = sorted(path for path in folder.iterdir() if path.is_file() and (is_table(path) or says_json(path)))
    if not found:
        raise InputError(f"--from {folder}: holds no CSV, TSV, Parquet or JSON file; put one for each system there")
    return found


def _list_clashes(files: Sequence[SystemFile]) -> list[str]:
    """Systems that two files tell of for one problem."""
    seen: dict[tuple[object, ...], Path] = {}
    faults: dict[str, None] = {}
    for file in files:
        for row in file.rows:
            other = seen.setdefault((*_key(row), row.track, row.dataset, row.id, row.sample), file.path)
            if other != file.path:
                told = f"{file.path}: tells of {row.system} and {row.id!r}, as {other} does"
                faults.setdefault(f"{told}; name each system in one file", None)
    return list(faults)[:5]


def _key(row: SystemRow) -> Key:
    return row.model, row.system, row.seed


def _find_scales(rows: Sequence[SystemRow]) -> Mapping[str, float]:
    """What each metric is multiplied by: known ones that are written as shares come to 0-100."""
    highest: dict[str, float] = {}
    for row in rows:
        for name, value in row.scores.items():
            highest[name] = max(highest.get(name, 0.0), abs(value))
    return {
        name: 100.0 if name in METRICS and METRICS[name].scale[1] == 100 and 0 < most <= 1 else 1.0
        for name, most in highest.items()
    }


def _results(folder: Path, rows: Sequence[SystemRow], keys: Sequence[Key], scales: Mapping[str, float]) -> StudyResults:
    names = {key: _name(key, keys) for key in keys}
    trials = tuple(_trial(key, rows, names) for key in keys)
    systems = list(dict.fromkeys(key[1] for key in keys))
    pairs = combinations(systems, 2) if len(systems) <= _ALL_PAIRS else ((systems[0], other) for other in systems[1:])
    named = " and ".join(systems) if len(systems) == 2 else f"{len(systems)} systems"
    question = Question(text=f"How do {named} compare?" if systems[1:] else "", compare=tuple(pairs))
    return StudyResults(
        study=folder.resolve().name,
        question=question.text,
        asked=question,
        trials=trials,
        rows=tuple(_instance(row, names[_key(row)], scales) for row in rows),
        cells=(),
        provenance={path.name: f"sha256 {_digest(path)}" for path in _list_files(folder)},
        read_texts=lambda: _texts(rows, names),
    )


def _name(key: Key, keys: Sequence[Key]) -> str:
    """A system as short as the others allow."""
    model, system, seed = key
    models, seeds = {other[0] for other in keys}, {other[2] for other in keys}
    return "/".join([*([model] if models - {model} else []), system, *([f"seed{seed}"] if seeds - {seed} else [])])


def _trial(key: Key, rows: Iterable[SystemRow], names: Mapping[Key, str]) -> TrialOutcome:
    model, system, seed = key
    tracks = dict.fromkeys(row.track for row in rows if _key(row) == key)
    # Nothing is known of how it was made: it has no stages, and is not taken for a frozen model, which has no seeds.
    return TrialOutcome(
        trial=names[key],
        model=model,
        method=system,
        kind=MethodKind.FULL,
        grouping="",
        tracks=tuple(tracks),
        seed=seed,
        stages=(),
    )


def _instance(row: SystemRow, trial: str, scales: Mapping[str, float]) -> InstanceRow:
    return InstanceRow(
        trial=trial,
        track=row.track,
        dataset=row.dataset,
        problem_id=row.id,
        sample=row.sample,
        empty=row.empty,
        parses=row.parses,
        verdict=row.verdict,
        detail=row.detail,
        scores={name: scales[name] * value for name, value in row.scores.items()},
        counts=row.counts,
    )


def _texts(rows: Sequence[SystemRow], names: Mapping[Key, str]) -> Texts:
    """What was asked and written, as far as the files say."""
    asked: dict[tuple[str, str], Asked] = {}
    written: dict[str, dict[tuple[str, int], Written]] = {}
    for row in rows:
        if "prompt" in row.texts or "reference" in row.texts:
            found = Asked(prompt=row.texts.get("prompt", ""), reference=row.texts.get("reference", ""))
            asked.setdefault((row.track, row.id), found)
        if "output" in row.texts:
            text = Written(track=row.track, dataset=row.dataset, text=row.texts["output"], finish="stop")
            written.setdefault(names[_key(row)], {})[row.id, row.sample] = text
    return Texts(asked=asked, written=written)


def _list_assumed(files: Sequence[SystemFile]) -> list[str]:
    """What was not used, and what files do not say."""
    notes = [note for file in files for note in file.notes]
    silent = [file.path.name for file in files if file.assumes_track]
    if silent:
        taken = f"{', '.join(silent)}: no track is named, so generation/python is taken"
        notes.append(f"{taken}; if that is wrong, add a column track, such as translation/java-csharp")
    rows = [row for file in files for row in file.rows]
    names = {name for row in rows for name in row.scores}
    if not names & METRICS.keys() and not any(row.verdict for row in rows):
        notes.append(f"{', '.join(sorted(names))}: not known here; taken as scores of 0 to 100, the higher the better")
    return notes


def _list_notes(rows: Sequence[SystemRow], keys: Sequence[Key], scales: Mapping[str, float]) -> list[str]:
    """What a reader should know of how the files fit each other."""
    notes = [f"{name} is written from 0 to 1 and shown from 0 to 100" for name, scale in scales.items() if scale != 1]
    metrics = {key: {name for row in rows if _key(row) == key for name in row.scores} for key in keys}
    for name in scales:
        lack = [key[1] for key in keys if name not in metrics[key]]
        if lack:
            notes.append(f"{name} is not there for {', '.join(lack)}; it is not compared with them")
    ids = {key: {f"{row.track} {row.dataset} {row.id}": 1.0 for row in rows if _key(row) == key} for key in keys}
    for one, other in combinations(keys, 2):
        shared = len(ids[one].keys() & ids[other].keys())
        most = max(len(ids[one]), len(ids[other]))
        if not shared:
            spelt = unpaired_spellings(ids[one], ids[other])
            how = f"; ids differ only in how they are written, as {spelt[0]!r} and {spelt[1]!r}" if spelt else ""
            notes.append(f"{one[1]} and {other[1]} have no problem in common and are not compared{how}")
        elif shared < most:
            notes.append(
                f"{one[1]} and {other[1]} share {shared} of {count_nouns(most, 'problem')}; those are compared"
            )
    if len({key[1] for key in keys}) > _ALL_PAIRS:
        notes.append(f"of more than {_ALL_PAIRS} systems each is compared with the first, {keys[0][1]}")
    return notes


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


__all__ = ["read_systems"]
