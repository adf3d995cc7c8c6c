"""Corrections of a family of p-values for there being several.

One decision: a correction is a function from p-values to p-values in the same order, so that whoever corrects need not
know which it is.
"""

from collections.abc import Callable, Mapping, Sequence


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's (1979) step-down adjustment of one family of p-values, in the order given."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Benjamini and Hochberg's (1995) step-up adjustment of one family of p-values, in the order given."""
    adjusted = [0.0] * len(p_values)
    running = 1.0
    ordered = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in reversed(list(enumerate(ordered, 1))):
        running = min(running, len(p_values) / rank * p_values[index])
        adjusted[index] = running
    return tuple(adjusted)


def uncorrected(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values as they are: for figures that are to be set beside tables that corrected nothing."""
    return tuple(p_values)


CORRECTIONS: Mapping[str, Callable[[Sequence[float]], tuple[float, ...]]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
    "none": uncorrected,
}

__all__ = ["CORRECTIONS", "benjamini_hochberg", "holm", "uncorrected"]
