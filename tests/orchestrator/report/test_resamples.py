"""Resamples that are drawn once for all tables are those that scipy draws."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from orchestrator.report.statistics import bootstrap_interval
from orchestrator.report.statistics.resamples import RESAMPLES, resample_counts


@pytest.mark.parametrize("size", [2, 7, 300, 5000, 10_001])
def test_interval_is_scipy_s(size: int) -> None:
    values = np.random.default_rng(size).uniform(0, 100, size)
    scipys = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // size),
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert bootstrap_interval(list(values), seed=3) == pytest.approx((scipys.low, scipys.high), rel=1e-12)


def test_each_resample_has_as_many_values_as_there_are() -> None:
    blocks = list(resample_counts(900, seed=1))
    assert sum(len(block) for block in blocks) == RESAMPLES
    assert {total for block in blocks for total in block.sum(axis=1)} == {900.0}


def test_same_seed_draws_the_same_and_another_does_not() -> None:
    first, again, other = (np.concatenate(list(resample_counts(50, seed=seed))) for seed in (4, 4, 5))
    assert (first == again).all()
    assert not (first == other).all()
