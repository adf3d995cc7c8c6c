"""Stage bodies: what is scored and run of a handful of completions, called as any worker calls them."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from small_studies import CODE, complete, make_study, problem, prose_problem, reference, trial_of

from orchestrator.ledger.artifacts import ScoredCell
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import read_all_examples, read_all_problems
from orchestrator.work.judge import execute
from orchestrator.work.score import cells_of, score_cell
from tasks.readers import DataError, Source, read_problems
from tasks.records import Problem, Track

CODE_TRACKS = ("generation/python", "generation/java", "translation/java-csharp", "translation/csharp-java")
PROSE_TRACKS = ("summarization/python", "summarization/java")
# Runs `execute` on one empty completion, and counts the processes that it starts.
_COUNTER = """
import os, sys
from orchestrator.work.judge import execute
from orchestrator.study.trial import TrialSpec
from tasks.records import Completion, Problem
import evaluators.extraction, evaluators.sandbox
problem, completion, trial = sys.argv[1:]
arguments = ([Problem.model_validate_json(problem)], [Completion.model_validate_json(completion)])
started = []
sys.addaudithook(
    lambda event, _: started.append(event) if event in ("subprocess.Popen", "os.fork", "os.posix_spawn") else None
)
(verdict,) = execute(*arguments, limits=TrialSpec.model_validate_json(trial).limits)
print(verdict.verdict, verdict.detail, started)
"""


@cache
def problems_of(track: str) -> tuple[Problem, ...]:
    source = Source(reader="micro", split="test", limit=3)
    return read_problems(source, track=Track.parse(track), root=Path())


@pytest.fixture
def trial(tmp_path: Path) -> TrialSpec:
    return trial_of(make_study(tmp_path, evaluation={"limits": {"cpu_s": 5, "wall_s": 60}}), "frozen")


def score(problems: Sequence[Problem], write: Callable[[Problem], str], **fields: Any) -> ScoredCell:
    completions = [complete(p, write(p)).model_copy(update=fields) for p in problems]
    return score_cell(problems, completions, quality=False)


@pytest.mark.parametrize("track", (*CODE_TRACKS, *PROSE_TRACKS))
def test_references_score_in_full(track: str) -> None:
    problems = problems_of(track)
    cell = score(problems, lambda p: p.reference)
    # METEOR takes half a chunk off even from equal texts: 1 - 0.5 / words**3.
    assert cell.corpus.pop("meteor_exact_stem", 100.0) > 99.0
    assert cell.corpus == pytest.approx(dict.fromkeys(cell.corpus, 100.0))
    assert {"bleu", "chrf", "exact_match", "codebleu" if track in CODE_TRACKS else "rouge_l"} <= cell.corpus.keys()
    assert cell.corpus.keys() == cell.signatures.keys() - {"meteor_exact_stem"}
    assert (cell.track, cell.dataset) == (track, "micro")
    assert [row.problem_id for row in cell.rows] == [p.id for p in problems]
    assert {row.parses for row in cell.rows} == {True if track in CODE_TRACKS else None}


@pytest.mark.parametrize("track", (*CODE_TRACKS, *PROSE_TRACKS))
@pytest.mark.parametrize("text", ["", " \n\t"])
def test_empty_outputs_score_nothing_and_are_warned_of(track: str, text: str) -> None:
    cell = score(problems_of(track), lambda _: text)
    assert set(cell.corpus.values()) == {0.0}
    assert {row.empty for row in cell.rows} == {True}
    assert {row.parses for row in cell.rows} == {False if track in CODE_TRACKS else None}
    assert cell.health["empty"] == 1.0
    assert any("3 of 3 outputs (100.0%) are empty" in warning for warning in cell.health_warnings)


def test_row_holds_each_problem_s_own_scores() -> None:
    first, second = problems_of(CODE)[:2]
    cell = score([first, second], lambda p: p.reference if p is first else "def solve(:")
    right, wrong = cell.rows
    assert right.scores["exact_match"] == 100.0
    assert wrong.scores["exact_match"] == 0.0
    assert (right.parses, wrong.parses) == (True, False)
    assert cell.corpus["exact_match"] == 50.0
    assert cell.health["unparseable"] == 0.5


def test_cut_and_skipped_outputs_are_counted() -> None:
    problems = problems_of(CODE)
    assert score(problems, lambda p: p.reference, finish="length").health["truncated"] == 1.0
    skipped = score(problems, lambda _: "", finish="skipped").health
    assert (skipped["skipped"], skipped["empty"]) == (1.0, 0.0)


def test_code_is_scored_without_the_prose_around_it() -> None:
    cell = score(problems_of(CODE), lambda p: f"Here you are:\n```python\n{p.reference}\n```\nIt works.")
    assert cell.corpus["codebleu"] == pytest.approx(100)


def test_quality_counts_stand_beside_those_of_the_references() -> None:
    problems = [problem(1), problem(2), problem(3)]
    texts = [reference(1), "def solve(x):\n    unused = 1\n    return x\n", ""]
    completions = [complete(p, text) for p, text in zip(problems, texts, strict=True)]
    cell = score_cell(problems, completions, quality=True)
    right, untidy, empty = (row.counts for row in cell.rows)
    assert isinstance(right, dict) and isinstance(untidy, dict)
    assert (right["pylint.warning"], untidy["pylint.warning"]) == (0.0, 1.0)
    assert empty == {}
    assert cell.rows[1].rules["pylint.unused-variable"] == 1
    assert cell.reference_counts.keys() == {p.id for p in problems}
    assert all(counts["lizard.nloc"] == 3.0 for counts in cell.reference_counts.values())
    assert all(counts.keys() == right.keys() for counts in cell.reference_counts.values())


def test_scored_cell_survives_a_file() -> None:
    cell = score(problems_of(CODE), lambda p: p.reference)
    assert ScoredCell.model_validate(json.loads(cell.model_dump_json())) == cell


def test_cells_are_the_data_sets_of_a_track_in_order_of_appearance() -> None:
    problems = [problem(1), problem(2, dataset="other"), prose_problem(1), problem(3)]
    written = [complete(problems[i], str(i)) for i in (2, 0, 1, 3)]
    cells = cells_of(problems, written)
    assert [(ps[0].track, ps[0].dataset, [c.text for c in cs]) for ps, cs in cells] == [
        ("summarization/python", "small", ["2"]),
        (CODE, "small", ["0", "3"]),
        (CODE, "other", ["1"]),
    ]
    assert all(p.id == c.problem_id for ps, cs in cells for p, c in zip(ps, cs, strict=True))


def test_samples_of_a_problem_share_a_cell_each_with_its_problem() -> None:
    asked = problem(1)
    ((problems, completions),) = cells_of([asked], [complete(asked, "", sample=sample) for sample in range(3)])
    assert problems == (asked, asked, asked)
    assert [c.sample for c in completions] == [0, 1, 2]


def test_only_problems_with_tests_are_executed(trial: TrialSpec) -> None:
    asked = (problem(1), prose_problem(1))
    verdicts = execute(asked, [complete(p, p.reference) for p in asked], limits=trial.limits)
    assert [(v.task_id, v.verdict) for v in verdicts] == [("small/1", "passed")]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_verdicts_do_not_depend_on_how_completions_are_chunked(trial: TrialSpec, size: int) -> None:
    asked = [problem(number) for number in (1, 2, 3)]
    texts = [reference(1), "", reference(2), "def f(:", reference(3)]
    written = [complete(p, text, sample=i) for i, text in enumerate(texts) for p in asked]
    whole = execute(asked, written, limits=trial.limits)
    parts = [
        v for i in range(0, len(written), size) for v in execute(asked, written[i : i + size], limits=trial.limits)
    ]
    used = {"cpu_s": 0.0, "wall_s": 0.0}
    assert [v.model_copy(update=used) for v in parts] == [v.model_copy(update=used) for v in whole]
    assert {v.verdict for v in whole} == {"passed", "wrong_answer", "compile_error"}


def test_verdicts_follow_the_completions(trial: TrialSpec) -> None:
    asked = [problem(1), problem(2), prose_problem(1)]
    written = [
        complete(asked[0], ""),
        complete(asked[1], reference(2)),
        complete(asked[2], "Adds."),
        complete(asked[1], reference(1), sample=1),
        complete(asked[0], reference(1), sample=1),
    ]
    found = [(v.task_id, v.sample, v.verdict) for v in execute(asked, written, limits=trial.limits)]
    assert found == [
        ("small/1", 0, "compile_error"),
        ("small/2", 0, "passed"),
        ("small/2", 1, "wrong_answer"),
        ("small/1", 1, "passed"),
    ]


def test_empty_completion_is_a_compile_error_without_a_process(trial: TrialSpec) -> None:
    asked = problem(1)
    arguments = [record.model_dump_json() for record in (asked, complete(asked, " \n"), trial)]
    done = subprocess.run([sys.executable, "-c", _COUNTER, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == "compile_error the completion is empty []\n"


def test_nothing_to_run_gives_no_verdicts(trial: TrialSpec) -> None:
    asked = prose_problem(1)
    assert execute([asked], [complete(asked, "Adds.")], limits=trial.limits) == ()


def test_sources_are_read_in_their_order(tmp_path: Path) -> None:
    trial = trial_of(make_study(tmp_path), "qlora")
    root = tmp_path / "data"
    assert [p.id for p in read_all_problems(trial.test, root=root)] == [
        f"{kind}/{number}" for kind in ("small", "prose") for number in (1, 2, 3)
    ]
    assert len(read_all_examples(trial.train, root=root)) == 4


def test_two_tracks_whose_problems_share_an_id_are_refused(tmp_path: Path) -> None:
    """Answers, verdicts and scores go by it, so one would be judged by the other's tests."""
    trial, root = trial_of(make_study(tmp_path), "qlora"), tmp_path / "data"
    both = [problem(1), prose_problem(1).model_copy(update={"id": problem(1).id})]
    for place, one in zip(("code", "prose"), both, strict=True):
        (root / place).mkdir()
        (root / place / "test.jsonl").write_text(one.model_dump_json() + "\n", encoding="utf-8")
    sources = [
        test.model_copy(update={"source": test.source.model_copy(update={"path": place}), "identity": None})
        for test, place in zip(trial.test, ("code", "prose"), strict=True)
    ]
    with pytest.raises(DataError, match=r"generation/python and summarization/python both have a problem of this id"):
        read_all_problems(sources, root=root)
