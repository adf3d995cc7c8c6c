"""What was asked, written and found, side by side, from a ledger and packed for the page."""

import json
import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_texts import HOSTILE, METHODS, TRACK, make_results, reference
from small_studies import commit, complete, lines, make_study, trial_of

from orchestrator.ledger.ledger import Ledger
from orchestrator.report.collect import collect
from orchestrator.report.evidence import gather
from orchestrator.report.results import StudyResults
from orchestrator.report.samplechunks import ABSENT, EMPTY, UNSCORED, VERDICTS, Packed, pack
from orchestrator.report.samples import Item, gather_samples
from orchestrator.study.cells import expand
from orchestrator.work.data import read_all_problems


def items_of(results: StudyResults) -> list[Item]:
    return list(gather_samples(gather(results)).items())


def opened(packed: Packed) -> tuple[dict[str, Any], bytes, list[dict[str, Any]]]:
    """Index, states and lines, as the page reads them."""
    index, states, *chunks = (zlib.decompress(b64decode(p)) for p in (packed.index, packed.states, *packed.chunks))
    return json.loads(index), states, [json.loads(line) for chunk in chunks for line in chunk.splitlines()]


@pytest.fixture
def finished(tmp_path: Path) -> tuple[StudyResults, Path]:
    """A study of which one trial has written, and nothing was scored; and where its data lie."""
    study = make_study(tmp_path)
    ledger, trial = Ledger(Path(study.storage)), trial_of(study, "frozen")
    problems = read_all_problems(trial.test, root=Path(study.data.root))
    written = lines([complete(problem, problem.reference) for problem in problems])
    commit(ledger, trial, "generate", files={"completions.jsonl": written})
    return collect(study, expand(study).trials, ledger), tmp_path / "data" / "test.jsonl"


def test_what_is_written_is_shown_before_it_is_scored(finished: tuple[StudyResults, Path]) -> None:
    items = items_of(finished[0])
    assert [item.problem_id for item in items] == ["small/1", "small/2", "small/3", "prose/1", "prose/2", "prose/3"]
    output = items[0].outputs["frozen"]
    assert items[0].asked is not None and output.text == items[0].asked.reference
    assert (output.scored, output.verdict, output.finish) == (False, None, "stop")
    assert items[0].asked.prompt.startswith("Add 1 to x")


@pytest.mark.parametrize("edited", [True, False])
def test_data_that_are_gone_or_edited_cost_prompts_alone(finished: tuple[StudyResults, Path], edited: bool) -> None:
    results, data = finished
    data.write_text(data.read_text(encoding="utf-8") + "\n", encoding="utf-8") if edited else data.unlink()
    samples = gather_samples(gather(results))
    items = list(samples.items())
    assert len(items) == 6
    assert {item.asked for item in items} == {None}
    assert all(item.outputs["frozen"].text for item in items)
    assert len(samples.gaps) == 2
    assert "prompts and references are not shown" in samples.gaps[0]
    assert ("was edited" in samples.gaps[0]) is edited


def test_arms_whose_trials_share_the_tracks_fill_one_column() -> None:
    results = make_results({"together": [("a", "passed")], "apart": [("b", "timeout"), ("c", "passed")]})
    first, second = items_of(results)
    assert {title: output.verdict for title, output in first.outputs.items()} == {
        "together": "passed",
        "apart": "timeout",
    }
    assert list(second.outputs) == ["apart"]


def test_every_text_comes_back_as_it_was_written() -> None:
    results = make_results({name: [(text, "passed") for text in HOSTILE] for name in METHODS})
    _, _, found = opened(pack(gather_samples(gather(results))))
    assert [line["o"] for line in found] == [[text] for text in HOSTILE]
    assert [line["r"] for line in found] == [reference(number) for number in range(len(HOSTILE))]


def test_same_outputs_are_stored_once_and_keep_their_order() -> None:
    texts: Mapping[str, Any] = {"together": [("x", "passed")], "apart": [("y", None)], "frozen": [("x", "passed")]}
    _, _, (line,) = opened(pack(gather_samples(gather(make_results(texts)))))
    assert line["o"] == ["x", "y"]
    assert [output[0] for output in line["c"]] == [0, 1, 0]


def test_states_say_verdict_and_what_stands_beside_it() -> None:
    results = make_results({"together": [("", "wrong_answer")], "apart": [("b", "unjudged"), ("c", "passed")]})
    texts = results.read_texts()
    unscored = replace(results, rows=results.rows[:-1], read_texts=lambda: texts)
    index, states, _ = opened(pack(gather_samples(gather(unscored))))
    assert index["arms"] == [{"title": "together", "kind": "full"}, {"title": "apart", "kind": "full"}]
    assert list(states) == [VERDICTS.index("wrong_answer") + EMPTY, VERDICTS.index("unjudged"), ABSENT, UNSCORED]


def test_parts_of_codebleu_are_left_to_the_tables() -> None:
    index, _, found = opened(pack(gather_samples(gather(make_results({"together": [("a", "passed")]})))))
    assert index["places"][0]["metrics"] == ["bleu"]
    assert found[0]["c"][0][2] == [40]


def test_messages_that_every_snippet_has_are_left_out() -> None:
    rules = {"pylint.missing-module-docstring": 1.0, "pylint.unused-variable": 2.0}
    results = make_results({"together": [("a", "passed")]}, rules=rules)
    index, _, found = opened(pack(gather_samples(gather(results))))
    assert (index["rules"], found[0]["c"][0][3]) == (["pylint.unused-variable"], [0, 2])
    assert items_of(results)[0].outputs["together"].rules == rules


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_score_that_is_no_number_is_left_out(value: float) -> None:
    results = make_results({"together": [("a", "passed")]}, scores={"bleu": value, "chrf": 20.0})
    assert opened(pack(gather_samples(gather(results))))[2][0]["c"][0][2] == [None, 20]


def test_chunks_hold_whole_items_in_their_order() -> None:
    many = [(f"{number} " + "text " * 5000, "passed") for number in range(40)]
    packed = pack(gather_samples(gather(make_results({"together": many}))))  # type: ignore[dict-item]
    index, _, found = opened(packed)
    assert len(packed.chunks) == len(index["starts"]) > 1
    assert [int(line["o"][0].split()[0]) for line in found] == list(range(40))
    assert [item[1] for item in index["items"]] == [f"{TRACK}/{number}" for number in range(40)]
