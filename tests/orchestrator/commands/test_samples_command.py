"""`polytune samples`: what the models wrote, on a terminal and for programs; hostile outputs act on neither."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sample_texts import HOSTILE, make_results
from small_studies import commit, complete, finish_training, lines, make_study, reference, trial_of
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.sampletext import draw_difference, draw_item
from orchestrator.errors import InputError
from orchestrator.ledger.ledger import Ledger
from orchestrator.report.evidence import gather
from orchestrator.report.samples import gather_samples
from orchestrator.report.visible import make_visible
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand
from orchestrator.work.data import read_all_problems
from orchestrator.work.score import cells_of, score_cell
from tasks.readers import DataError
from tasks.records import Verdict

WRONG = "def solve(x):\n    total = x - 1\n    return total * 2\n"


@pytest.fixture
def study(tmp_path: Path) -> str:
    """A finished study: the frozen model is wrong on the first problem, the adapted one writes every reference."""
    study = make_study(tmp_path)
    ledger = Ledger(Path(study.storage))
    store_study(expand(study), ledger)
    problems = read_all_problems(trial_of(study, "frozen").test, root=Path(study.data.root))
    finish_training(ledger, trial_of(study, "qlora"))
    for method, first in (("frozen", WRONG), ("qlora", reference(1))):
        trial = trial_of(study, method)
        written = [complete(p, first if p.id == "small/1" else p.reference) for p in problems]
        verdicts = [
            Verdict(
                task_id=p.id,
                verdict="wrong_answer" if w.text == WRONG else "passed",
                detail="case 1" * (w.text == WRONG),
            )
            for p, w in zip(problems, written, strict=True)
            if p.tests
        ]
        cells = [score_cell(*cell, quality=False).model_dump(mode="json") for cell in cells_of(problems, written)]
        commit(ledger, trial, "generate", files={"completions.jsonl": lines(written)})
        commit(ledger, trial, "execute", files={"verdicts.jsonl": lines(verdicts)})
        commit(ledger, trial, "score", files={"cells.json": json.dumps(cells)})
    return f"{study.storage}/small"


def run(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["samples", *arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_condition_picks_problems_and_outputs_stand_beside_the_reference(study: str) -> None:
    said = run(study, "--where", "qlora passes and frozen fails")
    assert "small/1  generation/python" in said
    assert "prompt  Write the function in Python.\n    Add 1 to x and double it." in said
    assert "frozen  wrong answer: case 1" in said
    assert "    -     total = x + 1\n    +     total = x - 1\n" in said
    assert "qlora together  passed" in said
    assert "(the reference, letter by letter)" in said
    assert said.endswith("1 of 1 matching shown, of 6 in the study\n")
    assert "\x1b" not in said


def test_same_outputs_are_shown_once(study: str) -> None:
    said = run(study, "--problem", "small/2")
    assert "frozen, qlora together  passed" in said
    assert said.count("(the reference, letter by letter)") == 1


def test_limit_and_track_choose(study: str) -> None:
    said = run(study, "--track", "summarization/python", "--limit", "2")
    assert re.findall(r"^(\w+/\d)  ", said, re.MULTILINE) == ["prose/1", "prose/2"]
    assert "2 of 3 matching shown, of 6 in the study; --limit 0 shows all" in said
    assert len(re.findall(r"^\w+/\d  ", run(study, "--limit", "0"), re.MULTILINE)) == 6


def test_json_has_everything_for_programs(study: str) -> None:
    (item,) = json.loads(run(study, "--where", "frozen fails", "--json"))
    assert (item["track"], item["dataset"], item["problem_id"], item["sample"]) == (
        "generation/python",
        "small",
        "small/1",
        0,
    )
    assert (item["prompt"][:10], item["reference"]) == ("Add 1 to x", reference(1))
    first, second = item["outputs"]
    assert (first["method"], first["trial"], first["text"], first["verdict"]) == (
        "frozen",
        "micro/frozen/seed0",
        WRONG,
        "wrong_answer",
    )
    assert (second["method"], second["verdict"]) == ("qlora together", "passed")
    assert second["scores"]["exact_match"] == 100.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--track", "generation/ruby"),
            "--track 'generation/ruby': the study has no such track; it has: generation/python",
        ),
        (("--problem", "small/9"), "--problem 'small/9': the study has no problem of this id; ids are like: small/"),
        (("--where", "nobody passes"), "there is no trial or method 'nobody'; there are: frozen, qlora together"),
    ],
)
def test_mistakes_name_value_rule_and_remedy(study: str, arguments: tuple[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(app, ["samples", study, *arguments], catch_exceptions=False)


def test_data_that_are_gone_cost_prompts_and_references_alone(study: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "test.jsonl").unlink()
    found = CliRunner().invoke(app, ["samples", study, "--where", "frozen fails"], catch_exceptions=False)
    assert "frozen  wrong answer: case 1" in found.stdout
    assert "    def solve(x):\n        total = x - 1\n" in found.stdout
    assert "prompt" not in found.stdout
    assert "generation/python: prompts and references are not shown, since" in found.stderr
    with pytest.raises(DataError, match="no such file"):
        CliRunner().invoke(app, ["plan", study], catch_exceptions=False)


def test_study_without_outputs_says_so(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    store_study(expand(study), Ledger(Path(study.storage)))
    assert run(f"{study.storage}/small") == "nothing is written yet; `polytune status` says how far the study is\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_model_wrote_acts_on_a_terminal(text: str) -> None:
    samples = gather_samples(gather(make_results({"together": [(text, "timeout")]}, detail=text)))
    (item,) = samples.items()
    stream = StringIO()
    console = Console(file=stream, force_terminal=True, width=200, soft_wrap=True, highlight=False)
    for line in draw_item(item, samples):
        console.print(line)
    ours = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert [c for c in ours if c != "\n" and c != "\t" and not c.isprintable()] == []
    for line in make_visible(text).split("\n"):
        assert line.strip() in ours


def test_visible_text_says_which_character_was_there() -> None:
    assert (
        make_visible("a\x1b[0m\x00\u202e\U000e0041\ud800\r\n\tb é 你")
        == "a\\x1b[0m\\x00\\u202e\\U000e0041\\ud800\\x0d\n\tb é 你"
    )


def test_difference_underlines_what_differs_within_a_line() -> None:
    old, new = list(draw_difference("return x + 1", "return x - 1"))
    assert (old.plain, new.plain) == ("    - return x + 1", "    + return x - 1")
    assert [new.plain[span.start : span.end] for span in new.spans if "underline" in str(span.style)] == ["-"]
