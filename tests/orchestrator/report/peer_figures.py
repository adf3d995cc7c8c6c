"""What the project's statistics say of the cases that they are compared on, by case and kind of figure."""

import numpy as np

from orchestrator.report.statistics import (
    Comparison,
    benjamini_hochberg,
    compare,
    holm,
    mean_difference,
    wilson_interval,
)
from tests.orchestrator.report.peer_cases import Columns, binary_columns, families, graded_columns, margins

Figures = dict[str, list[float]]


def figures() -> Figures:
    """Every figure of every case."""
    found: Figures = {}
    for case in binary_columns():
        told = _compared(case)
        assert told.ci is not None
        found[f"{case.name}.test"] = [told.statistic, told.p_value]
        found[f"{case.name}.odds"] = [told.effect_size, *told.ci]
        found[f"{case.name}.wilson"] = list(wilson_interval(round(sum(case.left)), total=len(case.left)) or ())
    for case in graded_columns():
        told, normal = _compared(case), _compared(case, normal=True)
        found[f"{case.name}.test"] = [told.statistic, told.p_value]
        found[f"{case.name}.normal"] = [normal.p_value]
        found[f"{case.name}.delta"] = [told.effect_size, told.paired_effect]
    for number, family in enumerate(families()):
        found[f"family-{number}.holm"] = list(holm(family))
        found[f"family-{number}.bh"] = list(benjamini_hochberg(family))
    return found | _margin_figures()


def _compared(case: Columns, *, normal: bool = False) -> Comparison:
    left, right = ({str(place): value for place, value in enumerate(side)} for side in (case.left, case.right))
    test = "mcnemar" if case.name.startswith("binary") else "wilcoxon-normal" if normal else "wilcoxon"
    found = compare(left, right, test=test)
    assert isinstance(found, Comparison)
    return found


def _margin_figures() -> Figures:
    found: Figures = {}
    for case in margins():
        told = mean_difference([np.array(stratum) for stratum in case.strata], coarse=False)
        found[f"{case.name}.mean"] = [told.mean, *told.interval(), told.p_difference()]
        found[f"{case.name}.margin"] = [told.p_equivalence(case.margin), told.p_not_worse(case.margin)]
        if case.name.startswith("seeds"):
            found[f"{case.name}.parts"] = [told.between_problems, told.between_seeds]
    return found


__all__ = ["Figures", "figures"]
