"""Columns, families and margins, usual and at the edges, on which statistics are compared with R and with libraries.

One decision: cases are drawn from a seed, so that only what R said of them is stored. Values are rounded before use, so
that they are the same numbers in every language.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Two columns, paired by position."""

    name: str
    left: tuple[float, ...]
    right: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Differences by stratum and seed, a row a seed, with a margin."""

    name: str
    strata: tuple[tuple[tuple[float, ...], ...], ...]
    margin: float


def binary_columns() -> tuple[Columns, ...]:
    """Right and wrong: 60 pairs of columns."""
    edges = ((0, 0, 30), (12, 0, 30), (0, 7, 9), (1, 0, 5), (12, 12, 0), (12, 13, 40), (24, 0, 0), (25, 0, 0))
    rng = random.Random(1)
    drawn = [(rng.randrange(40), rng.randrange(40), rng.randrange(6, 200)) for _ in range(52)]
    return tuple(_binary(number, *counts) for number, counts in enumerate([*edges, *drawn]))


def _binary(number: int, only_a: int, only_b: int, agree: int) -> Columns:
    both, neither = agree // 2, agree - agree // 2
    return Columns(
        name=f"binary-{number}",
        left=(1.0,) * only_a + (0.0,) * only_b + (1.0,) * both + (0.0,) * neither,
        right=(0.0,) * only_a + (1.0,) * only_b + (1.0,) * both + (0.0,) * neither,
    )


def graded_columns() -> tuple[Columns, ...]:
    """Scores and counts: 60 pairs, of 6 to 300 values, with and without ties and equal pairs."""
    rng = random.Random(2)
    found = []
    for number in range(60):
        size = rng.choice((6, 7, 9, 12, 13, 14, 20, 50, 51, 120, 300))
        digits, shift, spread = rng.choice((0, 1, 6)), rng.choice((0.0, 0.5, 3.0)), rng.choice((1.0, 8.0))
        left = tuple(round(rng.gauss(50, 15), digits) for _ in range(size))
        right = tuple(round(value - shift + rng.gauss(0, spread), digits) for value in left)
        found.append(Columns(name=f"graded-{number}", left=left, right=right))
    return tuple(found)


def families() -> tuple[tuple[float, ...], ...]:
    """40 families of p-values, with ties, zeros and ones."""
    rng = random.Random(3)
    edges = ((0.03,), (1.0, 1.0), (0.0, 0.0, 1.0), (0.02,) * 5)
    drawn = (
        tuple(round(rng.random() ** 3, rng.choice((2, 12))) for _ in range(rng.randrange(2, 30))) for _ in range(36)
    )
    return (*edges, *drawn)


def margins() -> tuple[Margin, ...]:
    """40 sets of differences: one stratum, two strata, and one stratum of several seeds."""
    return tuple(_margins())


def _margins() -> Iterator[Margin]:
    rng = random.Random(4)
    for number in range(40):
        shape = ("one", "two", "seeds")[number % 3]
        seeds, strata = (rng.randrange(2, 6) if shape == "seeds" else 1), (2 if shape == "two" else 1)
        moved = [rng.gauss(0, rng.choice((0.0, 3.0))) for _ in range(seeds)]
        yield Margin(
            name=f"{shape}-{number}",
            strata=tuple(_stratum(rng, moved, rng.randrange(6, 120)) for _ in range(strata)),
            margin=rng.choice((1.0, 2.5, 5.0)),
        )


def _stratum(rng: random.Random, moved: list[float], size: int) -> tuple[tuple[float, ...], ...]:
    centre = rng.choice((0.0, 0.7, -2.0))
    ease = [rng.gauss(0, 4) for _ in range(size)]
    return tuple(tuple(round(centre + shift + one + rng.gauss(0, 4), 6) for one in ease) for shift in moved)


__all__ = ["Columns", "Margin", "binary_columns", "families", "graded_columns", "margins"]
