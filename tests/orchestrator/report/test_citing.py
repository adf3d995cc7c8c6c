"""What whoever cites a study needs: one block, and a paragraph, from the records alone."""

from dataclasses import replace
from pathlib import Path

from report_samples import make_study
from small_studies import CODE, PROSE, finish_training
from test_collect import Room, room

from orchestrator.report import find, methods_paragraph, write_report
from orchestrator.report.citing import cite_block
from orchestrator.report.setup import Setup
from orchestrator.study.question import Question

__all__ = ["room"]


def block(found: object) -> dict[str, dict[str, str]]:
    return {part.title: dict(part.entries) for part in cite_block(found)}  # type: ignore[arg-type]


def finish_all(room: Room) -> None:
    finish_training(room.ledger, room.trial("qlora"))
    for method in ("frozen", "qlora"):
        room.finish(method)


def test_block_names_models_data_seeds_metrics_and_software(room: Room) -> None:
    finish_all(room)
    told = block(find(room.collect()))
    assert told["Models"] == {"builtin:micro": f"sha256 {room.trial('qlora').model.digest}"}
    assert told["Seeds"] == {"training": "0", "generation": "none: greedy, the likeliest token each time"}
    assert told["Software"] == {"git": "0123456"}
    assert "codebleu" in told["Metrics"] and "rouge_l" in told["Metrics"]
    train = next(name for name in told["Data"] if "train split" in name)
    assert CODE in train and PROSE in train
    assert told["Data"][train] == room.trial("qlora").train[0].identity


def test_block_says_what_nothing_pins_and_leaves_out_the_host(room: Room) -> None:
    finish_all(room)
    results = room.collect()
    loose = tuple(replace(trial, digest="", revision="") for trial in results.setup.trials)
    results = replace(results, setup=Setup(trials=loose), provenance={"host": "secret-machine", "torch": "2.13.0"})
    told = block(find(results))
    assert told["Models"] == {"builtin:micro": "not pinned: whoever repeats this may get another"}
    assert "secret-machine" not in str(told) and told["Software"] == {"torch": "2.13.0"}


def test_block_tells_margins_and_correction() -> None:
    told = block(find(replace(make_study(problems=40), asked=Question(correction="bh", family="question", margin=3))))
    assert told["Statistics"]["equally good"].startswith("within 3 points of ")
    assert told["Statistics"]["correction of p-values"] == "Benjamini-Hochberg, over all tests of the study"


def test_page_holds_the_block(room: Room, tmp_path: Path) -> None:
    finish_all(room)
    page = write_report(room.collect(), folder=tmp_path).read_text(encoding="utf-8")
    assert "Models, data, seeds, metrics, statistics and software" in page
    assert room.trial("qlora").model.digest in page  # type: ignore[operator]


def test_paragraph_says_what_was_done_and_nothing_else(room: Room) -> None:
    finish_all(room)
    told = methods_paragraph(room.collect())
    for part in (
        "We used builtin:micro (files with SHA-256 ",
        "Ways of training were: QLoRA adapter (trained on the base in 4 bits, NF4 with double quantisation) of rank 8",
        'one for all tasks ("qlora").',
        "AdamW, a highest learning rate of 0.001",
        "4 steps",
        "Each training ran with 1 seed (0).",
        "Test problems were 3 each of generation/python (small) and summarization/python (small).",
        "Answers were decoded greedily, one for each problem",
        "(commit 0123456)" if "polytune" in told else "",
    ):
        assert part in told, part
    assert "full fine-tuning" not in told and "could not be judged" not in told
    assert "\n" not in told


def test_paragraph_of_a_study_that_has_not_run_claims_no_results(room: Room) -> None:
    told = methods_paragraph(room.collect())
    assert "We used builtin:micro" in told and "2 of 2 trials had not finished." in told
    assert "Test problems" not in told and "compared" not in told and "judged" not in told


def test_paragraph_names_tests_margins_and_corrections_of_the_question() -> None:
    asked = Question(correction="none", one_sided=True, over="task", margin=4)
    told = methods_paragraph(replace(make_study(problems=60), asked=asked))
    assert "P-values were not corrected for their number." in told
    assert "Over the tracks of each task together, weighted alike" in told
    assert "by a one-sided test, against a margin of 4 points of" in told
    assert "McNemar" in told and "Wilcoxon signed-rank test" in told
    assert "1 of 6 trials had not finished." in told


def test_settings_in_which_methods_differ_are_told_by_method(room: Room) -> None:
    finish_all(room)
    results = room.collect()
    qlora = next(trial for trial in results.setup.trials if trial.method == "qlora")
    other = replace(qlora, method="lora", training={**qlora.training, "learning_rate": 0.5})
    told = methods_paragraph(replace(results, setup=Setup(trials=(*results.setup.trials, other))))
    assert "qlora used a highest learning rate of 0.001." in told
    assert "lora used a highest learning rate of 0.5." in told
    assert told.count("AdamW") == 1
