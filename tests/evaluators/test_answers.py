"""Answers as models write them: the program that is extracted is the one that a careful person takes.

One decision: an answer that is read otherwise is marked here with its reason, and the mark fails as soon as
the answer is read as expected, so that the list holds exactly what is known to be missed.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.evaluators.answers_corpus import ENTRIES, expected, extracted

MISSED: Mapping[str, str] = {}


def entries() -> list[Any]:
    return [
        pytest.param(
            entry,
            id=entry["id"],
            marks=[pytest.mark.xfail(reason=MISSED[entry["id"]], strict=True)] if entry["id"] in MISSED else [],
        )
        for entry in ENTRIES
    ]


@pytest.mark.parametrize("entry", entries())
def test_program_is_the_one_that_a_person_takes(entry: Mapping[str, Any]) -> None:
    assert extracted(entry) == expected(entry)


def test_nearly_all_answers_are_read_as_a_person_does() -> None:
    assert len(MISSED) <= 0.05 * len(ENTRIES)
    assert set(MISSED) <= {entry["id"] for entry in ENTRIES}
