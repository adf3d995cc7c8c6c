"""What training several tasks together does to each of them: the matrix of together less alone.

One decision: a task's entry is the paired difference, problem by problem, with its interval. A matrix of bare means
would show interference in every study, for no two trainings are equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.contrasts import Contrast
from orchestrator.report.evidence import Place
from orchestrator.report.findings import Findings
from orchestrator.report.layout import Cell, Column, Table, count_nouns, format_number, format_range, label, labels
from orchestrator.report.pictures import PALETTE, Frame
from orchestrator.report.scores import PASS, Measure, Score
from orchestrator.report.statistics import FEWEST, Interval, mean_difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What training together changed at one place, in points: above 0, the tasks help each other there.

    `interval` is the 95 % interval over problems and, where there are several, over `seeds`.
    """

    model: str
    together: str
    alone: str
    measure: Measure
    points: float
    interval: Interval | None
    problems: int
    seeds: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high


def list_effects(findings: Findings) -> tuple[Effect, ...]:
    """Every effect of training together, by model, pair of ways and place, over all seeds."""
    groups: dict[tuple[_Key, Measure], list[Contrast]] = {}
    chosen = _choose_measures(findings)
    for item in findings.contrasts:
        grouping = (item.first.grouping, item.second.grouping)
        alike = item.first.kind == item.second.kind and not item.first.is_frozen
        if alike and grouping == ("together", "apart") and item.measure in chosen:
            key = (item.first.model, item.first.way, item.second.way)
            groups.setdefault((key, item.measure), []).append(item)
    effects = (_measure(findings, key, measure, items) for (key, measure), items in groups.items())
    return tuple(effect for effect in effects if effect is not None)


def _choose_measures(findings: Findings) -> set[Measure]:
    """One measure of each place: pass@1 where there are tests, else the first headline."""
    chosen: dict[Place, Measure] = {}
    for measure in findings.measures:
        if measure.place not in chosen or measure.metric == PASS:
            chosen[measure.place] = measure
    return set(chosen.values())


def _measure(findings: Findings, key: _Key, measure: Measure, contrasts: Sequence[Contrast]) -> Effect | None:
    """The effect over the problems that every seed has on both sides, as the verdicts estimate theirs."""
    import numpy as np

    scale = 100 if measure.metric == PASS else 1
    pairs = [(findings.score(item.first, measure), findings.score(item.second, measure)) for item in contrasts]
    sides = [
        (one.per_problem, two.per_problem) for one, two in pairs if isinstance(one, Score) and isinstance(two, Score)
    ]
    if not sides:
        return None
    shared = sorted(set.intersection(*(set(one) & set(two) for one, two in sides)))
    differences = np.array([[scale * (one[key] - two[key]) for key in shared] for one, two in sides], dtype=float)
    kept = differences[:, np.isfinite(differences).all(axis=0)]
    if kept.shape[1] < FEWEST:
        return None
    found = mean_difference([kept], coarse=measure.metric == PASS)
    return Effect(
        model=key[0],
        together=key[1],
        alone=key[2],
        measure=measure,
        points=found.mean,
        interval=found.interval(),
        problems=found.problems,
        seeds=found.seeds,
    )


def build_interference_table(findings: Findings) -> Table:
    """The matrix as a table: a row a model and pair of ways, a column a place."""
    effects = list_effects(findings)
    measures = list(dict.fromkeys(effect.measure for effect in effects))
    rows = _by_row(effects)
    return Table(
        name="interference",
        title="Together minus alone, task by task",
        columns=(
            *labels("model", "together", "alone"),
            *(Column(title=measure.title, group=measure.place.title) for measure in measures),
        ),
        rows=tuple(
            (*map(label, key), *(_show(found.get(measure)) for measure in measures)) for key, found in rows.items()
        ),
        caption=_CAPTION,
    )


_CAPTION = (
    "Points that training all tasks together adds to each task (below zero: that it costs), paired by problem, with "
    "95 % intervals over problems and seeds."
)


def _show(effect: Effect | None) -> Cell:
    if effect is None:
        return Cell(text="not comparable", warning=True)
    seeds = count_nouns(effect.seeds, "seed") if effect.seeds > 1 else ""
    return Cell(
        text=format_number(effect.points, signed=True), value=effect.points, interval=effect.interval, detail=seeds
    )


def _by_row(effects: Sequence[Effect]) -> Mapping[_Key, Mapping[Measure, Effect]]:
    rows: dict[_Key, dict[Measure, Effect]] = {}
    for effect in effects:
        rows.setdefault((effect.model, effect.together, effect.alone), {})[effect.measure] = effect
    return rows


def draw_interference(findings: Findings, frame: Frame) -> "Figure | None":
    """The matrix in colours: blue where tasks help each other, orange where they harm, bold where that is clear."""
    from matplotlib.figure import Figure

    effects = list_effects(findings)
    if not effects:
        return None
    rows = _by_row(effects)
    measures = list(dict.fromkeys(effect.measure for effect in effects))
    reach = max(abs(effect.points) for effect in effects) or 1.0
    several = len({model for model, _, _ in rows}) > 1
    pairs = [f"{model}\n{one}" if several else f"{one}\nminus {two}" for model, one, two in rows]
    places = [measure.place.title.replace("/", "/\n", 1) + f"\n{measure.title}" for measure in measures]
    cells = [[found.get(measure) for measure in measures] for found in rows.values()]
    if frame.across == 1:
        # A telephone is higher than wide: places go down the side.
        pairs, places, cells = places, pairs, [list(column) for column in zip(*cells, strict=True)]
    figure = Figure(figsize=(min(frame.width, 2.2 + 1.5 * len(places)), 0.62 * len(pairs) + 0.75))
    panel = figure.subplots()
    for line, found in enumerate(cells):
        for column, effect in enumerate(found):
            _draw_effect(panel, effect, at=(column, line), reach=reach)
    panel.set_yticks(range(len(pairs)), pairs)
    panel.set_xticks(range(len(places)), places, color=PALETTE["ink"])
    panel.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False)
    panel.set(xlim=(-0.5, len(places) - 0.5), ylim=(len(pairs) - 0.5, -0.5))
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    return figure


def _draw_effect(panel: "Axes", effect: Effect | None, *, at: tuple[int, int], reach: float) -> None:
    from matplotlib.patches import Rectangle

    column, line = at
    corner = (column - 0.48, line - 0.46)
    if effect is None:
        panel.text(column, line, "not comparable", ha="center", va="center", style="italic", color=PALETTE["soft"])
        return
    colour = PALETTE["gain" if effect.points > 0 else "loss"]
    strength = 0.08 + 0.5 * abs(effect.points) / reach
    panel.add_patch(Rectangle(corner, 0.96, 0.92, facecolor=colour, alpha=strength, edgecolor="none"))
    weight = "bold" if effect.is_clear else "normal"
    text = format_number(effect.points, signed=True)
    panel.text(column, line - 0.13, text, ha="center", va="center", fontsize=10, fontweight=weight)
    if effect.interval:
        small = format_range(*effect.interval)
        panel.text(column, line + 0.22, small, ha="center", va="center", fontsize=7.5)


__all__ = ["Effect", "build_interference_table", "draw_interference", "list_effects"]
