"""One file of anybody's results to rows: which column is what, and all that is wrong with it.

One decision: a column is known by its name, in the spellings that are in wide use, and what is no known name and holds
numbers is a metric. Nothing is guessed from values; what is not used is said.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from evaluators.similarity import Kind
from orchestrator.files.columns import ID_NAMES, Columns, Twice, id_column, plain_name, read_columns
from orchestrator.files.measured import id_text, kind_of, number_of
from orchestrator.files.plainfiles import shorten
from tasks.records import Language, Track, VerdictName

ROLES: Mapping[str, tuple[str, ...]] = {
    "system": ("system", "method", "trial", "model", "run"),
    "model": ("model", "base_model"),
    "seed": ("seed",),
    "track": ("track",),
    "language": ("language", "lang"),
    "dataset": ("dataset", "benchmark", "test_set"),
    "sample": ("sample", "sample_id", "sample_index", "completion_id"),
    "verdict": ("verdict", "result", "status", "plus_status", "base_status", "outcome"),
    "passed": ("passed", "pass", "correct", "is_correct", "resolved", "solved", "success", "pass@1"),
    "detail": ("detail", "error", "message"),
    "parses": ("parses",),
    "empty": ("empty",),
    "prompt": ("prompt", "question", "input"),
    "reference": ("reference", "canonical_solution", "gold"),
    "output": ("output", "completion", "response", "prediction", "solution", "generation"),
}
"""What a column may be, and the names it is known by, as `plain_name` writes them, the first that a table has."""
_LEFT = ("grouping", "finish", "kind")
"""Columns of our own tables that say nothing here."""
_WORDS: Mapping[str, VerdictName] = {
    "pass": "passed",
    "ok": "passed",
    "correct": "passed",
    "success": "passed",
    "true": "passed",
    "fail": "wrong_answer",
    "failed": "wrong_answer",
    "wrong": "wrong_answer",
    "incorrect": "wrong_answer",
    "false": "wrong_answer",
    "error": "exception",
    "timed_out": "timeout",
    "time_out": "timeout",
}
"""Other words for verdicts; what follows a colon is their detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRow:
    """One output of one system, as its file tells of it. `place` is where it stands, for faults."""

    place: str
    system: str
    model: str
    seed: int
    track: str
    dataset: str
    id: str
    sample: int
    verdict: VerdictName | None
    detail: str
    parses: bool | None
    empty: bool
    scores: Mapping[str, float]
    counts: Mapping[str, float]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFile:
    """A file's rows, what is wrong with it, and what of it was not used; `assumes_track` says that it names none."""

    path: Path
    rows: tuple[SystemRow, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    assumes_track: bool = False


def read_system_file(path: Path, *, dataset: str) -> SystemFile:
    """A file's rows; `dataset` names the test set of those that name none."""
    columns, faults = read_columns(path)
    if faults:
        return SystemFile(path=path, faults=faults)
    table = _Table(path, _unnested(columns), dataset=dataset)
    return table.read()


def _unnested(columns: Columns) -> Columns:
    """EvalPlus keeps results by problem in one object, `eval`; these are its rows."""
    nested = columns.get("eval")
    if nested is None or len(nested) != 1 or not isinstance(nested[0], Mapping):
        return columns
    rows = [
        {"task_id": id_, "sample": number, **result}
        for id_, results in nested[0].items()
        for number, result in enumerate(results if isinstance(results, list) else [results])
        if isinstance(result, Mapping)
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


class _Table:
    """A table while its columns are told apart."""

    def __init__(self, path: Path, columns: Columns, *, dataset: str) -> None:
        self.path, self.columns, self.dataset = path, columns, dataset
        self.faults = [
            f"{path}: has the column {name!r} twice; name each column once"
            for name, values in columns.items()
            if isinstance(values, Twice)
        ]
        self.notes: list[str] = []
        self.assumes_track = False
        self.id = id_column(columns)
        if self.id is None:
            holds, usual = ", ".join(columns), " or ".join(ID_NAMES[:4])
            self.faults.append(f"{path}: has no id column; call one of its columns ({holds}) {usual}")
        self.roles = self._find_roles()
        self.metrics = self._find_metrics()
        self.groupings = self._find_groupings()
        if not self.faults and not self.metrics and not {"verdict", "passed"} & self.roles.keys():
            self.faults.append(f"{path}: holds no metric, and no column passed or verdict; add one")

    def read(self) -> SystemFile:
        """The rows, or every fault of the file."""
        is_readable = self.id is not None and not any(isinstance(cells, Twice) for cells in self.columns.values())
        rows = list(self._rows()) if is_readable else []
        faults = [*self.faults, *_repeated(rows)]
        return SystemFile(
            path=self.path,
            rows=() if faults else tuple(rows),
            faults=tuple(faults),
            notes=tuple(self.notes),
            assumes_track=self.assumes_track,
        )

    def _find_roles(self) -> dict[str, str]:
        """The column of each role; a column has one."""
        by_plain = {plain_name(name): name for name in reversed(list(self.columns)) if name != self.id}
        found: dict[str, str] = {}
        for role, names in ROLES.items():
            name = next((by_plain[n] for n in names if n in by_plain and by_plain[n] not in found.values()), None)
            if name is not None:
                found[role] = name
        return found

    def _find_groupings(self) -> Mapping[str, set[str]]:
        """The groupings of each method of a table of ours, which part one method's trainings."""
        found: dict[str, set[str]] = {}
        methods, groupings = (self.columns.get(name, []) for name in ("method", "grouping"))
        for method, grouping in zip(methods, groupings, strict=False):
            found.setdefault(_text(method), set()).add(_text(grouping))
        return found

    def _find_metrics(self) -> dict[str, list[float | None]]:
        """The columns of numbers that have no role, and what is wrong with their cells."""
        metrics: dict[str, list[float | None]] = {}
        unused = []
        known = {self.id, *self.roles.values()}
        for name, cells in self.columns.items():
            if name in known or plain_name(name) in _LEFT:
                continue
            values = [number_of(cell) for cell in cells]
            wrong = [(number, cell) for number, (cell, value) in enumerate(zip(cells, values, strict=True), 1)
                     if value is None or math.isinf(value)]  # fmt: skip
            if 2 * len(wrong) >= len(values):
                unused.append(name)
                continue
            self.faults += shorten(
                [f"{self.path}: row {n}: {name} must be a finite number, got {cell!r}" for n, cell in wrong]
            )
            if all(value is None or math.isnan(value) for value in values):
                self.notes.append(f"{self.path}: {name} holds no value and was left out")
                continue
            metrics[name] = values
        if unused:
            self.notes.append(f"{self.path}: not used, for they hold no numbers: {', '.join(unused)}")
        return metrics

    def _rows(self) -> Iterator[SystemRow]:
        for index in range(len(next(iter(self.columns.values())))):
            yield self._row(index)

    def _row(self, index: int) -> SystemRow:
        found = {role: self.columns[name][index] for role, name in self.roles.items()}
        id_ = id_text(self.columns[cast("str", self.id)][index])
        if not id_:
            self.faults.append(f"{self.path}: row {index + 1}: has no {self.id}")
        verdict, detail = self._verdict(found, index)
        cells = {plain_name(name): values[index] for name, values in self.metrics.items()}
        measured = {name: value for name, value in cells.items() if value is not None and math.isfinite(value)}
        system = _text(found.get("system")) or _stem(self.path)
        if len(self.groupings.get(system, ())) > 1:
            system = f"{system} {_text(self.columns['grouping'][index])}"
        return SystemRow(
            place=f"{self.path}: row {index + 1}",
            system=system,
            model=_text(found.get("model")),
            seed=self._whole("seed", found, index),
            track=self._track(found, index),
            dataset=_text(found.get("dataset")) or self.dataset,
            id=id_,
            sample=self._whole("sample", found, index),
            verdict=verdict,
            detail=_text(found.get("detail")) or detail,
            parses=_truth(found.get("parses")),
            empty=_truth(found.get("empty")) or False,
            scores={n: v for n, v in measured.items() if kind_of(n) is not Kind.COUNT},
            counts={n: v for n, v in measured.items() if kind_of(n) is Kind.COUNT},
            texts={role: text for role in ("prompt", "reference", "output") if (text := _text(found.get(role)))},
        )

    def _verdict(self, found: Mapping[str, object], index: int) -> tuple[VerdictName | None, str]:
        """What a row's verdict or its being passed says, with what it says beside it."""
        said = _text(found.get("verdict"))
        if said:
            word, _, detail = said.partition(":")
            plain = plain_name(word)
            verdict = _WORDS.get(plain, plain)
            if verdict in get_args(VerdictName):
                return cast("VerdictName", verdict), detail.strip()
            if "passed" not in found:
                known = ", ".join(get_args(VerdictName))
                self._fault(index, self.roles["verdict"], f"must be a verdict ({known}), got {said!r}")
        value = number_of(found.get("passed"))
        if value is not None and math.isnan(value):
            # Where there is a verdict beside it, an empty one says that nothing was to be judged.
            silent = "passed" in self.roles and "verdict" not in self.roles
            return ("unjudged", "its file says nothing") if silent else (None, "")
        if value not in (0.0, 1.0, 100.0):
            self._fault(index, self.roles["passed"], f"must be true or false, 1 or 0, got {found['passed']!r}")
        return ("passed", "") if value else ("wrong_answer", "its file says that it did not pass")

    def _whole(self, role: str, found: Mapping[str, object], index: int) -> int:
        """A whole number, 0 where there is none."""
        value = number_of(found.get(role))
        if value is None or math.isinf(value) or (not math.isnan(value) and value != int(value)):
            self._fault(index, self.roles[role], f"must be a whole number, got {found[role]!r}")
            return 0
        return 0 if math.isnan(value) else int(value)

    def _track(self, found: Mapping[str, object], index: int) -> str:
        """The track that a row names; by its language it is generation, and so is what names neither."""
        named, language = _text(found.get("track")), plain_name(_text(found.get("language")))
        if named:
            try:
                return str(Track.parse(named))
            except ValueError as error:
                self.faults.append(f"{self.path}: row {index + 1}: {error}")
        if language and language not in list(Language):
            known = ", ".join(Language)
            self._fault(index, self.roles["language"], f"must be one of {known}, got {language!r}")
        self.assumes_track = self.assumes_track or not (named or language)
        return f"generation/{language if language in list(Language) else Language.PYTHON}"

    def _fault(self, index: int, column: str, message: str) -> None:
        self.faults.append(f"{self.path}: row {index + 1}: {column} {message}")


def _repeated(rows: Sequence[SystemRow]) -> tuple[str, ...]:
    """Rows of one system, problem and sample beyond the first."""
    seen: dict[tuple[object, ...], str] = {}
    faults = []
    for row in rows:
        key = (row.model, row.system, row.seed, row.track, row.dataset, row.id, row.sample)
        if row.id and key in seen:
            faults.append(
                f"{row.place}: {row.id!r} is there twice for {row.system}; number its samples in a column sample"
            )
        seen.setdefault(key, row.place)
    return shorten(faults)


def _stem(path: Path) -> str:
    """A file's name without its endings, as a system is called that its file names nowhere."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return cell if isinstance(cell, str) else id_text(cell)


def _truth(cell: object) -> bool | None:
    value = number_of(cell)
    return None if value is None or math.isnan(value) else bool(value)


__all__ = ["ROLES", "SystemFile", "SystemRow", "read_system_file"]
