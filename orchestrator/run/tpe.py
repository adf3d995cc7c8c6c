"""Candidates that learn from those before: Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

One decision: what is asked next is a pure function of the search and of what earlier candidates came to, so a
search that was cut off asks for the same again and finds its trainings in the ledger. Optuna remembers nothing.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from orchestrator.study.space import TPE_START, Range, Search, Values, counts

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# How many are asked for at once, and may be trained side by side; fixed, so that no machine finds another winner.
ROUND = 4


def ask(search: Search, seen: Sequence[tuple[Values, float | None]]) -> tuple[Values, ...]:
    """The next candidates after those `seen`, each with its metric or None if it has none; empty at the end."""
    import optuna

    wanted = min(ROUND, search.num_trials - len(seen))
    if wanted <= 0:
        return ()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {key: _distribution(key, entry) for key, entry in search.space.items()}
    with warnings.catch_warnings():
        # That several are asked for before any is told is marked as experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # A seed of our own may be any whole number, NumPy's has 32 bits.
        seed = (search.seeds[0] + len(seen)) % 2**32
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=TPE_START, multivariate=True, constant_liar=True
        )
    study = optuna.create_study(sampler=sampler, direction="minimize" if search.lowest else "maximize")
    for values, value in seen:
        study.add_trial(
            optuna.trial.create_trial(
                params={key: _coded(search.space[key], found) for key, found in values.items()},
                distributions=space,
                value=value,
                state=optuna.trial.TrialState.COMPLETE if value is not None else optuna.trial.TrialState.FAIL,
            )
        )
    asked = [study.ask(fixed_distributions=space).params for _ in range(wanted)]
    return tuple({key: _decoded(search.space[key], found[key]) for key in search.space} for found in asked)


def _distribution(key: str, entry: Range) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if entry.choice:
        return CategoricalDistribution(tuple(range(len(entry.choice))))
    low, high = entry.log_uniform or entry.uniform or (0.0, 1.0)
    if counts(key):
        return IntDistribution(round(low), round(high), log=entry.log_uniform is not None)
    return FloatDistribution(low, high, log=entry.log_uniform is not None)


def _coded(entry: Range, value: JsonValue) -> Any:
    return entry.choice.index(value) if entry.choice else value


def _decoded(entry: Range, found: Any) -> JsonValue:
    value: JsonValue = entry.choice[found] if entry.choice else found
    return value


__all__ = ["ROUND", "ask"]
