"""`polytune report` with its files: one folder, JSON or a paragraph alone, and other people's results."""

import json
from pathlib import Path

import pytest
from small_studies import finish_training
from test_between import study_file
from test_collect import Room, room
from typer.testing import CliRunner, Result

from orchestrator.cli import app

__all__ = ["room"]


@pytest.fixture
def done(room: Room) -> Room:
    """A study that has run."""
    finish_training(room.ledger, room.trial("qlora"))
    for method in ("frozen", "qlora"):
        room.finish(method)
    return room


def report(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_to_writes_everything_beside_the_answer(done: Room, tmp_path: Path) -> None:
    told = report(study_file(done), "--to", tmp_path / "out")
    assert told.exit_code == 0, (told.output, told.exception)
    assert f"files in {tmp_path / 'out'}" in told.output
    rows = (tmp_path / "out" / "csv" / "instances.csv").read_text(encoding="utf-8")
    # Prompts, references and what was written come from the study's data and its ledger.
    assert "Add 1 to x and double it." in rows and "def solve(x):" in rows
    assert (tmp_path / "out" / "latex" / "scores.tex").exists()


def test_json_stands_alone_on_standard_output(done: Room) -> None:
    told = report(study_file(done), "--json")
    found = json.loads(told.stdout)
    assert found["version"] == 1 and found["study"] == "small"
    assert {row["trial"] for row in found["trials"]} == {"micro/frozen/seed0", "micro/qlora/seed0"}


def test_methods_prints_one_paragraph(done: Room) -> None:
    told = report(study_file(done), "--methods")
    assert told.stdout.count("\n") == 1 and told.stdout.startswith("We used builtin:micro")


def test_from_answers_for_other_peoples_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for system, right in (("a", 10), ("b", 35)):
        lines = ["id,passed", *(f"{n},{int(n < right)}" for n in range(40))]
        (tmp_path / "mine" / f"{system}.csv").write_text("\n".join(lines) + "\n")
    told = report("--from", "mine")
    assert told.exit_code == 0, (told.output, told.exception)
    assert (tmp_path / "mine-report" / "report.html").exists()
    assert "no track is named, so generation/python is taken" in told.stderr
    found = json.loads(report("--from", "mine", "--json").stdout)
    (verdict,) = found["verdicts"]
    assert (verdict["first"], verdict["second"], verdict["verdict"]) == ("a", "b", "worse")
    told = report("--from", "mine", "--to", "all")
    assert told.exit_code == 0 and (tmp_path / "all" / "latex" / "scores.tex").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "report needs a study or --from DIR, and got neither"),
        (["x", "--from", "y"], "report needs a study or --from DIR, and got both"),
        (["x", "--json", "--methods"], "--json and --methods each print one thing alone"),
    ],
)
def test_requests_that_mean_nothing_are_refused(arguments: list[str], said: str) -> None:
    assert said in str(report(*arguments).exception)


def test_folder_that_cannot_be_written_is_told(done: Room, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "cannot be written" in str(report(study_file(done), "--to", tmp_path / "file").exception)
