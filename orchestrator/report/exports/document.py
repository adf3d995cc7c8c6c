"""All findings as one JSON document.

One decision: its lists are the sheets, under the sheets' names and columns, so that one description serves CSV,
Parquet and JSON. `version` counts changes that a reader of older documents would trip over.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.report.answer import compose_answer
from orchestrator.report.citing import cite_block
from orchestrator.report.doubts import list_doubts
from orchestrator.report.exports.sheets import Sheet, Value
from orchestrator.report.findings import Findings

VERSION = 1


def make_document(findings: Findings, sheets: Sequence[Sheet]) -> dict[str, Any]:
    """The document of these sheets, ready for JSON: no value is infinite or not a number."""
    results = findings.results
    return {
        "version": VERSION,
        "study": results.study,
        "question": results.asked.model_dump(mode="json") | {"text": results.question},
        "answer": compose_answer(findings),
        "warnings": [
            {
                "kind": doubt.kind,
                "text": doubt.text,
                "where": list(doubt.where),
                "touches": [f"{verdict.first} against {verdict.second}" for verdict in doubt.touches],
            }
            for doubt in list_doubts(findings)
        ],
        **{sheet.name: list_rows(sheet) for sheet in sheets},
        "cite": {part.title.lower(): [list(entry) for entry in part.entries] for part in cite_block(findings)},
        "setup": [asdict(trial) for trial in results.setup.trials],
    }


def list_rows(sheet: Sheet) -> list[dict[str, Value]]:
    """A sheet's rows as JSON has them, every column in each."""
    names = [field.name for field in sheet.fields]
    return [dict(zip(names, map(_finite, row), strict=True)) for row in sheet.read()]


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = ["VERSION", "list_rows", "make_document"]
