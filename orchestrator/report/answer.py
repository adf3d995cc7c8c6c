"""The answer: verdicts grouped as a reader asks for them, and three sentences made from the same figures.

One decision: nothing is said here that is not in a verdict, a cost or a warning; what is "better" or "as good as" was
decided by the tests, and these words only pass it on, with the seeds and problems behind them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from orchestrator.report.doubts import list_doubts, main_verdicts
from orchestrator.report.findings import Findings
from orchestrator.report.layout import count_nouns, format_number, format_range, format_seconds, format_usd
from orchestrator.report.methodcosts import MethodCost, average_scores, list_costs
from orchestrator.report.scores import title_metric
from orchestrator.report.verdicts import Verdict

NO_ANSWER = "no answer"
SIGNS: Mapping[str, str] = {
    "as good as": "=",
    "better": "+",
    "worse": "\N{MINUS SIGN}",
    "not decided": "?",
    NO_ANSWER: "·",
}
"""A sign beside each wording, so that no verdict is told by its colour alone."""
_LONGEST = 3
"""Methods whose cost a sentence names one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One verdict as the first screen shows it: what it is of, its word, its effect, and what it rests on."""

    verdict: Verdict
    name: str
    wording: str
    effect: str
    interval: str
    basis: str
    outlook: str

    @property
    def sign(self) -> str:
        """The wording's sign."""
        return SIGNS[self.wording]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The claims of one pair of ways, under the words of the pair."""

    title: str
    claims: tuple[Claim, ...]


def list_groups(findings: Findings, verdicts: Sequence[Verdict]) -> tuple[Group, ...]:
    """Verdicts by pair of ways; of several models by metric too, so that a group reads down the models."""
    several = len({arm.model for arm in findings.evidence.arms}) > 1
    groups: dict[str, list[Claim]] = {}
    for verdict in verdicts:
        measured = " · ".join(part for part in (verdict.scope, title_metric(verdict.metric)) if part)
        pair = f"{verdict.first} against {verdict.second}"
        title = f"{pair} · {measured}" if several and verdict.metric else pair
        name = verdict.model if several else measured or "\N{EN DASH}"
        groups.setdefault(title, []).append(_claim(verdict, name=name))
    return tuple(Group(title=title, claims=tuple(claims)) for title, claims in groups.items())


def _claim(verdict: Verdict, *, name: str) -> Claim:
    known = verdict.points is not None
    return Claim(
        verdict=verdict,
        name=name,
        wording=_word(verdict),
        effect=format_number(verdict.points or 0.0, signed=True) if known else "",
        interval=format_range(*verdict.interval) if verdict.interval else "",
        basis=_say_basis(verdict),
        outlook=_say_outlook(verdict),
    )


def _say_basis(verdict: Verdict) -> str:
    if not verdict.problems:
        return ""
    return f"{count_nouns(verdict.problems, 'problem')}, {count_nouns(len(verdict.seeds), 'seed')}"


def _say_outlook(verdict: Verdict) -> str:
    """What would decide, where nothing is decided."""
    if verdict.reason:
        return verdict.reason
    if verdict.is_decided:
        return ""
    if verdict.needed is not None:
        return f"about {_round_up(verdict.needed):,} problems would be needed"
    return "more seeds would be needed"


def sum_up(verdicts: Sequence[Verdict]) -> str:
    """How often each wording was given: `better in 5 of 6`."""
    counts = Counter(map(_word, verdicts))
    if len(counts) == 1 and len(verdicts) > 1:
        return f"{next(iter(counts))} in all {len(verdicts)}"
    if not counts:
        return "nothing to compare"
    (first, most), *rest = counts.most_common()
    return ", ".join([f"{first} in {most} of {len(verdicts)}", *(f"{word} in {count}" for word, count in rest)])


def _round_up(count: int) -> int:
    """Two figures; an estimate of more would claim what nobody knows."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def compose_answer(findings: Findings) -> str:
    """Three sentences of plain words: what holds, what it costs, and how far it can be relied on."""
    return " ".join(list_sentences(findings))


def list_sentences(findings: Findings) -> tuple[str, ...]:
    """The sentences of the answer; fewer where there is less to say."""
    found = (_say_verdicts(findings), _say_costs(findings), _say_footing(findings))
    return tuple(sentence for sentence in found if sentence)


def _say_verdicts(findings: Findings) -> str:
    verdicts = main_verdicts(findings)
    if not verdicts:
        return "There is nothing to compare: the study has one way of training."
    if all(verdict.points is None for verdict in verdicts):
        return "There are no scores to compare yet."
    models: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for model in dict.fromkeys(verdict.model for verdict in verdicts):
        outcome = tuple((v.first, v.second, v.scope, v.metric, _word(v)) for v in verdicts if v.model == model)
        models.setdefault(outcome, []).append(model)
    several = len({verdict.model for verdict in verdicts}) > 1
    parts = [_say_models(alike, verdicts, named=several) for alike in models.values()]
    return " ".join(f"{part}." for part in parts)


def _say_models(models: Sequence[str], verdicts: Sequence[Verdict], *, named: bool) -> str:
    """What holds for models with the same outcome, pair by pair."""
    mine = [verdict for verdict in verdicts if verdict.model in models]
    where = f"With {_join(models) if len(models) <= _LONGEST else f'{len(models)} models'}, " if named else ""
    if named and all(not verdict.is_decided for verdict in mine):
        return f"{where}nothing is decided"
    pairs: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in mine:
        pairs.setdefault((verdict.first, verdict.second), []).append(verdict)
    said, before = [], ""
    for (first, second), found in pairs.items():
        said.append(f"{'it' if first == before else first} {_say_pair(second, found)}")
        before = first
    return where + "; ".join(said)


def _word(verdict: Verdict) -> str:
    return NO_ANSWER if verdict.reason else verdict.wording


def _say_pair(second: str, verdicts: Sequence[Verdict]) -> str:
    """What a pair's verdicts say: by wording, each with its metrics and effects."""
    by_word: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_word.setdefault(_word(verdict), []).append(verdict)
    phrases = [
        f"{_PHRASES[word].format(second)}{_say_margins(word, found)} {_say_effects(found)}"
        for word, found in by_word.items()
    ]
    return _join(phrases)


_PHRASES: Mapping[str, str] = {
    "as good as": "is as good as {}",
    "better": "is better than {}",
    "worse": "is worse than {}",
    "not decided": "is not told apart from {}",
    NO_ANSWER: "cannot be compared with {}",
}


def _say_margins(word: str, verdicts: Sequence[Verdict]) -> str:
    """How far apart two may be and still be called equally good."""
    if word != "as good as":
        return ""
    margins = sorted({verdict.margin for verdict in verdicts})
    return f", within {' or '.join(f'{margin:g}' for margin in margins)} points,"


def say_margins(verdicts: Sequence[Verdict]) -> str:
    """The margins of verdicts, with the metrics that they are for."""
    by_margin: dict[float, dict[str, None]] = {}
    for verdict in verdicts:
        by_margin.setdefault(verdict.margin, {})[title_metric(verdict.metric).removesuffix(" %")] = None
    if len(by_margin) == 1:
        return f"{next(iter(by_margin)):g}"
    return " and ".join(f"{margin:g} by {_join(list(metrics))}" for margin, metrics in by_margin.items())


def _say_effects(verdicts: Sequence[Verdict]) -> str:
    """By what, and by how many points."""
    if 1 < len(verdicts) <= _LONGEST and all(verdict.points is not None for verdict in verdicts):
        # Each by itself: two figures with "to" between them would be read as an interval.
        each = [f"{_measured(verdict)} ({format_number(verdict.points or 0.0, signed=True)})" for verdict in verdicts]
        return f"by {_join(each)}"
    said = f"by {_join(list(dict.fromkeys(_measured(verdict) for verdict in verdicts)))}"
    points = [verdict.points for verdict in verdicts if verdict.points is not None]
    if len(verdicts) == 1 and verdicts[0].interval:
        interval = format_range(*verdicts[0].interval)
        return f"{said} ({format_number(points[0], signed=True)} points, 95 % interval {interval})"
    if not points:
        return said
    ends = [format_number(value, signed=True) for value in (min(points), max(points))]
    return f"{said} ({ends[0]} points)" if ends[0] == ends[1] else f"{said} (from {ends[0]} to {ends[1]} points)"


def _measured(verdict: Verdict) -> str:
    name = title_metric(verdict.metric).removesuffix(" %")
    return f"{name} on {verdict.scope}" if verdict.scope else name


def _join(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _say_costs(findings: Findings) -> str:
    """What training takes, the cheapest first; of several models, with the largest."""
    costs = [cost for cost in list_costs(findings) if cost.training_s is not None and cost.complete]
    if not costs:
        return _say_highest(findings)
    largest = max(costs, key=lambda cost: cost.total_parameters or 0.0).model
    shown = sorted((cost for cost in costs if cost.model == largest), key=lambda cost: cost.training_s or 0.0)
    several = len({arm.model for arm in findings.evidence.arms}) > 1
    where = f" with {largest}" if several else ""
    parts = [_say_cost(cost) for cost in shown]
    least = len(parts) > _LONGEST + 1
    took = f"least and most{where} for {_join([parts[0], parts[-1]])}" if least else f"{where.lstrip()} {_join(parts)}"
    return f"{_say_highest(findings)} Training takes {took.lstrip()}.".lstrip()


def _say_highest(findings: Findings) -> str:
    """Whose means are the highest, by each metric that decides; of one model alone, since a size is no method."""
    if len({arm.model for arm in findings.evidence.arms}) > 1:
        return ""
    by_way: dict[str, list[str]] = {}
    for metric in dict.fromkeys(verdict.metric for verdict in main_verdicts(findings) if verdict.metric):
        means = {way: fmean(values) for (_, way), values in average_scores(findings, metric).items()}
        if means:
            way = max(means, key=means.__getitem__)
            by_way.setdefault(way, []).append(
                f"{format_number(means[way])} by {title_metric(metric).removesuffix(' %')}"
            )
    if not by_way:
        return ""
    compared = {frozenset((verdict.first, verdict.second)) for verdict in findings.verdicts}
    apart = [pair for pair in combinations(by_way, 2) if frozenset(pair) not in compared]
    untested = f"; the question does not compare {_join([f'{one} with {two}' for one, two in apart])}" if apart else ""
    named = _join([f"{way} ({_join(said)})" for way, said in by_way.items()])
    return f"The highest means are those of {named}{untested}."


def _say_cost(cost: MethodCost) -> str:
    extra = [format_usd(cost.usd) + " USD in all"] if cost.usd is not None else []
    extra += [count_nouns(cost.models, "model")] if cost.models > 1 else []
    told = f" ({', '.join(extra)})" if extra else ""
    return f"{format_seconds(cost.training_s or 0.0)} for {cost.way}{told}"


def _say_footing(findings: Findings) -> str:
    """How much of the study there is, on how many problems and seeds, and how many warnings touch the verdicts."""
    trials = findings.results.trials
    finished = sum(trial.finished for trial in trials)
    problems = {(row.track, row.dataset, row.problem_id) for row in findings.results.rows}
    tracks = {row.track for row in findings.results.rows}
    seeds = {seed for verdict in main_verdicts(findings) for seed in verdict.seeds}
    basis = f"on {count_nouns(len(problems), 'problem')} in {count_nouns(len(tracks), 'track')}"
    with_seeds = f" with {count_nouns(len(seeds), 'seed')}" if seeds else ""
    touching = _count(doubt.touches for doubt in list_doubts(findings))
    warned = f"; {count_nouns(touching, 'kind')} of warning touch{'es' if touching == 1 else ''} these verdicts"
    return (
        f"{finished} of {count_nouns(len(trials), 'trial')} finished, {basis}{with_seeds}{warned if touching else ''}."
    )


def _count(values: Iterable[object]) -> int:
    return sum(bool(value) for value in values)


__all__ = [
    "NO_ANSWER",
    "SIGNS",
    "Claim",
    "Group",
    "compose_answer",
    "list_groups",
    "list_sentences",
    "say_margins",
    "sum_up",
]
