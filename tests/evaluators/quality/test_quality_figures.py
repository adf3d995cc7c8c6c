"""Figures over files: per file, per 100 lines, and against references."""

from evaluators.quality import count_of, difference_of, figure_of
from evaluators.quality.report import Figure

ERRORS = count_of("pylint.error")


def counts(errors: float, lines: float) -> dict[str, float]:
    return {"pylint.error": errors, "lizard.nloc": lines}


def test_rate_is_of_all_lines_and_not_a_mean_of_rates() -> None:
    assert figure_of([counts(1, 1), counts(1, 49)], ERRORS) == Figure(files=2, per_file=1.0, per_100_lines=4.0)


def test_files_without_the_count_are_not_behind_the_figure() -> None:
    assert figure_of([counts(2, 10), {}, {"lizard.nloc": 3}], ERRORS) == Figure(
        files=1, per_file=2.0, per_100_lines=20.0
    )
    assert figure_of([{}, {}], ERRORS) is None


def test_rate_is_absent_where_a_file_has_no_lines_counted() -> None:
    figure = figure_of([counts(2, 10), {"pylint.error": 1.0}], ERRORS)
    assert figure is not None and (figure.per_file, figure.per_100_lines) == (1.5, None)


def test_difference_is_taken_over_pairs_that_both_have_the_count() -> None:
    pairs = [(counts(3, 10), counts(1, 20)), ({}, counts(9, 10)), (counts(9, 10), {})]
    assert difference_of(pairs, ERRORS) == Figure(files=1, per_file=2.0, per_100_lines=25.0)
    assert difference_of(pairs[1:], ERRORS) is None


def test_losing_the_worst_outputs_leaves_the_difference_alone() -> None:
    pairs = [(counts(n, 10), counts(n, 10)) for n in range(10)]
    kept = difference_of(pairs[:3], ERRORS)
    assert kept is not None and kept.per_file == 0.0 and kept.files == 3
