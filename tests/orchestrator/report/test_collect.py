"""From the ledger to rows: verdicts and scores joined by problem, and what is missing named."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_studies import CODE, PROSE, commit, complete, finish_training, lines, make_study, reference, trial_of

from orchestrator.errors import Cause
from orchestrator.ledger.artifacts import completions_of, curve_of, verdicts_of
from orchestrator.ledger.ledger import Failure, Ledger
from orchestrator.report.collect import collect
from orchestrator.report.results import InstanceRow, StudyResults, TrialOutcome
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import read_all_problems
from orchestrator.work.score import cells_of, score_cell
from tasks.records import Completion, Problem, Verdict

NO_COMPILER = "not judged: no C# compiler on PATH; install mono-mcs"
WRITTEN = {"small/1": reference(1), "small/2": "def solve(x):\n    return x\n", "small/3": ""}
VERDICTS = {"small/1": "passed", "small/2": "wrong_answer", "small/3": "compile_error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A study with its ledger."""

    study: Study
    ledger: Ledger
    problems: tuple[Problem, ...]

    def trial(self, method: str) -> TrialSpec:
        return trial_of(self.study, method)

    def collect(self) -> StudyResults:
        return collect(self.study, expand(self.study).trials, self.ledger)

    def outcome(self, method: str) -> TrialOutcome:
        (found,) = [trial for trial in self.collect().trials if trial.method == method]
        return found

    def rows(self, method: str) -> dict[str, InstanceRow]:
        return {row.problem_id: row for row in self.collect().rows if row.trial == self.trial(method).label}

    def completions(self, texts: Mapping[str, str]) -> tuple[Completion, ...]:
        return tuple(complete(p, texts.get(p.id, p.reference)) for p in self.problems)

    def generate(self, method: str, texts: Mapping[str, str], **fields: Any) -> tuple[Completion, ...]:
        written = self.completions(texts)
        commit(self.ledger, self.trial(method), "generate", files={"completions.jsonl": lines(written)}, **fields)
        return written

    def execute(self, method: str, verdicts: list[Verdict]) -> None:
        commit(self.ledger, self.trial(method), "execute", files={"verdicts.jsonl": lines(verdicts)})

    def score(self, method: str, written: tuple[Completion, ...]) -> None:
        cells = [score_cell(*cell, quality=False).model_dump(mode="json") for cell in cells_of(self.problems, written)]
        commit(self.ledger, self.trial(method), "score", files={"cells.json": json.dumps(cells)})

    def finish(self, method: str, texts: Mapping[str, str] = WRITTEN) -> None:
        written = self.generate(method, texts, provenance={"git": "0123456"})
        self.execute(method, [Verdict.model_validate({"task_id": i, "verdict": v}) for i, v in VERDICTS.items()])
        self.score(method, written)

    def fail(self, method: str, stage: StageName, cause: str, kind: Cause = Cause.CODE) -> Path:
        failure = Failure(stage=stage, cause=cause, kind=kind, traceback="Traceback ...", failed_at=1.0)
        return self.ledger.fail(self.ledger.begin(self.trial(method).key(stage)), failure)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """Nothing is done yet."""
    study = make_study(tmp_path, question="Does it help?")
    problems = read_all_problems(trial_of(study, "frozen").test, root=Path(study.data.root))
    return Room(study=study, ledger=Ledger(Path(study.storage)), problems=problems)


def test_empty_ledger_gives_every_trial_with_what_it_lacks(room: Room) -> None:
    results = room.collect()
    assert (results.study, results.question, results.rows, results.cells) == ("small", "Does it help?", (), ())
    assert [(t.trial, t.finished) for t in results.trials] == [
        ("micro/frozen/seed0", False),
        ("micro/qlora/seed0", False),
    ]
    assert {stage.state for trial in results.trials for stage in trial.stages} == {"waiting"}
    assert not room.ledger.storage.exists()


def test_rows_join_scores_and_verdicts_by_problem(room: Room) -> None:
    room.finish("frozen")
    rows = room.rows("frozen")
    assert {i: rows[i].verdict for i in VERDICTS} == VERDICTS
    assert {row.verdict for row in rows.values() if row.track == PROSE} == {None}
    assert rows["small/1"].scores["exact_match"] == 100.0
    assert (rows["small/3"].empty, rows["small/3"].parses, rows["small/3"].scores["codebleu"]) == (True, False, 0.0)
    assert (rows["prose/1"].parses, rows["prose/1"].scores["rouge_l"]) == (None, 100.0)
    assert {row.dataset for row in rows.values()} == {"small"}


def test_cells_hold_what_is_of_the_whole(room: Room) -> None:
    room.finish("frozen")
    code, prose = room.collect().cells
    assert (code.track, prose.track) == (CODE, PROSE)
    assert code.corpus["exact_match"] == pytest.approx(100 / 3)
    assert code.health.empty == pytest.approx(1 / 3)
    assert any("are empty" in warning for warning in code.health_warnings)
    assert (code.notes, prose.notes) == ((), ())


def test_outcome_says_what_a_trial_is_and_took(room: Room) -> None:
    room.finish("frozen")
    found = room.outcome("frozen")
    assert found.finished
    assert (found.model, found.kind, found.grouping, found.seed) == ("builtin:micro", "frozen", "together", 0)
    assert found.tracks == (CODE, PROSE)
    assert [(s.stage, s.state, s.seconds) for s in found.stages] == [
        ("generate", "done", 2.0),
        ("execute", "done", 2.0),
        ("score", "done", 2.0),
    ]


def test_provenance_comes_from_the_records(room: Room) -> None:
    room.finish("frozen")
    assert room.collect().provenance == {"git": "0123456"}


def test_isolation_and_shares_come_from_the_verdicts(room: Room) -> None:
    room.generate("frozen", WRITTEN)
    assert room.collect().isolation == ""
    run = [("small/1", "apart"), ("small/2", "in-process"), ("small/3", "apart")]
    verdicts = [Verdict(task_id=i, verdict="passed", strength=s, isolation="landlock") for i, s in run]
    again = [*verdicts, Verdict(task_id="small/4", verdict="unjudged", strength="none")]
    room.execute("frozen", again)
    assert room.collect().isolation == "landlock (66.7 % apart, 33.3 % in-process)"


def test_curve_is_the_training_s_rows_in_order(room: Room) -> None:
    record = finish_training(room.ledger, room.trial("qlora"))
    assert [row["step"] for row in curve_of(room.ledger, record)] == [1, 2, 3, 4]
    found = room.outcome("qlora")
    assert [row["loss"] for row in found.curve] == [4.0, 2.0, 4 / 3, 1.0]
    assert [stage.state for stage in found.stages] == ["done", "waiting", "waiting", "waiting"]


def test_adapter_is_proven_by_outputs_that_differ_from_the_base_s(room: Room) -> None:
    room.finish("frozen", {})
    finish_training(room.ledger, room.trial("qlora"))
    room.finish("qlora", {"small/1": "", "prose/2": "Another."})
    facts = {stage.stage: stage.facts for stage in room.outcome("qlora").stages}
    assert facts["generate"]["adapter_changes_outputs"] == pytest.approx(2 / 6)
    frozen = {stage.stage: stage.facts for stage in room.outcome("frozen").stages}
    assert "adapter_changes_outputs" not in frozen["generate"]


def test_adapter_is_not_compared_with_a_base_that_wrote_nothing_yet(room: Room) -> None:
    finish_training(room.ledger, room.trial("qlora"))
    room.generate("qlora", {})
    facts = {stage.stage: stage.facts for stage in room.outcome("qlora").stages}
    assert "adapter_changes_outputs" not in facts["generate"]


def test_failed_stage_stands_with_its_cause_and_log(room: Room) -> None:
    path = room.fail("qlora", "train", "RuntimeError: the loss is not finite")
    first, *others = room.outcome("qlora").stages
    assert (first.state, first.cause, first.log_path) == ("failed", "RuntimeError: the loss is not finite", str(path))
    assert {stage.state for stage in others} == {"waiting"}


def test_stage_that_cannot_run_here_is_told_apart_from_one_that_failed(room: Room) -> None:
    room.fail("qlora", "train", "not run: no g++; install g++", Cause.MISSING)
    first = room.outcome("qlora").stages[0]
    assert (first.state, first.cause) == ("not-run", "no g++; install g++")


def test_scores_do_not_wait_for_verdicts(room: Room) -> None:
    room.score("frozen", room.generate("frozen", WRITTEN))
    assert {row.verdict for row in room.rows("frozen").values()} == {None}
    assert [stage.state for stage in room.outcome("frozen").stages] == ["done", "waiting", "done"]


def test_unjudged_samples_are_noted_a_missing_tool_once_and_in_its_own_words(room: Room) -> None:
    written = room.generate("frozen", WRITTEN)
    details = {"small/1": NO_COMPILER, "small/2": NO_COMPILER, "small/3": "the warm process died"}
    room.execute("frozen", [Verdict(task_id=i, verdict="unjudged", detail=d) for i, d in details.items()])
    room.score("frozen", written)
    code, prose = room.collect().cells
    assert code.notes == (NO_COMPILER, "1 sample could not be judged, the first: the warm process died")
    assert prose.notes == ()
    assert {i: row.detail for i, row in room.rows("frozen").items() if row.verdict == "unjudged"} == details


def test_samples_of_one_problem_keep_their_own_verdicts(room: Room) -> None:
    asked = room.problems[0]
    written = tuple(complete(asked, text, sample=i) for i, text in enumerate((asked.reference, "")))
    commit(room.ledger, room.trial("frozen"), "generate", files={"completions.jsonl": lines(written)})
    verdicts = [Verdict(task_id=asked.id, verdict="passed")]
    verdicts += [Verdict(task_id=asked.id, sample=1, verdict="compile_error")]
    room.execute("frozen", verdicts)
    room.score("frozen", written)
    assert [(row.sample, row.verdict, row.empty) for row in room.collect().rows] == [
        (0, "passed", False),
        (1, "compile_error", True),
    ]


def test_what_other_weights_wrote_is_not_in_the_results(room: Room) -> None:
    trained = finish_training(room.ledger, room.trial("qlora"), weights="first")
    room.finish("qlora", {})
    assert room.rows("qlora")
    (path,) = (room.ledger.storage / "stages" / trained.key).glob("record-*.json")
    path.unlink()
    finish_training(room.ledger, room.trial("qlora"), weights="second")
    assert not room.rows("qlora")
    assert [stage.state for stage in room.outcome("qlora").stages] == ["done", "waiting", "waiting", "waiting"]


def test_texts_are_read_back_as_they_were_written(room: Room) -> None:
    texts = {"small/1": "s = '\u2028\x0c é \U0001f600'\r\n", "small/2": "\n\n"}
    room.generate("frozen", texts)
    record = room.ledger.records_of(room.trial("frozen"))["generate"]
    assert completions_of(room.ledger, record) == room.completions(texts)
    room.execute("frozen", [Verdict(task_id="small/1", verdict="exception", detail="\u2028 é")])
    record = room.ledger.records_of(room.trial("frozen"))["execute"]
    assert [verdict.detail for verdict in verdicts_of(room.ledger, record)] == ["\u2028 é"]
