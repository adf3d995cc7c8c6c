"""Test whether tables of results differ, from Python.

One decision: tests of one call are one family, as on the command line; whoever wants them apart calls twice.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from polytune.values import as_files

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.files.comparing import Outcome
    from polytune.values import Rows

    Interval = tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One test of one metric between two tables, `a` and `b`, which are called by their letters or their paths.

    Attributes:
        n: Pairs behind it; `dropped` ids lack a value on a side.
        difference: mean(a) - mean(b), with its 95 % interval.
        test: mcnemar-exact, mcnemar-chi2, wilcoxon or wilcoxon-normal; `form` says where its p-value comes from.
        p_adjusted: The p-value corrected for the family; None where it is alone or could not show a difference.
        effect: odds_ratio (above 1: a is higher) or cliffs_delta (above 0: a is higher), with its size and interval.
        paired_effect: Cliff's delta within pairs: the share of pairs in which a is higher less that in which b is.
        equal: Whether the means are shown to be equal within `margin`, after correction.
        p_equivalence: Of a difference of the margin or more, not corrected; `p_not_worse`: of a being lower by so much.
        needed: Pairs with which a study would decide.
        detectable: The smallest difference that these pairs show in four of five cases.
        notes: What to know of the pairing and of the figures.

    Figures are None where the two cannot be compared; `notes` say why.
    """

    metric: str
    a: str
    b: str
    n: int
    dropped: int
    difference: float | None = None
    difference_ci: "Interval" = None
    test: str | None = None
    form: str | None = None
    statistic: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    effect: str | None = None
    effect_size: float | None = None
    effect_ci: "Interval" = None
    magnitude: str = ""
    paired_effect: float | None = None
    margin: float | None = None
    equal: bool | None = None
    p_equivalence: float | None = None
    p_not_worse: float | None = None
    needed: int | None = None
    detectable: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """The tests of one call, each table with each, metric by metric; `adjust` corrected their p-values."""

    differences: tuple[Difference, ...]
    adjust: str

    @property
    def only(self) -> Difference:
        """The difference, where there is just one.

        Raises:
            ValueError: if there are several.
        """
        if len(self.differences) != 1:
            raise ValueError(
                f"there are {len(self.differences)} differences; take them from `differences` or `frame()`"
            )
        return self.differences[0]

    def frame(self) -> "pd.DataFrame":
        """A row for each test, with the fields of `Difference`."""
        import pandas as pd

        return pd.DataFrame([asdict(d) for d in self.differences], columns=[f.name for f in fields(Difference)])


def compare(
    a: "Rows",
    b: "Rows",
    *others: "Rows",
    metric: str | Sequence[str],
    by: str | None = None,
    test: str = "auto",
    adjust: str = "holm",
    margin: float | None = None,
) -> Comparisons:
    """Test whether tables differ, paired by id, as `polytune compare` does.

    Args:
        a: A file, a data frame or dicts, with an id and the metric a row.
        b: The table to compare it with.
        others: Further tables, called `c`, `d`, ...; each is compared with each.
        metric: The column to compare, or several.
        by: The column to pair by; by default `id`, `task_id`, `problem_id`, ...
        test: `auto`, `mcnemar` (right or wrong), `wilcoxon` (scores, counts) or `wilcoxon-normal`.
        adjust: Over several comparisons: `holm`, `bh` (Benjamini-Hochberg) or `none`.
        margin: The largest difference of means that still counts as equal, in points of 100 for right and wrong, else
            in the column's unit; with it, equivalence is tested besides.

    Raises:
        PolytuneError: with every fault of the tables and settings; or, of one test alone, why there is none.

    >>> a = pd.DataFrame({"id": range(12), "bleu": [50 + i for i in range(12)]})
    >>> b = pd.DataFrame({"id": range(12), "bleu": [40 + i / 2 for i in range(12)]})
    >>> found = polytune.compare(a, b, metric="bleu").only
    >>> found.test, found.n, found.difference, round(found.p_value, 4)
    ('wilcoxon', 12, 12.75, 0.0005)
    >>> polytune.compare(a, b, metric="bleu", margin=20).only.equal
    True
    """
    from orchestrator.files.comparing import compare_tables

    tables = {chr(ord("a") + number): table for number, table in enumerate((a, b, *others))}
    metrics = [metric] if isinstance(metric, str) else list(metric)
    with as_files(**tables) as files:
        outcomes = compare_tables(list(files.values()), metrics, by=by, test=test, adjust=adjust, margin=margin)
    names = {path: str(path) if isinstance(tables[name], str | Path) else name for name, path in files.items()}
    found = [_difference(outcome, names[outcome.request.a], names[outcome.request.b]) for outcome in outcomes]
    return Comparisons(differences=tuple(found), adjust=adjust)


def _difference(outcome: "Outcome", a: str, b: str) -> Difference:
    from orchestrator.report.statistics import NotComparable

    found, metric = outcome.found, outcome.request.metric
    if isinstance(found, NotComparable):
        notes = (found.reason, *outcome.notes)
        return Difference(metric=metric, a=a, b=b, n=0, dropped=found.dropped, notes=notes)
    said = [text for text in (found.untested, found.note) if text]
    equivalence = {} if found.untested or found.equivalence is None else asdict(found.equivalence)
    return Difference(
        metric=metric,
        a=a,
        b=b,
        n=found.n,
        dropped=found.dropped,
        difference=found.difference,
        difference_ci=found.difference_ci and (found.difference_ci.low, found.difference_ci.high),
        test=found.test,
        form=found.form,
        statistic=found.statistic,
        p_value=None if found.untested else found.p_value,
        p_adjusted=outcome.p_adjusted,
        effect=found.effect,
        effect_size=found.effect_size,
        effect_ci=found.ci and (found.ci.low, found.ci.high),
        magnitude=found.magnitude,
        paired_effect=found.paired_effect,
        equal=outcome.is_equal,
        notes=(*said, *outcome.notes),
        **equivalence,
    )


__all__ = ["Comparisons", "Difference", "compare"]
