"""The score stage's rows as Parquet: one row a completion, joined by its keys."""

from pathlib import Path

import pyarrow.parquet as parquet
from small_studies import complete, problem, prose_problem, reference

from orchestrator.ledger.artifacts import write_instances
from orchestrator.work.score import score_cell


def test_rows_of_all_cells_stand_in_one_table_by_their_keys(tmp_path: Path) -> None:
    code, prose = [problem(1), problem(2)], [prose_problem(1)]
    cells = [
        score_cell(code, [complete(code[0], reference(1)), complete(code[1], "")], quality=False),
        score_cell(prose, [complete(prose[0], "Adds 1.")], quality=False),
    ]
    write_instances(tmp_path / "instances.parquet", cells)
    rows = parquet.read_table(tmp_path / "instances.parquet").to_pylist()
    assert [(row["track"], row["problem_id"], row["sample"], row["empty"]) for row in rows] == [
        ("generation/python", "small/1", 0, False),
        ("generation/python", "small/2", 0, True),
        ("summarization/python", "prose/1", 0, False),
    ]
    assert [row["codebleu"] for row in rows] == [100.0, 0.0, None]
    assert rows[2]["rouge_l"] == cells[1].rows[0].scores["rouge_l"]
