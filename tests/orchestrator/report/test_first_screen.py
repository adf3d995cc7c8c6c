"""The first screen: verdicts, costs by method, three sentences, and the warnings that touch the verdicts."""

from dataclasses import replace
from statistics import fmean

import pytest
from planted_study import ASTRAY, BROKEN, EQUAL, FAILED, LEAKED, LOSER, MISSING, NO_MEMORY, WINNER, find_planted
from report_samples import make_study

from evaluators.health import LIMITS
from orchestrator.report import find
from orchestrator.report.answer import NO_ANSWER, SIGNS, compose_answer, list_groups, list_sentences
from orchestrator.report.doubts import Doubt, list_doubts, main_verdicts
from orchestrator.report.findings import Findings
from orchestrator.report.links import link_verdict
from orchestrator.report.methodcosts import average_scores, build_method_costs, list_costs
from orchestrator.report.results import StudyResults
from orchestrator.report.strips import draw_axis, draw_strip, find_reach
from orchestrator.report.verdicts import Verdict


@pytest.fixture(scope="module")
def planted() -> Findings:
    return find_planted()


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return make_study(problems=60)


def pick(planted: Findings, kind: str) -> Doubt:
    return next(doubt for doubt in list_doubts(planted) if doubt.kind == kind)


def words_of(planted: Findings, first: str, second: str, *, model: str) -> set[str]:
    pair = (first, second, model)
    return {v.wording for v in planted.verdicts if (v.first, v.second, v.model) == pair}


def test_planted_truth_is_what_the_verdicts_say(planted: Findings) -> None:
    for model in ("coder-0.5b", "coder-1.5b"):
        assert words_of(planted, WINNER, EQUAL, model=model) == {"as good as"}
        assert words_of(planted, WINNER, LOSER, model=model) == {"better"}


def test_answer_names_winner_models_and_what_is_not_decided(planted: Findings) -> None:
    verdicts, costs, footing = list_sentences(planted)
    assert verdicts.startswith(f"With coder-0.5b and coder-1.5b, {WINNER} is as good as {EQUAL}, within 2 or 5 points")
    assert f"it is better than {LOSER}" in verdicts and verdicts.endswith("With coder-7b, nothing is decided.")
    assert "2 h 06 min for qlora-together (6.50 USD in all)" in costs and "3 models" in costs
    assert footing.startswith("47 of 48 trials finished, on 360 problems in 6 tracks with 3 seeds")


def test_every_verdict_tells_its_problems_and_seeds(planted: Findings) -> None:
    claims = [claim for group in list_groups(planted, planted.verdicts) for claim in group.claims]
    assert len(claims) == len(planted.verdicts)
    assert all("problems, " in claim.basis and claim.basis.endswith(("3 seeds", "2 seeds")) for claim in claims)


def test_verdicts_against_the_frozen_model_stand_behind_the_others(planted: Findings) -> None:
    main = main_verdicts(planted)
    assert main and all("frozen" not in (verdict.first, verdict.second) for verdict in main)
    alone = replace(planted, verdicts=tuple(v for v in planted.verdicts if v.second == "frozen"))
    assert main_verdicts(alone) == alone.verdicts


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("first character lost", ("60 % of outputs lack their first character", *BROKEN)),
        ("training overlap", ("62 % of test references overlap with training", LEAKED)),
        ("training duplicate", ("31 % of test problems are in the training data", LEAKED)),
        ("missing results", ("15 problems have a result on one side only", *MISSING)),
        ("seed", ("One seed is unlike the others", ASTRAY[0], ASTRAY[1], f"seed {ASTRAY[2]}")),
        ("unfinished", (NO_MEMORY, f"{FAILED[0]}/{FAILED[1]}/seed{FAILED[2]}")),
    ],
)
def test_planted_fault_is_told_beside_the_verdicts(planted: Findings, kind: str, parts: tuple[str, ...]) -> None:
    doubt = pick(planted, kind)
    assert doubt.touches
    for part in parts:
        assert part in doubt.text, part


def test_fault_touches_the_verdicts_that_it_makes_doubtful_and_no_others(planted: Findings) -> None:
    touched = pick(planted, "first character lost").touches
    assert touched and all((v.model, v.second) == BROKEN for v in touched)
    assert {v.metric for v in pick(planted, "training overlap").touches} == {"pass@1"}


def test_what_only_describes_poor_outputs_touches_nothing(planted: Findings) -> None:
    doubts = list_doubts(planted)
    assert not any(doubt.touches for doubt in doubts if doubt.kind in ("unparseable", "degenerate", "prompt echoed"))
    order = [bool(doubt.touches) for doubt in doubts]
    assert order == sorted(order, reverse=True)


def test_each_kind_of_warning_is_told_once_with_all_places(planted: Findings) -> None:
    kinds = [doubt.kind for doubt in list_doubts(planted) if doubt.kind not in ("statistics", "missing results")]
    assert len(kinds) == len(set(kinds))
    # On three models three ways with three seeds each; one training failed.
    assert len(pick(planted, "training overlap").where) == 26


def test_every_limit_of_health_has_words_of_its_own(study: StudyResults) -> None:
    """A share above its limit that no words are for would be silent."""
    for name in LIMITS:
        cells = tuple(replace(cell, health=cell.health.model_copy(update={name: 0.9})) for cell in study.cells)
        kinds = {doubt.kind for doubt in list_doubts(find(replace(study, cells=cells)))}
        assert name.replace("_", " ") in kinds


def test_notes_of_cells_are_told_in_their_own_words(study: StudyResults) -> None:
    notes = [doubt for doubt in list_doubts(find(study)) if doubt.kind == "note"]
    assert [doubt.text for doubt in notes] == [
        "not judged: no C# compiler on PATH; install mono-mcs: 4 methods on translation/java-csharp"
    ]


def test_apart_costs_the_sum_of_its_trainings_and_seeds_cost_one_on_average(planted: Findings) -> None:
    costs = {(cost.model, cost.way): cost for cost in list_costs(planted)}
    apart, together = costs["coder-7b", "qlora-apart"], costs["coder-7b", "qlora-together"]
    assert (apart.models, together.models) == (3, 1)
    assert apart.training_s == pytest.approx(2.4 * 3600) and together.training_s == pytest.approx(2.1 * 3600)
    assert apart.trained_parameters == pytest.approx(3 * (together.trained_parameters or 0.0))
    assert together.usd == pytest.approx(2.5 * (2.1 + 0.4 + 0.1))


def test_seed_that_failed_does_not_make_a_method_cheaper(planted: Findings) -> None:
    cost = next(c for c in list_costs(planted) if (c.model, c.way) == FAILED[:2])
    assert cost.seeds == 2 and cost.complete and cost.training_s == pytest.approx(3.3 * 3600)


def test_cost_of_what_has_not_run_to_the_end_says_so(study: StudyResults) -> None:
    table = build_method_costs(find(study))
    row = next(row for row in table.rows if row[0].text == "qlora apart")
    heads = [column.title for column in table.columns]
    assert row[heads.index("training time")].note == "at least: not all of it has run"
    assert "USD" not in heads and "No USD: the study sets no resources.price_per_hour." in table.caption


def test_methods_table_has_costs_and_scores_by_method_and_model(planted: Findings) -> None:
    table = build_method_costs(planted)
    assert [column.title for column in table.columns][:4] == ["model", "method", "pass@1 %", "BLEU (mean)"]
    assert len(table.rows) == 12


def test_answer_names_whose_means_are_the_highest_where_there_is_one_model(
    study: StudyResults, planted: Findings
) -> None:
    one = replace(study, trials=tuple(trial for trial in study.trials if trial.model == study.trials[0].model))
    found = find(one)
    metrics = {verdict.metric for verdict in main_verdicts(found)}
    scored = {metric: average_scores(found, metric) for metric in metrics}
    highest = [max((fmean(values), way) for (_, way), values in means.items()) for means in scored.values() if means]
    told = compose_answer(found).partition("The highest means are those of ")[2]
    assert highest and all(way in told and f"{value:.1f} by" in told for value, way in highest)
    assert "highest means" not in compose_answer(planted)
    leaders = sorted({way for _, way in highest})
    compared = {frozenset((verdict.first, verdict.second)) for verdict in found.verdicts}
    assert ("the question does not compare" in told) is (len(leaders) == 2 and frozenset(leaders) not in compared)


def test_undecided_verdict_says_how_many_problems_would_decide(study: StudyResults) -> None:
    groups = list_groups(find(study), find(study).verdicts)
    claim = next(claim for claim in groups[0].claims if claim.verdict.metric == "pass@1")
    needed = claim.verdict.needed
    assert needed is not None and claim.wording == "not decided"
    assert claim.outlook == f"about {-(-needed // 100) * 100:,} problems would be needed"


def test_verdict_without_an_answer_gives_its_reason(study: StudyResults) -> None:
    found = find(study)
    claims = [claim for group in list_groups(found, found.verdicts) for claim in group.claims]
    none = [claim for claim in claims if claim.wording == NO_ANSWER]
    assert none and all("train failed" in claim.outlook and not claim.effect for claim in none)


def test_study_without_scores_says_so(study: StudyResults) -> None:
    assert "There are no scores to compare yet." in list_sentences(find(replace(study, rows=(), cells=())))
    bare = StudyResults(study="bare", question="", trials=(), rows=(), cells=())
    assert list_sentences(find(bare))[0] == "There is nothing to compare: the study has one way of training."


def test_strips_share_one_axis_and_clip_what_leaves_it(planted: Findings) -> None:
    main = main_verdicts(planted)
    reach = find_reach(main)
    wide = max(main, key=lambda v: v.interval.high - v.interval.low if v.interval else 0.0)
    assert wide.interval and wide.interval.high > reach
    assert draw_strip(wide, reach=reach).count("<path") == 2
    assert all(abs(verdict.points or 0.0) < reach for verdict in main)
    assert f"+{reach:.0f}" in draw_axis(reach)


def test_strip_says_in_words_what_it_draws() -> None:
    verdict = Verdict(part="p", first="a", second="b", model="m", margin=5.0, points=1.26)
    assert 'aria-label="+1.3 points, margin 5"' in draw_strip(verdict, reach=10.0)
    assert draw_strip(replace(verdict, points=None), reach=10.0) == ""


def test_no_verdict_is_told_by_its_colour_alone() -> None:
    assert len(set(SIGNS.values())) == len(SIGNS)


def test_verdict_leads_to_the_programs_behind_it(study: StudyResults) -> None:
    found = find(study)
    by_metric = {verdict.metric: verdict for verdict in found.verdicts if verdict.second == "qlora apart"}
    link = link_verdict(found, by_metric["pass@1"], ahead=True)
    assert link == "#samples&where=%22qlora+together%22+passes+and+%22qlora+apart%22+fails"
    assert link_verdict(found, by_metric["bleu"], ahead=True) == ""
