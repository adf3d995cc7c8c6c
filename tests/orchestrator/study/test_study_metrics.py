"""The metrics that a study chooses: what it may name, what becomes due, and what is computed."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from small_studies import CODE, PROSE, complete, make_study, trial_of

from evaluators.similarity import METRICS, study_metrics
from orchestrator.work.score import score_cell
from tasks.readers import Source, read_problems
from tasks.records import Track


def test_usual_metrics_are_the_tables_defaults() -> None:
    assert set(study_metrics(Track.parse(CODE))) == {
        "codebleu", "codebleu_ngram", "codebleu_weighted", "codebleu_syntax", "codebleu_dataflow",
        "bleu", "chrf", "exact_match", "edit_similarity",
    }  # fmt: skip
    assert set(study_metrics(Track.parse(PROSE))) == {
        "bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "meteor_exact_stem", "exact_match", "edit_similarity",
    }  # fmt: skip


def test_chosen_metrics_make_scores_alone_due_and_none_chosen_changes_no_key(tmp_path: Path) -> None:
    usual = trial_of(make_study(tmp_path), "frozen")
    assert "metrics" not in usual.identity("score")
    chosen = trial_of(make_study(tmp_path, evaluation={"metrics": ["bleu", "exact_match"]}), "frozen")
    changed = {stage for stage in usual.stages if usual.key(stage) != chosen.key(stage)}
    assert changed == {"score"}
    again = trial_of(make_study(tmp_path, evaluation={"metrics": ["exact_match", "bleu", "bleu"]}), "frozen")
    assert again.key("score") == chosen.key("score")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["blue"], "did you mean 'bleu'"),
        (["bertscore", "bleu"], "bertscore needs an encoder"),
        (["meteor"], "meteor needs WordNet's data"),
        (["codebleu"], f"none of codebleu applies to {PROSE}"),
        ([], "names no metric"),
    ],
)
def test_choice_that_cannot_be_scored_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make_study(tmp_path, evaluation={"metrics": names})


def test_cell_holds_the_chosen_metrics_that_apply(tmp_path: Path) -> None:
    for track, expected in ((CODE, {"codebleu", "bleu"}), (PROSE, {"bleu4_smooth", "bleu"})):
        source = Source(reader="micro", split="test", limit=2)
        problems = read_problems(source, track=Track.parse(track), root=tmp_path)
        written = [complete(problem, problem.reference) for problem in problems]
        cell = score_cell(problems, written, quality=False, metrics=["codebleu", "bleu4_smooth", "bleu"])
        assert set(cell.corpus) == expected == set(cell.signatures)


def test_every_row_of_the_table_is_whole() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name and metric.title and metric.about
        assert metric.code or metric.prose
        low, high = metric.scale
        assert low is not None and high is not None and low < high
        assert not metric.study_default or metric.suits_studies
