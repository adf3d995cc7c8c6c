"""Compare columns of anybody's tables, paired by id: the tests to make, and what they show.

One decision: nothing is paired by row number. Two tables of the same length may hold other problems or
another order, so an id is always asked for, and what only one side has is counted and said. Several tests in
one call are one family, and their p-values are corrected for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from evaluators.similarity import METRICS, Kind
from orchestrator.errors import InputError
from orchestrator.files.measured import Measured, ResultTable, unpaired_spellings
from orchestrator.report.statistics import CORRECTIONS, Comparison, NotComparable, Test, compare

_TESTS = ("auto", "mcnemar", "wilcoxon", "wilcoxon-normal")
ALPHA = 0.05


def compare_tables(
    files: Sequence[Path],
    metrics: Sequence[str],
    *,
    by: str | None = None,
    test: str = "auto",
    adjust: str = "holm",
    margin: float | None = None,
) -> tuple["Outcome", ...]:
    """Each table with each, metric by metric; with a `margin` also whether their means are equal within it.

    Raises:
        InputError: with every fault of the request; or, of one comparison alone, why there is none.
    """
    requests, faults = _requests(files, list(dict.fromkeys(metrics)), by=by, test=test, adjust=adjust, margin=margin)
    if faults:
        raise InputError("\n".join([f"{len(faults)} faults", *(f"  {f}" for f in faults)]) if faults[1:] else faults[0])
    outcomes = _corrected([request.run() for request in requests], adjust=adjust)
    if len(outcomes) == 1 and isinstance(found := outcomes[0].found, NotComparable):
        request, notes = requests[0], "".join(f"; {note}" for note in outcomes[0].notes)
        raise InputError(f"{request.a} and {request.b} cannot be compared: {found.reason} ({found.dropped} ids){notes}")
    return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One test to make."""

    a: Path
    b: Path
    metric: str
    left: Measured
    right: Measured
    test: Test
    margin: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What notes name it by."""
        return f"{self.metric}, {self.a} and {self.b}"

    def run(self) -> "Outcome":
        """What it shows."""
        found = compare(self.left.values, self.right.values, test=self.test, margin=self.margin)
        return Outcome(request=self, found=found, notes=self.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a test showed; `p_adjusted` is None where it is alone or not of the family, as is `p_equal`, of a margin."""

    request: Request
    found: Comparison | NotComparable
    notes: tuple[str, ...]
    p_adjusted: float | None = None
    p_equal: float | None = None

    @property
    def in_family(self) -> bool:
        """Whether it could have shown a difference, and so counts among those that p-values are corrected for."""
        return isinstance(self.found, Comparison) and not self.found.untested

    @property
    def is_equal(self) -> bool | None:
        """Whether the means are shown to be equal within the margin; None where none was given or nothing tested."""
        found = self.found
        if not isinstance(found, Comparison) or found.untested or found.equivalence is None:
            return None
        return (found.equivalence.p_equivalence if self.p_equal is None else self.p_equal) < ALPHA


def _requests(
    files: Sequence[Path], metrics: Sequence[str], *, by: str | None, test: str, adjust: str, margin: float | None
) -> tuple[list[Request], list[str]]:
    """The tests to make, or every fault of the request."""
    faults = [] if test in _TESTS else [f"--test {test!r}: is unknown; the tests are {', '.join(_TESTS)}"]
    faults += [] if adjust in CORRECTIONS else [f"--adjust {adjust!r}: is unknown; give {', '.join(CORRECTIONS)}"]
    if margin is not None and not 0 < margin < math.inf:
        faults.append(f"--margin {margin:g}: a margin is above 0, the largest difference that still counts as equal")
    faults += [] if files[1:] else [f"compare needs two tables or more, got {len(files)}"]
    tables = [ResultTable(path) for path in files]
    faults += [fault for table in tables for fault in table.faults]
    if faults:
        return [], faults
    measured = {(t.path, metric): t.measured(metric, by=by) for t in tables for metric in metrics}
    faults += dict.fromkeys(fault for column in measured.values() for fault in column.faults)
    requests = []
    for metric in metrics if not faults else []:
        chosen, unsaid = _choose_test(metric, tables, measured, test=test)
        faults += unsaid
        if chosen is not None:
            columns = {t.path: _scaled(measured[t.path, metric], chosen) for t in tables}
            requests += [
                replace(_request(a.path, b.path, metric, columns, chosen), margin=margin)
                for a, b in combinations(tables, 2)
            ]
    return requests, faults


def _choose_test(
    metric: str, tables: Sequence[ResultTable], measured: Mapping[tuple[Path, str], Measured], *, test: str
) -> tuple[Test | None, list[str]]:
    """The test for a metric over all tables, by its kind unless it is given; or why there is none."""
    columns = [(table.path, measured[table.path, metric]) for table in tables]
    averaged = any(column.averaged for _, column in columns)
    if test == "auto":
        kinds = {column.kind for _, column in columns} - {None}
        if not kinds:
            return None, [
                f"--metric {metric}: nothing says what it is (no metric of ours, no column of true and false); "
                "give --test mcnemar if it is right or wrong, --test wilcoxon if it is a score or a count"
            ]
        # A mean over samples is a share of each problem, and so a score of it.
        test = "mcnemar" if Kind.SHARE in kinds and not averaged else "wilcoxon"
    if test != "mcnemar":
        return ("wilcoxon-normal" if test == "wilcoxon-normal" else "wilcoxon"), []
    wrong = [
        f"{path}: {metric} is to be right or wrong, 1 or 0 (or 100 or 0), but has {_odd(column)}; "
        "give --test wilcoxon for scores"
        for path, column in columns
        if column.as_shares() is None
    ]
    return (None if wrong else "mcnemar"), wrong


def _odd(column: Measured) -> str:
    return f"{next(value for value in sorted(column.present) if value not in (0.0, 1.0, 100.0) or value == 1.0):g}"


def _scaled(column: Measured, test: Test) -> Measured:
    return (column.as_shares() or column) if test == "mcnemar" else column


def _request(a: Path, b: Path, metric: str, columns: Mapping[Path, Measured], test: Test) -> Request:
    left, right = columns[a], columns[b]
    notes = []
    if left.averaged or right.averaged:
        notes.append("several samples of a problem are one value, their mean")
    spelt = unpaired_spellings(left.values, right.values)
    if spelt is not None:
        mine, other, count = spelt
        notes.append(f"{count} ids differ only in how they are written, as {mine!r} and {other!r}; they are not paired")
    if left.id_type != right.id_type and {a.suffix, b.suffix}.isdisjoint({".csv", ".tsv"}):
        notes.append(
            f"ids are {left.id_type}s in {a} and {right.id_type}s in {b}; they are paired by what they read as"
        )
    highest = sorted(max(column.present, default=0.0) for column in (left, right))
    if test != "mcnemar" and _is_percent(metric) and 0 < highest[0] <= 1 < highest[1]:
        notes.append(f"one table has no value above {highest[0]:g}, the other up to {highest[1]:g}: one scale or two?")
    return Request(a=a, b=b, metric=metric, left=left, right=right, test=test, notes=tuple(notes))


def _is_percent(metric: str) -> bool:
    return metric in METRICS and METRICS[metric].scale[1] == 100


def _corrected(outcomes: Sequence[Outcome], *, adjust: str) -> tuple[Outcome, ...]:
    """The outcomes with p-values corrected for the family of those that could have shown a difference."""
    if adjust == "none" or len(outcomes) == 1:
        return tuple(outcomes)
    correct = CORRECTIONS[adjust]
    family = [o.found for o in outcomes if o.in_family and isinstance(o.found, Comparison)]
    differ = iter(correct([found.p_value for found in family]))
    equal = iter(correct([found.equivalence.p_equivalence for found in family if found.equivalence]))
    return tuple(replace(o, p_adjusted=next(differ), p_equal=next(equal, None)) if o.in_family else o for o in outcomes)


__all__ = ["Outcome", "Request", "compare_tables"]
