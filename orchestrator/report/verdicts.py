"""Verdicts: what a study says on each part of its question, in one word, with all that the word rests on.

One decision: there is one verdict for each part and model, over all its problems and seeds at once. "As good as" is a
finding of its own, shown by a test against the margin; that no difference was found is "not decided". Where nothing can
be said a verdict has a reason and no p-value.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.report.contrasts import ALPHA, pair_arms
from orchestrator.report.evidence import Arm, Evidence
from orchestrator.report.layout import format_number
from orchestrator.report.pairing import Paired, Readings, pair_up
from orchestrator.report.sampling import Sample, choose_sample
from orchestrator.report.scores import PASS, title_metric
from orchestrator.report.statistics import CORRECTIONS, FEWEST, Interval, MeanDifference, mean_difference
from orchestrator.study.question import Question
from tasks.records import Track

Wording = Literal["as good as", "better", "worse", "not decided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackEffect:
    """The difference at one place: a track, or one of its test sets; points and interval as in `Verdict`."""

    place: str
    points: float
    interval: Interval | None
    problems: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the study says of one way of training against another.

    Attributes:
        part: The part of the question, in the words of the pair.
        first: The way that the wording speaks of; `first_trials` are its trials' labels.
        second: What it is compared with.
        scope: The task or track, where the question asks of each; else empty.
        metric: What decided; empty where nothing was measured.
        margin: Points within which two count as equally good.
        one_sided: Whether it is enough to be not worse by more than the margin.
        wording: What holds, after correction. A shown difference within the margin is "as good as".
        points: First minus second, 0-100: the mean over tracks of their means over problems.
        interval: Its 95 % interval, not corrected for the family.
        scores: The scores behind `points`, first and second, on the problems that both have.
        p_difference: Of no difference, corrected within the family.
        p_equivalence: Of a difference of the margin or more, corrected within the family.
        problems: Pairs behind it; a problem asked of several seeds is one.
        seeds: Seeds of training behind it. What is computed once, as a greedy frozen model, counts once.
        seed_share: The part of the uncertainty that is between seeds, 0-1; None for one seed.
        tracks: Titles of the places behind it; `by_track` has the effect at each.
        needed: Problems with which a study like this would decide; None where decided, or no number would do.
        detectable: The smallest difference that this study shows in four of five cases, in points.
        dropped: Problems that only one side has a value for, as `place: id`.
        stepped: Why another metric than the first choice answers; empty where it is the first.
        reason: Why nothing can be said; empty where something can.
        cautions: What else to know before relying on it, a sentence each.
    """

    part: str
    first: str
    second: str
    model: str
    margin: float
    one_sided: bool = False
    scope: str = ""
    metric: str = ""
    first_trials: tuple[str, ...] = ()
    second_trials: tuple[str, ...] = ()
    wording: Wording = "not decided"
    points: float | None = None
    interval: Interval | None = None
    scores: tuple[float, float] | None = None
    p_difference: float | None = None
    p_equivalence: float | None = None
    problems: int = 0
    seeds: tuple[int, ...] = ()
    seed_share: float | None = None
    tracks: tuple[str, ...] = ()
    by_track: tuple[TrackEffect, ...] = ()
    needed: int | None = None
    detectable: float | None = None
    dropped: tuple[str, ...] = ()
    stepped: str = ""
    reason: str = ""
    cautions: tuple[str, ...] = ()

    @property
    def is_decided(self) -> bool:
        """Whether anything is shown."""
        return self.wording != "not decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A verdict before its family is corrected, with its estimate where tests were made."""

    verdict: Verdict
    estimate: MeanDifference | None = None


def judge(evidence: Evidence, question: Question) -> tuple[Verdict, ...]:
    """A verdict for each part of the question, each pair of ways that it names, each model, and each metric."""
    readings = Readings(evidence)
    parts = [
        [draft for pairs in _by_way(found).values() for draft in _draft(readings, question, part, pairs)]
        or list(_say_nothing_paired(evidence, question, part))
        for part, found in pair_arms(evidence.arms, question).items()
    ]
    families = parts if question.family == "part" else [[draft for part in parts for draft in part]]
    return tuple(verdict for family in families for verdict in _decide(family, question))


def _say_nothing_paired(evidence: Evidence, question: Question, part: str) -> Iterator[_Draft]:
    """A verdict without an answer on a pair that the study names and no two trials make up."""
    named = next((pair for pair in question.compare if " against ".join(pair) == part), None)
    if named is not None:
        first, second = named
        yield _Draft(
            verdict=Verdict(
                part=part,
                first=first,
                second=second,
                model=", ".join(dict.fromkeys(arm.model for arm in evidence.arms)),
                margin=question.margin_for(question.metric or PASS),
                one_sided=question.one_sided,
                reason=f"no trial of {first} and one of {second} have a model and a seed in common",
            )
        )


def _by_way(pairs: Sequence[tuple[Arm, Arm]]) -> Mapping[tuple[str, str, str], list[tuple[Arm, Arm]]]:
    """Pairs of the same ways and model, which differ in their seeds alone."""
    found: dict[tuple[str, str, str], list[tuple[Arm, Arm]]] = defaultdict(list)
    for first, second in pairs:
        found[first.model, first.way, second.way].append((first, second))
    return found


def _draft(readings: Readings, question: Question, part: str, pairs: Sequence[tuple[Arm, Arm]]) -> Iterator[_Draft]:
    groups: dict[tuple[str, str], list[Paired]] = defaultdict(list)
    for paired in pair_up(readings, pairs, metric=question.metric):
        groups[_SCOPES[question.over](paired.place.track), paired.metric].append(paired)
    first, second = pairs[0]
    for (scope, metric), places in groups.items():
        head = Verdict(
            part=part,
            first=first.way,
            second=second.way,
            model=first.model,
            margin=question.margin_for(metric),
            one_sided=question.one_sided,
            scope=scope,
            metric=metric,
            first_trials=_trials([one for one, _ in pairs], places),
            second_trials=_trials([other for _, other in pairs], places),
        )
        yield _estimate(head, places)


_SCOPES: Mapping[str, Callable[[str], str]] = {
    "all": lambda track: "",
    "task": lambda track: str(Track.parse(track).task),
    "track": lambda track: track,
}


def _trials(arms: Sequence[Arm], places: Sequence[Paired]) -> tuple[str, ...]:
    found = (arm.trial_for(paired.place.track) for arm in arms for paired in places)
    return tuple(dict.fromkeys(trial.trial for trial in found if trial is not None))


def _estimate(head: Verdict, places: Sequence[Paired]) -> _Draft:
    """All of a verdict but its wording and its p-values."""
    stepped = _say_stepped(head.metric, places)
    sample = choose_sample(places)
    cautions = (*sample.cautions, *_say_seeds(sample.seeds))
    head = replace(
        head,
        seeds=sample.seeds,
        tracks=tuple(part.place.title for part in sample.parts),
        problems=sample.problems,
        dropped=sample.dropped,
        stepped=stepped,
        reason=sample.reason,
        cautions=cautions,
    )
    if not sample.parts:
        return _Draft(verdict=head)
    head = replace(head, scores=sample.scores, points=sample.points)
    if sample.reason:
        return _Draft(verdict=head)
    coarse = head.metric == PASS or sample.is_binary
    estimate = mean_difference([part.differences for part in sample.parts], coarse=coarse)
    return _Draft(verdict=replace(head, by_track=tuple(_by_track(sample, coarse=coarse))), estimate=estimate)


def _by_track(sample: Sample, *, coarse: bool) -> Iterator[TrackEffect]:
    for part in sample.parts:
        found = mean_difference([part.differences], coarse=coarse)
        few = found.problems < FEWEST
        yield TrackEffect(
            place=part.place.title,
            points=found.mean,
            interval=None if few else found.interval(),
            problems=found.problems,
        )


def _say_stepped(metric: str, places: Sequence[Paired]) -> str:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for paired in places:
        if paired.stepped:
            by_reason[paired.stepped].append(paired.place.title)
    said = [f"{why} on {', '.join(titles)}" for why, titles in by_reason.items()]
    return f"{title_metric(metric)} answers here: {'; '.join(said)}." if said else ""


def _say_seeds(seeds: Sequence[int]) -> Iterator[str]:
    if len(seeds) == 1:
        yield "One seed: this holds for these trainings, and nothing here says how far another training would differ."
    elif len(seeds) == 2:
        yield "Two seeds tell roughly at best how far trainings differ; three or more make the interval trustworthy."


def _decide(drafts: Sequence[_Draft], question: Question) -> Iterator[Verdict]:
    """Correct a family's p-values, and word what holds."""
    correct = CORRECTIONS[question.correction]
    tested = [draft.estimate for draft in drafts if draft.estimate is not None]
    differences = iter(correct([estimate.p_difference() for estimate in tested]))
    margins = iter(correct([_p_margin(draft, question) for draft in drafts if draft.estimate is not None]))
    # Holm asks this much of the smallest p-value of a family, so it is enough for each.
    alpha = ALPHA / len(tested) if tested and question.correction == "holm" else ALPHA
    for draft in drafts:
        if draft.estimate is None:
            yield draft.verdict
            continue
        found = replace(
            draft.verdict,
            interval=draft.estimate.interval(),
            p_difference=next(differences),
            p_equivalence=next(margins),
            seed_share=draft.estimate.seed_share,
            detectable=draft.estimate.detectable(alpha=alpha),
        )
        found = replace(found, wording=_word(found))
        found = replace(found, cautions=(*found.cautions, *_say_margin(found), *_say_tracks(found)))
        yield found if found.is_decided else _with_need(found, draft.estimate, alpha=alpha)


def _say_tracks(verdict: Verdict) -> Iterator[str]:
    """What a mean over tracks hides: that they disagree, or that one of several makes most of it."""
    shown = [effect for effect in verdict.by_track if effect.interval]
    ahead = [effect for effect in shown if effect.interval and effect.interval.low > 0]
    behind = [effect for effect in shown if effect.interval and effect.interval.high < 0]
    name = title_metric(verdict.metric).removesuffix(" %")
    if not ahead or not behind:
        if _is_of_one_track(verdict):
            effect = max(verdict.by_track, key=lambda effect: abs(effect.points))
            yield (
                f"Most of the difference by {name} is of one track: {verdict.first} minus {verdict.second} is "
                f"{format_number(effect.points, signed=True)} on {effect.place}."
            )
        return
    most, least = max(ahead, key=lambda effect: effect.points), min(behind, key=lambda effect: effect.points)
    high, low = (f"{format_number(effect.points, signed=True)} on {effect.place}" for effect in (most, least))
    yield f"The mean hides that tracks disagree: {verdict.first} minus {verdict.second} is {high} and {low}, by {name}."


def _is_of_one_track(verdict: Verdict) -> bool:
    """Whether one track of at least three makes more than half of a shown difference."""
    effects = [effect.points for effect in verdict.by_track]
    shown = verdict.wording in ("better", "worse")
    return shown and len(effects) > 2 and max(map(abs, effects)) > 0.5 * abs(sum(effects))


def _say_margin(verdict: Verdict) -> Iterator[str]:
    """A margin is wide where it is half of what the better one reaches."""
    if verdict.scores and max(verdict.scores) < 2 * verdict.margin:
        yield (
            f"The margin of {verdict.margin:g} points is wide next to scores of {verdict.scores[0]:.1f} and "
            f"{verdict.scores[1]:.1f}; set question.margin lower."
        )


def _p_margin(draft: _Draft, question: Question) -> float:
    assert draft.estimate is not None
    test = draft.estimate.p_not_worse if question.one_sided else draft.estimate.p_equivalence
    return test(draft.verdict.margin)


def _word(verdict: Verdict) -> Wording:
    assert verdict.points is not None and verdict.p_difference is not None and verdict.p_equivalence is not None
    shown = verdict.p_difference < ALPHA
    if verdict.one_sided and shown and verdict.points > 0:
        return "better"
    if verdict.p_equivalence < ALPHA:
        return "as good as"
    if shown:
        return "better" if verdict.points > 0 else "worse"
    return "not decided"


def _with_need(verdict: Verdict, estimate: MeanDifference, *, alpha: float) -> Verdict:
    needed = estimate.problems_needed(verdict.margin, alpha=alpha)
    if needed is not None:
        return replace(verdict, needed=needed)
    more = "More seeds are needed: what trainings differ by is too much for any number of problems."
    return replace(verdict, cautions=(*verdict.cautions, more))


__all__ = ["TrackEffect", "Verdict", "Wording", "judge"]
