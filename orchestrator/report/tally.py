"""What verdicts amount to: counts, pass@k, shares, and what could not be judged. Pure.

One decision: an unjudged sample counts neither for nor against anybody: it is no sample of pass@k, and
stands beside the figures with its reason. A k that a problem has too few samples for has no figure.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from evaluators.passk import mean_pass_at_k
from tasks.records import UnjudgedReason, Verdict, VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """pass@k by k, and for each k without a figure the reason."""

    pass_at: Mapping[str, float]
    missing: Mapping[str, str] = field(default_factory=dict)


def pass_at(verdicts: Iterable[Verdict], *, ks: Sequence[int], among: Collection[str] | None = None) -> Figures:
    """pass@k over problems with a judged sample, or over those `among` them."""
    judged: dict[str, list[bool]] = {}
    for verdict in verdicts:
        if verdict.verdict != "unjudged" and (among is None or verdict.task_id in among):
            judged.setdefault(verdict.task_id, []).append(verdict.verdict == "passed")
    counts = [(len(passed), sum(passed)) for passed in judged.values()]
    found: dict[str, float] = {}
    missing: dict[str, str] = {}
    for k in ks:
        try:
            found[str(k)] = mean_pass_at_k(counts, k=k)
        except ValueError as error:
            missing[str(k)] = str(error)
    return Figures(pass_at=found, missing=missing)


def count_verdicts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many of each verdict there are, in the order that verdicts are listed in; absent ones left out."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    return {name: counts[name] for name in get_args(VerdictName) if counts[name]}


def count_strengths(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many ran apart from the expected answers, and how many in their process."""
    counts = Counter(verdict.strength for verdict in verdicts)
    return {name: counts[name] for name in ("apart", "in-process") if counts[name]}


def isolation_of(verdicts: Iterable[Verdict]) -> str:
    """The classes that programs ran under; `none` only where that was asked for, empty where nothing ran."""
    return ", ".join(sorted({v.isolation for v in verdicts if v.isolation is not None}))


def reasons(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Why samples were not judged, the most frequent first."""
    unjudged = (folded(v.detail, v.reason) for v in verdicts if v.verdict == "unjudged")
    return dict(Counter(unjudged).most_common())


def folded(detail: str, reason: UnjudgedReason | None) -> str:
    """Why a completion was not judged, in words that it shares with its like: a compiler names a line of each."""
    if reason != UnjudgedReason.TOOLCHAIN_TOO_OLD:
        return detail
    return f"not judged: the compiler here is too old for the program; {detail.rpartition('; ')[2]}"


def how_it_ran(verdicts: Sequence[Verdict]) -> str:
    """Isolation and shares as one phrase: `strict (92.3 % apart, 7.7 % in-process)`; empty where nothing ran."""
    isolation, strengths = isolation_of(verdicts), count_strengths(v for v in verdicts if v.isolation is not None)
    if not isolation:
        return ""
    total = sum(strengths.values())
    return f"{isolation} ({', '.join(f'{100 * n / total:.1f} % {name}' for name, n in strengths.items())})"


__all__ = ["Figures", "count_strengths", "count_verdicts", "folded", "how_it_ran", "isolation_of", "pass_at", "reasons"]
