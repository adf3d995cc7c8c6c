"""Statistics equal what R says of 200 cases, to nine decimals.

`peer_figures.json` holds what R's own functions said; `python -m benchmarks.statistics_peers --write` asks R again, and
compares with scipy and statsmodels besides.
"""

import json
import math
from pathlib import Path

import pytest

from tests.orchestrator.report.peer_cases import binary_columns, families, graded_columns, margins
from tests.orchestrator.report.peer_figures import Figures, figures

R: Figures = json.loads(Path(__file__).with_name("peer_figures.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ours() -> Figures:
    return figures()


def test_there_are_two_hundred_cases() -> None:
    assert len(binary_columns()) + len(graded_columns()) + len(families()) + len(margins()) == 200


@pytest.mark.parametrize("kind", sorted({f"{name.split('-')[0]} {name.rpartition('.')[2]}" for name in R}))
def test_figures_are_those_of_r(ours: Figures, kind: str) -> None:
    group, _, figure = kind.partition(" ")
    names = [name for name in R if name.startswith(f"{group}-") and name.endswith(f".{figure}")]
    assert names
    for name in names:
        assert all(math.isfinite(value) for value in R[name])
        assert ours[name] == pytest.approx(R[name], rel=1e-9, abs=1e-9), name
