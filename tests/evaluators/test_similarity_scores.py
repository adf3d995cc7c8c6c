"""The door to similarity: names, shapes and refusals."""

from pathlib import Path

import pytest

from evaluators.similarity import METRICS as ALL_METRICS
from evaluators.similarity import faults_of, score_pairs
from tasks.records import Language

# The others need a model, a service or WordNet's data, and have tests of their own.
METRICS = tuple(m for m in ALL_METRICS if m not in {"meteor", "bertscore", "cosine", "judge"})


def test_every_metric_gives_instances_corpus_and_signature() -> None:
    scores = score_pairs(["x = y"], ["x = z"], metrics=METRICS, language=Language.PYTHON)
    for metric in METRICS:
        assert len(scores.per_instance[metric]) == 1
        assert metric in scores.corpus
        assert scores.signatures[metric]


def test_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'codebleu'"):
        score_pairs(["a"], ["a"], metrics=["codeblue"])


def test_codebleu_without_a_language_is_refused() -> None:
    with pytest.raises(ValueError, match="needs --language"):
        score_pairs(["a"], ["a"], metrics=["codebleu"])


def test_unequal_numbers_of_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 predictions and 1 references"):
        score_pairs(["a", "b"], ["a"], metrics=["bleu"])


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        score_pairs([], [], metrics=["bleu"])


def test_mean_leaves_out_pairs_to_which_a_metric_does_not_apply() -> None:
    with_flow, without_flow = "def f(a):\n    return a\n", "def f():\n    pass\n"
    metrics = ["codebleu_dataflow"]
    scores = score_pairs(
        [with_flow, without_flow], [with_flow, without_flow], metrics=metrics, language=Language.PYTHON
    )
    assert scores.per_instance["codebleu_dataflow"] == (100.0, None)
    assert scores.mean("codebleu_dataflow") == 100.0
    nothing = score_pairs([without_flow], [without_flow], metrics=metrics, language=Language.PYTHON)
    assert nothing.corpus["codebleu_dataflow"] is None
    assert nothing.mean("codebleu_dataflow") is None


def test_score_of_a_pair_does_not_depend_on_its_company() -> None:
    outputs = ["def f(a):\n    return a\n", "x = (", "", "for i in y:\n    print(i)\n"]
    references = ["def f(b):\n    return b + 1\n", "x = 1", "y = 2", "for j in z:\n    print(j)\n"]
    together = score_pairs(outputs, references, metrics=METRICS, language=Language.PYTHON)
    backwards = score_pairs(outputs[::-1], references[::-1], metrics=METRICS, language=Language.PYTHON)
    for metric in METRICS:
        assert backwards.per_instance[metric][::-1] == together.per_instance[metric]
        assert backwards.corpus[metric] == together.corpus[metric]


def test_every_fault_of_a_request_is_told_at_once() -> None:
    with pytest.raises(ValueError) as told:
        score_pairs([], [], metrics=["codeblue", "codebleu", "bertscore", "judge"])
    assert len(str(told.value).splitlines()) == 5


def test_metric_asked_for_twice_is_faulted_once() -> None:
    assert len(faults_of(["nope", "nope"], language=None, model=None, judge=None)) == 1


def test_every_metric_is_told_of_in_the_documents() -> None:
    told = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [name for name in ALL_METRICS if f"`{name}`" not in told] == []
