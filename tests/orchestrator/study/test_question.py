"""The question of a study: its short form, what it may name, and that nothing of it is part of a stage's key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import StudyError
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.question import Question, Way, names_of, pairs_named

METHODS = {
    "frozen": {"kind": "frozen"},
    "qlora-together": {"kind": "qlora"},
    "qlora-apart": {"kind": "qlora", "grouping": "apart"},
    "full-together": {"kind": "full"},
}
WAYS = tuple(
    Way(method=name, kind=method["kind"], grouping=method.get("grouping", "together"))
    for name, method in METHODS.items()
)


def written(folder: Path, question: Any) -> Path:
    path = folder / "study.yaml"
    study = {
        "study": "asked",
        "question": question,
        "models": ["builtin:micro"],
        "tasks": {"generation/python": {"train": "micro", "test": "micro"}},
        "methods": METHODS,
    }
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path


def faults(folder: Path, question: Any) -> str:
    with pytest.raises(StudyError) as caught:
        load_study(written(folder, question))
    return str(caught.value)


def test_text_alone_is_the_short_form(tmp_path: Path) -> None:
    study = load_study(written(tmp_path, "Is it?"))
    assert study.question == Question(text="Is it?")
    assert (study.question.margin_for("pass@1"), study.question.margin_for("bleu")) == (5.0, 2.0)


def test_whole_form_says_pairs_metric_margin_and_family(tmp_path: Path) -> None:
    asked = {
        "text": "Is it?",
        "compare": [["together", "apart"], ["qlora-together", "full-together"]],
        "metric": "codebleu",
        "margin": 3,
        "family": "question",
        "correction": "bh",
    }
    question = load_study(written(tmp_path, asked)).question
    assert question.compare == (("together", "apart"), ("qlora-together", "full-together"))
    assert (question.margin_for("pass@1"), question.metric, question.family) == (3.0, "codebleu", "question")


def test_single_setting_is_changed_from_the_command_line(tmp_path: Path) -> None:
    study = load_study(written(tmp_path, {"text": "Is it?"}), changes=["question.margin=1.5"])
    assert study.question.margin == 1.5


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (
            {"compare": [["together", "alone"]]},
            "question.compare.0: 'alone' is no method and no grouping of this study",
        ),
        ({"compare": [["qlora-together", "full-togethr"]]}, "did you mean full-together?"),
        ({"compare": [["together", "together"]]}, "compares a thing with itself; name two"),
        ({"compare": [["together", "apart"], ["apart", "together"]]}, "stands there twice; name each pair once"),
        ({"margin": 0}, "question.margin: Input should be greater than 0, got 0"),
        ({"margin": 100}, "question.margin: Input should be less than 100"),
        ({"metric": "code_bleu"}, "'code_bleu' is no metric of a study; did you mean codebleu?"),
        (
            {"metric": "bleu4_smooth"},
            "question.metric: bleu4_smooth is measured on none of the study's tracks; name one",
        ),
        ({"correction": "bonferroni"}, "question.correction: "),
        ({"margins": 3}, "question.margins: unknown key; did you mean margin?"),
    ],
)
def test_wrong_question_is_told_with_the_remedy(tmp_path: Path, question: Any, said: str) -> None:
    assert said in faults(tmp_path, question)


def test_fault_names_the_line_of_the_pair(tmp_path: Path) -> None:
    assert "line " in faults(tmp_path, {"text": "Is it?", "compare": [["together", "apart"], ["together", "alone"]]})


def test_groupings_without_a_kind_in_common_compare_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, {"compare": [["together", "apart"]]})
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    del study["methods"]["qlora-together"]
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    with pytest.raises(StudyError, match="compares nothing, for no two of these are of one kind; name two methods"):
        load_study(path)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("together", "apart"), [("qlora-together", "qlora-apart")]),
        (("qlora-together/together", "full-together"), [("qlora-together", "full-together")]),
        (("together", "full-together"), [("qlora-together", "full-together")]),
        (("together", "frozen"), [("qlora-together", "frozen"), ("full-together", "frozen")]),
    ],
)
def test_names_of_a_pair_mean_methods(pair: tuple[str, str], expected: list[tuple[str, str]]) -> None:
    assert [(first.method, second.method) for first, second in pairs_named(pair, WAYS)] == expected


def test_method_called_like_a_grouping_is_meant_as_the_method() -> None:
    ways = (Way("together", "lora", "together"), Way("other", "lora", "together"), Way("apart", "lora", "apart"))
    assert pairs_named(("together", "apart"), ways) == ((ways[0], ways[2]),)
    assert "together/together" in names_of(ways)


def test_question_is_no_part_of_any_key(tmp_path: Path) -> None:
    def keys(question: Any) -> list[str]:
        trials = expand(load_study(written(tmp_path, question))).trials
        return [trial.key(stage) for trial in trials for stage in trial.stages]

    assert keys("Is it?") == keys({"compare": [["together", "apart"]], "margin": 1, "correction": "none"})
