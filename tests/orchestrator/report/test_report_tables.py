"""Tables: what they count, what they leave out, and that they say so."""

from dataclasses import replace
from itertools import zip_longest

import pytest
from report_samples import NO_COMPILER, NO_MEMORY, TRACKS, make_study, make_trial

from orchestrator.ledger.progress import State
from orchestrator.report import Cell, Column, Table, build_tables, find
from orchestrator.report.doubts import list_doubts
from orchestrator.report.layout import (
    ABSENT,
    format_bytes,
    format_count,
    format_number,
    format_seconds,
    merge_alike,
    number_notes,
)
from orchestrator.report.results import InstanceRow, StageOutcome, StudyResults, TrialOutcome
from tasks.records import VerdictName


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return make_study(problems=60)


@pytest.fixture(scope="module")
def tables(study: StudyResults) -> dict[str, Table]:
    return {table.name: table for table in build_tables(find(study))}


def build_table(study: StudyResults, name: str) -> Table:
    return next(table for table in build_tables(find(study)) if table.name == name)


def look_up(table: Table, *heads: str, column: str) -> Cell:
    """The cell of the row that starts with `heads`, under a column's full title."""
    index = [entry.full_title for entry in table.columns].index(column)
    rows = [row for row in table.rows if tuple(cell.text for cell in row[: len(heads)]) == heads]
    assert len(rows) == 1, f"{len(rows)} rows for {heads} in {table.name}"
    return rows[0][index]


def test_pass_rate_is_the_share_of_problems_passed(study: StudyResults, tables: dict[str, Table]) -> None:
    mine = [row for row in study.rows if (row.trial, row.track) == ("qlora-together", "generation/python")]
    cell = look_up(tables["main"], "qlora together", column="generation/python: pass@1 %")
    assert cell.value == pytest.approx(100 * sum(row.verdict == "passed" for row in mine) / 60)
    assert cell.value is not None and cell.interval is not None
    assert cell.interval.low < cell.value < cell.interval.high
    assert cell.detail == "" and not cell.warning


def test_unjudged_samples_leave_the_denominator_and_show(tables: dict[str, Table]) -> None:
    cell = look_up(tables["main"], "frozen", column="generation/java: pass@1 %")
    assert cell.detail == "58 of 60 judged"
    assert cell.warning


def test_track_without_any_verdict_reads_its_note(tables: dict[str, Table]) -> None:
    cell = look_up(tables["main"], "frozen", column="translation/java-csharp: pass@1 %")
    assert (cell.text, cell.value, cell.warning) == (NO_COMPILER, None, True)


def test_failed_trial_reads_its_cause(tables: dict[str, Table]) -> None:
    cell = look_up(tables["main"], "qlora apart", column="summarization/java: BLEU (mean)")
    assert (cell.text, cell.value) == (f"train failed: {NO_MEMORY}", None)
    trouble = look_up(tables["troubles"], "qlora-apart-summarization", column="cause")
    assert trouble.text == NO_MEMORY


def test_trial_that_cannot_run_here_does_not_say_so_twice() -> None:
    stage = StageOutcome(stage="train", state=State.NOT_RUN, cause="no g++; install g++")
    stuck = replace(make_trial("full", kind="full", tracks=TRACKS[:1]), stages=(stage,))
    found = find(StudyResults(study="s", question="q", trials=(stuck,), rows=(), cells=()))
    main = next(table for table in build_tables(found) if table.name == "main")
    assert main.rows[0][1].text == "not run: no g++; install g++"


def test_apart_trials_share_a_row(tables: dict[str, Table]) -> None:
    assert [row[0].text for row in tables["main"].rows] == ["frozen", "qlora together", "qlora apart", "full together"]


def test_bleu_is_a_mean_over_problems_wherever_it_stands_and_says_so(
    study: StudyResults, tables: dict[str, Table]
) -> None:
    cell = next(c for c in study.cells if (c.trial, c.track) == ("frozen", "summarization/python"))
    shown = look_up(tables["main"], "frozen", column="summarization/python: BLEU (mean)")
    assert shown.value == pytest.approx(cell.corpus["bleu"] / 1.04) and shown.interval is not None
    mean, corpus = (
        look_up(tables["details"], "frozen", "summarization/python", "BLEU", column=column)
        for column in ("mean over problems", "corpus")
    )
    assert (mean.value, mean.detail) == (shown.value, "n = 60")
    assert corpus.value == cell.corpus["bleu"]


def test_several_samples_count_as_their_problems_mean() -> None:
    trial = make_trial("frozen", kind="frozen", tracks=TRACKS[:1])
    verdicts: dict[str, tuple[VerdictName, VerdictName]] = {
        "a": ("passed", "wrong_answer"),
        "b": ("passed", "passed"),
        "c": ("timeout", "unjudged"),
    }
    rows = tuple(
        InstanceRow(
            trial="frozen",
            track=TRACKS[0],
            dataset="d",
            problem_id=problem,
            sample=sample,
            empty=False,
            parses=True,
            verdict=verdict,
        )
        for problem, given in verdicts.items()
        for sample, verdict in enumerate(given)
    )
    found = find(StudyResults(study="s", question="q", trials=(trial,), rows=rows, cells=()))
    cell = next(table for table in build_tables(found) if table.name == "main").rows[0][1]
    assert cell.value == pytest.approx(100 * (0.5 + 1 + 0) / 3)
    assert cell.warning and cell.detail == ""


def test_two_test_sets_of_a_track_are_never_mixed(study: StudyResults) -> None:
    moved = tuple(
        replace(row, dataset="other") if int(row.problem_id.split("/")[2]) < 10 else row for row in study.rows
    )
    main = next(table for table in build_tables(find(replace(study, rows=moved))) if table.name == "main")
    titles = [column.full_title for column in main.columns]
    assert "generation/python · micro: pass@1 %" in titles and "generation/python · other: pass@1 %" in titles


def test_empty_output_that_parses_is_not_clean_code() -> None:
    trial = make_trial("frozen", kind="frozen", tracks=TRACKS[:1])
    empty = InstanceRow(trial="frozen", track=TRACKS[0], dataset="d", problem_id="a", sample=0, empty=True, parses=True,
                        verdict="exception", counts={"lizard.nloc": 0.0})  # fmt: skip
    full = replace(empty, empty=False, verdict="passed", counts={"lizard.nloc": 6.0})
    rows = (empty, *(replace(full, problem_id=str(i)) for i in range(9)))
    found = find(StudyResults(study="s", question="q", trials=(trial,), rows=rows, cells=()))
    quality = next(table for table in build_tables(found) if table.name == "quality")
    assert look_up(quality, "frozen", column="parses %").value == 90
    assert look_up(quality, "frozen", column="lines of code: parses").value == 6
    assert look_up(quality, "frozen", column="lines of code: parses").detail == "n = 9"


def test_quality_counts_say_how_many_files_are_behind_them(study: StudyResults, tables: dict[str, Table]) -> None:
    mine = [row for row in study.rows if (row.trial, row.track) == ("full-together", "generation/python")]
    parsing, passing = [row for row in mine if row.parses], [row for row in mine if row.verdict == "passed"]
    cell = look_up(tables["quality"], "full-together", "generation/python", column="lint messages: parses")
    total = sum(sum(v for k, v in row.counts.items() if k.startswith("pylint.")) for row in parsing)
    lines = sum(row.counts["lizard.nloc"] for row in parsing)
    assert cell.value == pytest.approx(total / len(parsing))
    assert cell.detail == f"n = {len(parsing)}, {100 * total / lines:.1f} /100"
    passed = look_up(tables["quality"], "full-together", "generation/python", column="lines of code: passes")
    assert passed.detail == f"n = {len(passing)}"
    assert look_up(tables["quality"], "frozen", "generation/java", column="lint messages: parses").text == ABSENT
    difference = look_up(tables["quality"], "full-together", "generation/python", column="lines of code: vs reference")
    assert difference.value == pytest.approx(lines / len(parsing) - 8)
    names = [row[2].text for row in tables["quality-detail"].rows if row[0].text == "frozen"][:4]
    assert names == ["lizard.ccn", "lizard.nloc", "lizard.tokens", "pylint.error"]


def test_means_of_a_cell_that_is_mostly_broken_are_not_shown() -> None:
    trial = make_trial("frozen", kind="frozen", tracks=TRACKS[:1])
    whole = InstanceRow(trial="frozen", track=TRACKS[0], dataset="d", problem_id="0", sample=0, empty=False,
                        parses=True, verdict="passed", counts={"lizard.nloc": 6.0, "lizard.ccn": 1.0})  # fmt: skip
    for broken, shown in ((1, (1.0, "n = 9, 16.7 /100", False)), (4, (None, "", True))):
        rows = tuple(
            replace(whole, problem_id=str(i), parses=i >= broken, counts=whole.counts if i >= broken else {})
            for i in range(10)
        )
        found = find(StudyResults(study="s", question="q", trials=(trial,), rows=rows, cells=()))
        quality = next(table for table in build_tables(found) if table.name == "quality")
        for way in ("parses", "passes"):
            cell = look_up(quality, "frozen", column=f"cyclomatic complexity: {way}")
            assert (cell.value, cell.detail, cell.warning) == shown


def test_health_marks_only_what_is_above_its_limit(tables: dict[str, Table]) -> None:
    health = tables["health"]
    assert look_up(health, "frozen", "generation/python", column="unparseable (≤ 10%)").warning
    assert not look_up(health, "qlora-together", "generation/python", column="unparseable (≤ 10%)").warning
    assert look_up(health, "frozen", "summarization/java", column="unparseable (≤ 10%)").text == ABSENT


def test_cost_shows_absent_facts_as_absent(tables: dict[str, Table]) -> None:
    cost = tables["cost"]
    assert look_up(cost, "frozen", column="train").text == ABSENT
    assert look_up(cost, "qlora-together", column="total").value == pytest.approx(913.0 + 241.5 + 64.2 + 9.1)
    trainable = look_up(tables["training"], "qlora-together", column="trainable parameters")
    assert (trainable.text, trainable.detail) == ("184 k", "3.85 % of 4.78 M")


def test_cost_tells_whether_a_row_held_several_examples(study: StudyResults) -> None:
    facts: dict[str, dict[str, object]] = {"qlora-together": {"rows": "flat"}, "full-together": {"rows": "single"}}

    def with_rows(trial: TrialOutcome) -> TrialOutcome:
        return replace(trial, stages=tuple(replace(s, facts=facts.get(trial.trial, {})) for s in trial.stages))

    trials = tuple(with_rows(trial) for trial in study.trials)
    table = build_table(replace(study, trials=trials), "training")
    shown = {row[0].text: look_up(table, row[0].text, column="examples a row").text for row in table.rows}
    # Nobody said it of the others: the frozen one is not trained, and older records do not hold it.
    assert shown == {"qlora-together": "several", "full-together": "one"}


def test_cost_has_no_column_of_what_no_trial_recorded(tables: dict[str, Table]) -> None:
    assert "examples a row" not in [column.title for column in tables["training"].columns]


def test_training_that_changes_no_output_is_flagged(study: StudyResults) -> None:
    facts: dict[str, object] = {"adapter_changes_outputs": 0.0, "steps": 5}
    idle = tuple(replace(trial, stages=tuple(replace(s, facts=facts) for s in trial.stages)) for trial in study.trials)
    findings = find(replace(study, trials=idle))
    doubt = next(doubt for doubt in list_doubts(findings) if doubt.kind == "nothing learned")
    assert doubt.touches and "qlora-together in 5 steps" in doubt.where
    cost = next(table for table in build_tables(findings) if table.name == "generation")
    cell = look_up(cost, "qlora-together", column="outputs changed %")
    assert (cell.text, cell.warning) == ("0.0", True)


def test_cost_says_what_a_training_stood_on(study: StudyResults) -> None:
    on_gpu = {"kernels": ["rope", "swiglu"], "kernels_of": "0.8.5", "by_peft": {"q_proj": 28}, "longest_row": 16_288}
    facts = {"footing": on_gpu, "runtime": {"micro_tokens": 16_384, "gradient_checkpointing": True}}
    told = tuple(replace(t, stages=tuple(replace(s, facts=facts) for s in t.stages)) for t in study.trials)
    cost = build_table(replace(study, trials=told), "training")
    found = {
        column: look_up(cost, "qlora-together", column=column)
        for column in ("tokens a pass", "kernels", "computed by peft")
    }
    assert [cell.text for cell in found.values()] == ["16.3 k", "rope, swiglu", "q_proj"]
    assert found["tokens a pass"].detail == "of 16.4 k allowed, activations computed again"
    lacking = {"footing": {"kernels": [], "no_kernels": "liger-kernel is not installed"}}
    told = tuple(replace(t, stages=tuple(replace(s, facts=lacking) for s in t.stages)) for t in study.trials)
    cost = build_table(replace(study, trials=told), "training")
    cell = look_up(cost, "qlora-together", column="kernels")
    assert (cell.text, cell.note) == ("none", "liger-kernel is not installed")


def test_comparisons_are_of_the_pairs_that_the_questions_ask_for(study: StudyResults) -> None:
    contrasts = find(study).contrasts
    pairs = {(item.family, item.first.title, item.second.title) for item in contrasts}
    assert pairs == {
        ("together against apart", "qlora together", "qlora apart"),
        ("adapter against full", "qlora together", "full together"),
        ("trained against frozen", "qlora together", "frozen"),
        ("trained against frozen", "qlora apart", "frozen"),
        ("trained against frozen", "full together", "frozen"),
    }


def test_comparison_with_a_failed_trial_gives_its_reason(tables: dict[str, Table]) -> None:
    heads = ("together against apart", "qlora together", "qlora apart", "summarization/java")
    cell = look_up(tables["comparisons"], *heads, column="first is")
    assert (cell.text, cell.note) == ("not comparable", f"qlora apart: train failed: {NO_MEMORY}")


def test_holm_is_applied_within_each_question(study: StudyResults) -> None:
    for family in {item.family for item in find(study).contrasts}:
        tested = [item for item in find(study).contrasts if item.family == family and item.p_adjusted is not None]
        raw = [item.outcome.p_value for item in tested]  # type: ignore[union-attr]
        smallest = min(range(len(raw)), key=raw.__getitem__)
        assert tested[smallest].p_adjusted == pytest.approx(min(1.0, len(raw) * raw[smallest]))


def test_one_frozen_trial_serves_every_seed() -> None:
    one = make_study(problems=20)
    again = tuple(replace(t, trial=f"{t.trial}-2", seed=2) for t in one.trials if t.kind != "frozen")
    rows = tuple(replace(r, trial=f"{r.trial}-2") for r in one.rows if r.trial != "frozen")
    both = replace(one, trials=one.trials + again, rows=one.rows + rows)
    found = find(both)
    assert [arm.title for arm in found.evidence.arms][:3] == [
        "frozen",
        "qlora together · seed 1",
        "qlora apart · seed 1",
    ]
    firsts = [item.first.seed for item in found.contrasts if item.second.is_frozen]
    assert firsts.count(1) == firsts.count(2) > 0
    seeds = next(table for table in build_tables(found) if table.name == "seeds")
    assert look_up(seeds, "builtin:micro", "full together", column="generation/python: pass@1 %").detail == "2 seeds"


def test_study_that_has_not_run_has_tables_that_say_so() -> None:
    waiting = tuple(
        replace(t, stages=tuple(StageOutcome(stage=s.stage, state=State.WAITING) for s in t.stages), curve=())
        for t in make_study(problems=1).trials
    )
    found = find(StudyResults(study="s", question="q", trials=waiting, rows=(), cells=()))
    main = next(table for table in build_tables(found) if table.name == "main")
    together, apart = ([cell.text for cell in main.rows[index][1:]] for index in (1, 2))
    assert together == apart == ["not run yet"] * 6


def test_long_explanations_become_numbered_notes(tables: dict[str, Table]) -> None:
    numbered = number_notes(tables["main"])
    assert numbered.notes == (NO_COMPILER, f"train failed: {NO_MEMORY}")
    apart = next(row for row in numbered.rows if row[0].text == "qlora apart")
    assert [(cell.text, cell.mark, width) for cell, width in merge_alike(apart)][-1] == ("train failed", 2, 2)


def test_ragged_table_is_refused() -> None:
    with pytest.raises(AssertionError, match="table t"):
        Table(name="t", title="T", columns=(Column(title="a"),), rows=((),))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (format_number(-0.04, signed=True), "0.0"),
        (format_number(-3.25, digits=2), "\N{MINUS SIGN}3.25"),
        (format_number(4, signed=True), "+4.0"),
        (format_seconds(9.12), "9.1 s"),
        (format_seconds(125), "2 min 05 s"),
        (format_seconds(3600 * 2 + 61), "2 h 01 min"),
        (format_count(9_999), "9,999"),
        (format_count(4_915_200), "4.92 M"),
        (format_bytes(1_610_612_736), "1.5 GiB"),
    ],
)
def test_figures_are_written_for_readers(written: str, expected: str) -> None:
    assert written == expected


def test_cost_says_what_proves_that_completions_are_the_model_s_own(study: StudyResults) -> None:
    slots = {"probes": 4, "engine_off": 0.0048, "adapter_logits": 1.877, "adapter_answers": 1.0, "alone_differs": 0.25}
    own = {"probes": 4, "engine_off": None, "adapter_logits": None, "adapter_answers": None, "alone_differs": 0.0}
    work = {"new_tokens": 9000, "seconds": 6.0, "slot_steps": 400.0, "slot_steps_used": 300.0}
    known: list[dict[str, object]] = [{"proof": slots, "writing": work}, {"proof": own}]
    told = tuple(
        replace(t, stages=tuple(replace(s, facts=facts) for s in t.stages))
        for t, facts in zip_longest(study.trials, known, fillvalue={})
    )
    cost = build_table(replace(study, trials=told), "generation")
    first, second = (row[0].text for row in cost.rows)
    shown = {
        trial: [
            look_up(cost, trial, column=title).text
            for title in ("decoded in", "logits moved by adapter", "differs if asked alone %")
        ]
        for trial in (first, second)
    }
    assert shown == {
        first: ["slots", "1.9", "25.0"],
        second: ["batches", ABSENT, "0.0"],
    }
    assert look_up(cost, first, column="decoded in").detail == "logits 0.48 % off the model's own"
    rate = look_up(cost, first, column="new tokens/s")
    assert (rate.text, rate.detail) == ("1,500", "75 % of slots in use")
