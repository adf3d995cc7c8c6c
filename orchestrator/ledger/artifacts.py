"""The files that stages write: their names, what stands in them, who writes and who reads them.

One decision: nobody else opens a file of an attempt. So what a stage leaves has one schema, and a file that is
renamed or grows a field is changed here alone.

    summary.json, WEIGHTS/, metrics/*.jsonl        train
    completions.jsonl                              generate
    verdicts.jsonl                                 execute
    cells.json, instances.parquet                  score

`instances.parquet` is for any tool that reads tables: a row is a completion, keyed by track, data set, problem and
sample; every metric and count is a column of its own, empty where it does not apply, so that two trials' files
join by their keys alone.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, JsonValue

from orchestrator.ledger.ledger import Ledger, StageRecord, read_lines
from orchestrator.ledger.oldwords import with_reason
from orchestrator.study.stages import STAGES, StageName
from tasks.records import Completion, Record, Verdict

INSTANCES = "instances.parquet"
METRICS = "metrics"
SUMMARY = STAGES[StageName.TRAIN].file


class ScoredRow(Record):
    """One completion, scored: similarity (0-100), quality counts, and broken rules by tool and name."""

    problem_id: str
    sample: int
    empty: bool
    parses: bool | None
    scores: dict[str, int | float]
    counts: dict[str, int | float]
    rules: dict[str, int | float]


class ScoredCell(Record):
    """One (track, data set) of one trial, scored: a row for each completion, and what is of the whole.

    `reference_counts` and `reference_rules` are those of the references, by problem id; `missing_tools` says of each
    analyzer that is not installed why, with the command that installs it.
    """

    track: str
    dataset: str
    rows: tuple[ScoredRow, ...]
    corpus: dict[str, float]
    signatures: dict[str, str]
    health: dict[str, JsonValue]
    health_warnings: tuple[str, ...]
    reference_counts: dict[str, dict[str, float]]
    reference_rules: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    missing_tools: dict[str, str] = Field(default_factory=dict)


def write_results(stage: StageName, folder: Path, records: Sequence[BaseModel]) -> None:
    """Write what generation, execution or scoring found into its attempt's folder."""
    path = folder / STAGES[stage].file
    rows = [record.model_dump(mode="json") for record in records]
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    if stage == StageName.SCORE:
        write_instances(folder / INSTANCES, records)


def write_instances(path: Path, cells: Sequence[BaseModel]) -> None:
    """Write the rows of scored cells as Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {
            "track": cell.track,
            "dataset": cell.dataset,
            **row.model_dump(include={"problem_id", "sample", "empty", "parses"}),
            **{name: float(value) for name, value in (row.scores | row.counts).items()},
        }
        for cell in cells
        if isinstance(cell, ScoredCell)
        for row in cell.rows
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    parquet.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)


def completions_of(ledger: Ledger, record: StageRecord) -> tuple[Completion, ...]:
    """What a finished generate stage wrote."""
    return tuple(Completion.model_validate(row) for row in read_lines(_path(ledger, record)))


def verdicts_of(ledger: Ledger, record: StageRecord) -> tuple[Verdict, ...]:
    """What a finished execute stage found."""
    return tuple(with_reason(Verdict.model_validate(row)) for row in read_lines(_path(ledger, record)))


def cells_of(ledger: Ledger, record: StageRecord) -> tuple[ScoredCell, ...]:
    """What a finished score stage found."""
    cells = json.loads(_path(ledger, record).read_text(encoding="utf-8"))
    return tuple(ScoredCell.model_validate(cell) for cell in cells)


def _path(ledger: Ledger, record: StageRecord) -> Path:
    name = STAGES[record.stage].file
    return ledger.folder(record, under=name) / name


def write_summary(folder: Path, summary: BaseModel) -> None:
    """Write what a training did, as its process knows it."""
    (folder / SUMMARY).write_text(summary.model_dump_json(indent=1), encoding="utf-8")


def summary_in(folder: Path) -> dict[str, Any]:
    """What a training said of itself in an attempt's folder."""
    facts: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return facts


def curve_of(ledger: Ledger, record: StageRecord) -> tuple[dict[str, float], ...]:
    """Every row that a finished training logged, in order."""
    return curve_in(ledger.folder(record, under=f"{METRICS}/"))


def curve_in(attempt: Path) -> tuple[dict[str, float], ...]:
    """Every row that an attempt at a training has logged so far, in order.

    A line that is just being written, or that a crash cut off, ends the reading. A row without a time
    of its own has its chunk's.
    """
    rows: list[dict[str, float]] = []
    for chunk in sorted((attempt / METRICS).glob("*.jsonl")):
        written = chunk.stat().st_mtime
        for line in chunk.read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("}\n"):
                return tuple(rows)
            rows.append({"time": written, **json.loads(line)})
    return tuple(rows)


def weights_of(record: StageRecord) -> Mapping[str, int]:
    """The files of a finished training's weights, with their sizes in bytes."""
    folder = f"{record.facts['weights']}/"
    return {name: file.size_bytes for name, file in record.outputs.items() if name.startswith(folder)}


__all__ = [
    "INSTANCES",
    "METRICS",
    "SUMMARY",
    "ScoredCell",
    "ScoredRow",
    "cells_of",
    "completions_of",
    "curve_in",
    "curve_of",
    "summary_in",
    "verdicts_of",
    "weights_of",
    "write_instances",
    "write_results",
    "write_summary",
]
