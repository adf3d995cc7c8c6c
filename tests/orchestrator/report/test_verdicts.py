"""Verdicts: one for each part of a question, right on planted results, and plain about what cannot be said."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pytest

from orchestrator.ledger.progress import State
from orchestrator.report.evidence import gather
from orchestrator.report.results import InstanceRow, StageOutcome, StudyResults, TrialOutcome
from orchestrator.report.verdicts import Verdict, judge
from orchestrator.study.question import Question

CODE, OTHER, PROSE = "generation/python", "translation/java-csharp", "summarization/python"
Values = Callable[[int, random.Random], float]
"""The points of a problem, by its number."""


def trial(
    method: str, *, kind: str = "lora", grouping: str = "together", seed: int = 0, tracks: Sequence[str] = (CODE,)
) -> TrialOutcome:
    return TrialOutcome(
        trial=f"{method}/{seed}/{'+'.join(tracks)}",
        model="m",
        method=method,
        kind=kind,
        grouping=grouping,
        tracks=tuple(tracks),
        seed=seed,
        stages=(StageOutcome(stage="score", state=State.DONE),),
    )


def row(of: TrialOutcome, track: str, number: int, points: float, **changes: object) -> InstanceRow:
    """A sample that passes with 100 points and fails with 0; of prose the points are its BLEU."""
    code = track != PROSE
    found = InstanceRow(
        trial=of.trial,
        track=track,
        dataset="d",
        problem_id=f"p{number}",
        sample=0,
        empty=False,
        parses=None,
        verdict=("passed" if points else "wrong_answer") if code else None,
        scores={} if code else {"bleu": points},
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def rows(of: TrialOutcome, track: str, values: Values, *, problems: int = 200) -> list[InstanceRow]:
    rng = random.Random(f"{of.trial} {track}")
    return [row(of, track, number, values(number, rng)) for number in range(problems)]


def passing(share: float, *, noise: float = 0.15) -> Values:
    """A share of problems that everybody agrees on, but for a share of noise."""
    return lambda number, rng: 100.0 * ((number * 37 % 100 < 100 * share) ^ (rng.random() < noise))


def results(trials: Sequence[TrialOutcome], found: Iterable[Sequence[InstanceRow]]) -> StudyResults:
    return StudyResults(
        study="s", question="", trials=tuple(trials), rows=tuple(one for some in found for one in some), cells=()
    )


def two(first: Values, second: Values, *, problems: int = 200, track: str = CODE) -> StudyResults:
    """Together against apart on one track."""
    trials = (trial("one", tracks=(track,)), trial("each", grouping="apart", tracks=(track,)))
    sides = zip(trials, (first, second), strict=True)
    return results(trials, [rows(of, track, values, problems=problems) for of, values in sides])


def verdict_on(found: StudyResults, **question: object) -> Verdict:
    (only,) = judge(gather(found), Question.model_validate(question))
    return only


def test_planted_difference_is_found_with_its_size() -> None:
    found = verdict_on(two(passing(0.6), passing(0.4)))
    assert (found.part, found.first, found.second) == ("together against apart", "one together", "each apart")
    assert found.wording == "better" and found.is_decided and found.needed is None
    assert found.points == pytest.approx(0.7 * 20, abs=10)
    assert found.interval is not None and found.interval.low < found.points < found.interval.high
    assert found.scores is not None and found.scores[0] - found.scores[1] == pytest.approx(found.points)
    assert found.p_difference is not None and found.p_difference < 0.05
    assert (found.problems, found.seeds, found.tracks) == (200, (0,), (CODE,))


def test_worse_is_the_other_way_round() -> None:
    assert verdict_on(two(passing(0.4), passing(0.6))).wording == "worse"


def test_same_results_of_many_problems_are_as_good_and_of_few_not_decided() -> None:
    near = passing(0.5, noise=0.02)
    many, few = verdict_on(two(near, near, problems=2000)), verdict_on(two(near, near, problems=30))
    assert many.wording == "as good as" and many.p_equivalence is not None and many.p_equivalence < 0.05
    assert few.wording == "not decided"
    assert few.needed is not None and 30 < few.needed < 2000
    assert few.detectable is not None and many.detectable is not None and few.detectable > many.detectable


def test_methods_that_agree_on_few_problems_are_not_called_equal() -> None:
    alike: Values = lambda number, rng: 100.0 * (number % 2)  # noqa: E731
    assert verdict_on(two(alike, alike, problems=40)).wording == "not decided"
    assert verdict_on(two(alike, alike, problems=400)).wording == "as good as"


def test_mean_of_tracks_that_disagree_says_so() -> None:
    trials = (trial("one", tracks=(CODE, OTHER)), trial("each", grouping="apart", tracks=(CODE, OTHER)))
    shares = ((0.7, 0.3), (0.4, 0.6))
    found = [
        rows(of, track, passing(share))
        for of, own in zip(trials, shares, strict=True)
        for track, share in zip((CODE, OTHER), own, strict=True)
    ]
    told = [text for text in verdict_on(results(trials, found)).cautions if "disagree" in text]
    assert len(told) == 1 and f"on {CODE} and" in told[0] and told[0].endswith(f"on {OTHER}, by pass@1.")
    agreeing = verdict_on(two(passing(0.6), passing(0.4)))
    assert not any("disagree" in text for text in agreeing.cautions)


def test_mean_of_which_one_track_makes_most_says_so() -> None:
    tracks = ("generation/python", "generation/java", "generation/csharp")
    trials = (trial("one", tracks=tracks), trial("each", grouping="apart", tracks=tracks))
    alike: Values = lambda number, rng: 100.0 * (number % 2)  # noqa: E731
    found = [rows(of, track, alike) for of in trials for track in tracks[:2]]
    found += [rows(of, tracks[2], passing(share)) for of, share in zip(trials, (0.2, 0.8), strict=True)]
    verdict = verdict_on(results(trials, found))
    assert verdict.wording == "worse"
    (told,) = [text for text in verdict.cautions if "one track" in text]
    assert told.startswith(
        "Most of the difference by pass@1 is of one track: one together minus each apart is \N{MINUS SIGN}"
    )
    assert told.endswith("on generation/csharp.")
    evenly = [rows(of, track, passing(share)) for of, share in zip(trials, (0.4, 0.8), strict=True) for track in tracks]
    assert not any("one track" in text for text in verdict_on(results(trials, evenly)).cautions)


def test_margin_decides_what_is_as_good() -> None:
    study = two(passing(0.5, noise=0.05), passing(0.5, noise=0.05), problems=600)
    assert verdict_on(study, margin=6).wording == "as good as"
    narrow = verdict_on(study, margin=0.5)
    assert narrow.wording == "not decided" and narrow.margin == 0.5


def test_default_margin_is_five_points_of_pass_rates_and_two_of_similarity() -> None:
    assert verdict_on(two(passing(0.6), passing(0.4))).margin == 5
    assert verdict_on(two(lambda n, rng: 20 + rng.random(), lambda n, rng: 20 + rng.random(), track=PROSE)).margin == 2


def test_one_sided_question_asks_for_not_worse_alone() -> None:
    study = two(passing(0.5, noise=0.2), passing(0.47, noise=0.2), problems=400)
    two_sided, one_sided = verdict_on(study), verdict_on(study, one_sided=True)
    assert two_sided.p_equivalence is not None and one_sided.p_equivalence is not None
    assert one_sided.p_equivalence < two_sided.p_equivalence
    assert one_sided.wording == "as good as" and two_sided.wording == "not decided"


def test_wide_margin_next_to_low_scores_is_said() -> None:
    found = verdict_on(two(passing(0.06, noise=0.01), passing(0.06, noise=0.01)))
    assert any("margin of 5 points is wide next to scores of" in caution for caution in found.cautions)


def test_tracks_of_one_metric_count_alike_and_prose_has_its_own_verdict() -> None:
    tracks = (CODE, OTHER, PROSE)
    trials = (trial("one", tracks=tracks), trial("each", grouping="apart", tracks=tracks))
    scores: Values = lambda number, rng: 30 + 20 * rng.random()  # noqa: E731
    found = results(
        trials,
        [
            rows(of, track, passing(share) if track != PROSE else scores, problems=problems)
            for of, share in zip(trials, (0.6, 0.4), strict=True)
            for track, problems in ((CODE, 300), (OTHER, 50), (PROSE, 80))
        ],
    )
    code, prose = judge(gather(found), Question())
    assert (code.metric, code.tracks, code.problems) == ("pass@1", (CODE, OTHER), 350)
    assert code.points == pytest.approx(sum(effect.points for effect in code.by_track) / 2)
    assert (prose.metric, prose.tracks) == ("bleu", (PROSE,))
    assert [one.scope for one in judge(gather(found), Question(over="track"))] == list(tracks)
    assert [one.scope for one in judge(gather(found), Question(over="task"))] == [
        "generation",
        "translation",
        "summarization",
    ]


def test_seeds_are_one_verdict_that_knows_how_far_they_differ() -> None:
    trials = [
        trial(method, grouping=grouping, seed=seed)
        for method, grouping in (("one", "together"), ("each", "apart"))
        for seed in range(3)
    ]
    steady = results(trials, [rows(of, CODE, passing(0.5)) for of in trials])
    moving = results(trials, [rows(of, CODE, passing(0.3 + 0.2 * (of.seed * (of.method == "one")))) for of in trials])
    calm, wild = verdict_on(steady), verdict_on(moving)
    assert (calm.seeds, calm.problems) == (wild.seeds, wild.problems) == ((0, 1, 2), 200)
    assert calm.seed_share is not None and wild.seed_share is not None
    assert 0 <= calm.seed_share < 0.8 < wild.seed_share < 1
    assert verdict_on(moving).wording == "not decided"
    assert any("More seeds are needed" in caution for caution in verdict_on(moving).cautions)


def test_one_seed_is_said_in_words() -> None:
    found = verdict_on(two(passing(0.6), passing(0.4)))
    assert any(caution.startswith("One seed: this holds for these trainings") for caution in found.cautions)
    assert found.seed_share is None


def test_frozen_models_of_several_seeds_are_one_computation() -> None:
    frozen = [trial(name, kind="frozen", seed=seed) for name in ("base", "other") for seed in range(3)]
    shares = {"base": 0.6, "other": 0.4}
    # A greedy model that nothing was trained of writes the same whatever the seed.
    same = {name: rows(trial(name), CODE, passing(share)) for name, share in shares.items()}
    again = results(frozen, [[replace(one, trial=of.trial) for one in same[of.method]] for of in frozen])
    only = verdict_on(again, compare=[["base", "other"]])
    assert only.seeds == (0,) and only.problems == 200


def test_named_pairs_are_compared_and_nothing_else() -> None:
    trials = (trial("rank4"), trial("rank16"), trial("base", kind="frozen"))
    found = results(trials, [rows(of, CODE, passing(0.5)) for of in trials])
    parts = [one.part for one in judge(gather(found), Question(compare=(("rank16", "rank4"), ("rank16", "base"))))]
    assert parts == ["rank16 against rank4", "rank16 against base"]
    assert {one.part for one in judge(gather(found), Question())} == {"trained against frozen"}


def test_families_are_corrected_as_the_study_says() -> None:
    trials = [trial(f"rank{number}") for number in range(4)]
    found = results(trials, [rows(of, CODE, passing(0.5)) for of in trials])
    pairs = [("rank0", "rank1"), ("rank1", "rank2"), ("rank2", "rank3")]

    def p_values(**settings: object) -> list[float]:
        asked = Question.model_validate({"compare": pairs, **settings})
        return [one.p_difference or 0.0 for one in judge(gather(found), asked)]

    plain = p_values(correction="none")
    assert p_values() == plain, "each pair is a family of one"
    assert min(p_values(family="question")) == pytest.approx(min(1.0, 3 * min(plain)))
    assert p_values(family="question", correction="none") == plain


def test_metric_at_the_floor_hands_over_to_the_next_and_says_so() -> None:
    trials = (trial("one"), trial("each", grouping="apart"))
    found = results(
        trials,
        [
            [replace(one, scores={"codebleu": base + 10 * (number % 7)}) for number, one in enumerate(some)]
            for base, some in zip((30, 20), (rows(of, CODE, lambda n, rng: 0.0) for of in trials), strict=True)
        ],
    )
    only = verdict_on(found)
    assert (only.metric, only.wording) == ("codebleu", "better")
    assert only.stepped == f"CodeBLEU (mean) answers here: pass@1 is below 2 of 100 for both on {CODE}."
    assert verdict_on(found, metric="codebleu").stepped == ""


def test_problems_that_one_side_lacks_are_listed() -> None:
    found = two(passing(0.6), passing(0.4))
    only = verdict_on(replace(found, rows=found.rows[3:]))
    assert only.dropped == tuple(f"{CODE}: p{number}" for number in range(3))
    assert only.problems == 197 and "3 problems left out for want of a value on both sides." in only.cautions


def test_failed_trial_of_one_seed_leaves_the_other_seeds() -> None:
    trials = [
        trial(method, grouping=grouping, seed=seed)
        for method, grouping in (("one", "together"), ("each", "apart"))
        for seed in range(2)
    ]
    failed = StageOutcome(stage="train", state=State.FAILED, cause="out of memory")
    trials[3] = replace(trials[3], stages=(failed,))
    only = verdict_on(results(trials, [rows(of, CODE, passing(0.5)) for of in trials[:3]]))
    assert only.seeds == (0,)
    assert any(
        c.startswith("Seed 1 is left out: each apart · seed 1: train failed: out of memory") for c in only.cautions
    )


def unpaired() -> StudyResults:
    found = two(passing(0.6), passing(0.4))
    return replace(found, rows=tuple(replace(r, problem_id=f"{r.trial}{r.problem_id}") for r in found.rows))


def half_done(state: State, cause: str = "") -> StudyResults:
    found = two(passing(0.6), passing(0.4))
    waiting = replace(found.trials[1], stages=(StageOutcome(stage="train", state=state, cause=cause),))
    return replace(found, trials=(found.trials[0], waiting), rows=found.rows[:200])


def of_prose(values: Values) -> StudyResults:
    return two(values, values, track=PROSE)


BAD = {
    "no common id": (unpaired(), "no problem has a value on both sides"),
    "an id twice": (
        (lambda s: replace(s, rows=(*s.rows, s.rows[0])))(two(passing(0.6), passing(0.4))),
        "one together: 1 id there twice (p0), so that nothing can be paired by id; give each problem an id of its own",
    ),
    "too few pairs": (
        two(passing(0.6), passing(0.4), problems=5),
        "5 problems have a value on both sides, and with fewer than 6 no test can show anything",
    ),
    "constant": (
        of_prose(lambda n, rng: 50.0),
        "every value of both is 50, so these problems cannot tell them apart",
    ),
    "not a number": (of_prose(lambda n, rng: float("nan")), "no problem has a value on both sides"),
    "missing metric": (
        (lambda s: replace(s, rows=tuple(replace(r, scores={}) for r in s.rows)))(of_prose(lambda n, rng: 1.0)),
        "one together: not scored",
    ),
    "half done": (half_done(State.WAITING), "each apart: "),
    "failed": (half_done(State.FAILED, "out of memory"), "each apart: train failed: out of memory"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_said_has_a_reason_and_no_p_value(case: str) -> None:
    study, said = BAD[case]
    only = verdict_on(study)
    assert said in only.reason
    assert only.wording == "not decided"
    assert (only.p_difference, only.p_equivalence, only.interval, only.needed) == (None,) * 4


def test_values_that_are_no_numbers_are_left_out_and_listed() -> None:
    values: Values = lambda number, rng: float("nan") if number == 7 else 30 + 10 * rng.random()  # noqa: E731
    only = verdict_on(of_prose(values))
    assert only.dropped == (f"{PROSE}: p7",) and only.p_equivalence is not None


def test_pair_that_no_trials_make_up_is_answered_with_why() -> None:
    found = two(passing(0.6), passing(0.4))
    only = verdict_on(found, compare=[["one", "rank16"]])
    assert only.reason == "no trial of one and one of rank16 have a model and a seed in common"


def test_metric_that_nobody_measured_is_passed_over_with_a_word() -> None:
    only = verdict_on(two(passing(0.6), passing(0.4)), metric="chrf")
    assert only.metric == "pass@1" and "chrF (mean) is not there" in only.stepped
