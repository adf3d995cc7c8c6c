"""pass@k: how likely one of k samples is to pass, estimated from n of them.

One decision: too few samples is an error, never a number; a mean over problems whose sample counts differ
takes each problem's own estimate, and is refused where one of them has none.
"""

from collections.abc import Iterable
from math import prod


def pass_at_k(num_samples: int, num_correct: int, *, k: int) -> float:
    """Unbiased probability, 0-1, that one of k draws without replacement passes (Chen et al. 2021, eq. 1).

    Computed as 1 - prod(1 - k/i) for i from n-c+1 to n, which never forms a large binomial.

    Raises:
        ValueError: if `k` is below 1 or exceeds `num_samples`, where the estimator is undefined, or
            if `num_correct` is not between 0 and `num_samples`.
    """
    if not 1 <= k <= num_samples:
        raise ValueError(f"k must be from 1 to the number of samples, {num_samples}, got {k}; draw more or lower k")
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"num_correct must be from 0 to the number of samples, {num_samples}, got {num_correct}")
    if num_samples - num_correct < k:
        return 1.0
    return 1.0 - prod(1.0 - k / i for i in range(num_samples - num_correct + 1, num_samples + 1))


def mean_pass_at_k(counts: Iterable[tuple[int, int]], *, k: int) -> float:
    """The mean of `pass_at_k` over problems, each with its own (number of samples, number correct).

    Raises:
        ValueError: if there is no problem, or one of them has fewer than `k` samples.
    """
    problems = list(counts)
    if not problems:
        raise ValueError("no problem has a judged sample")
    fewest = min(num_samples for num_samples, _ in problems)
    short = sum(num_samples < k for num_samples, _ in problems)
    if short:
        noun = "problem has" if short == 1 else "problems have"
        raise ValueError(f"{short} {noun} fewer than {k} judged samples, the fewest {fewest}")
    return sum(pass_at_k(n, c, k=k) for n, c in problems) / len(problems)


__all__ = ["mean_pass_at_k", "pass_at_k"]
