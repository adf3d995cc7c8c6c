"""The score stage's values of each completion, as a table that any tool reads.

One decision: a row is a completion, keyed by track, data set, problem and sample; every metric and count is
a column of its own, empty where it does not apply, so that two trials' files join by their keys alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, JsonValue

from orchestrator.stages import ScoredCell


def write_instances(path: Path, cells: Sequence[BaseModel]) -> None:
    """Write the rows of scored cells as Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {
            "track": cell.track,
            "dataset": cell.dataset,
            **{name: row[name] for name in ("problem_id", "sample", "empty", "parses")},
            **_columns(row["scores"]),
            **_columns(row["counts"]),
        }
        for cell in cells
        if isinstance(cell, ScoredCell)
        for row in cell.rows
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    parquet.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)


def _columns(values: JsonValue) -> dict[str, float]:
    return {name: float(str(value)) for name, value in values.items()} if isinstance(values, Mapping) else {}


__all__ = ["write_instances"]
