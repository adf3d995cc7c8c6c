"""Two methods or trials of a study against each other: the report's own tests, named as the report names them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_samples import make_study
from small_studies import finish_training, raw_study
from test_collect import Room, room
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.errors import InputError
from orchestrator.report import find
from orchestrator.report.between import compare_within
from orchestrator.report.results import StudyResults
from orchestrator.study.question import Question

__all__ = ["room"]


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return make_study(problems=60)


def test_pair_of_the_study_gets_the_studys_own_verdict(study: StudyResults) -> None:
    asked = replace(study, asked=Question(compare=(("together", "apart"),)))
    whole = [v for v in find(asked).verdicts if (v.first, v.second) == ("qlora together", "qlora apart")]
    alone = compare_within(study, "qlora/together", "qlora/apart").verdicts
    assert [(v.metric, v.points, v.wording, v.p_difference) for v in alone] == [
        (v.metric, v.points, v.wording, v.p_difference) for v in whole
    ]


def test_trials_are_compared_whatever_their_method_and_seed(study: StudyResults) -> None:
    twin = [
        replace(trial, seed=2, trial=f"{trial.trial}-2") for trial in study.trials if trial.trial == "full-together"
    ]
    rows = [replace(row, trial="full-together-2") for row in study.rows if row.trial == "full-together"]
    both = replace(study, trials=(*study.trials, *twin), rows=(*study.rows, *rows))
    found = compare_within(both, "full-together", "full-together-2")
    assert {contrast.points for contrast in found.contrasts} <= {0.0, None}
    found = compare_within(both, "qlora-together", "full-together-2")
    assert any(contrast.points for contrast in found.contrasts)


def test_metrics_asked_for_are_compared_wherever_they_are(study: StudyResults) -> None:
    found = compare_within(study, "qlora/together", "full", metrics=["chrf"], margin=7)
    assert {(m.place.track, m.metric) for m in found.measures} == {
        ("summarization/python", "chrf"),
        ("summarization/java", "chrf"),
    }
    assert {verdict.margin for verdict in found.verdicts} == {7}


@pytest.mark.parametrize(
    ("first", "second", "metrics", "said"),
    [
        ("qlora", "qlora", [], "'qlora' is to be compared with itself"),
        ("qlora", "ful", [], "'ful' is no method and no trial of quickstart; did you mean 'full'?"),
        ("qlora-together", "full", [], "'qlora-together' is a trial and the other is none"),
        ("frozen", "full", ["blue"], "--metric blue: the study has none of it; it has"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    study: StudyResults, first: str, second: str, metrics: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        compare_within(study, first, second, metrics=metrics)


def study_file(room: Room) -> Path:
    """The study as a file, from which its ledger is found."""
    file = Path(room.study.storage).parent / "small.yaml"
    raw = raw_study(question="Does it help?", data={"root": room.study.data.root}, storage=room.study.storage)
    file.write_text(json.dumps(raw), encoding="utf-8")
    return file


def run(room: Room, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", "--study", str(study_file(room)), *arguments])


def test_command_reads_the_ledger(room: Room) -> None:
    room.finish("frozen")
    finish_training(room.ledger, room.trial("qlora"))
    room.finish("qlora", {**dict.fromkeys(("small/2", "small/3"), "def solve(x):\n    return 3\n")})
    told = run(room, "qlora", "frozen")
    assert told.exit_code == 0, (told.output, told.exception)
    assert told.output.startswith("qlora together against frozen: pass@1 %, no answer, 0.0 points, 3 problems")
    found = json.loads(run(room, "qlora", "frozen", "--json").stdout)
    assert found["study"] == "small" and {row["first"] for row in found["comparisons"]} == {"qlora together"}
    # Three problems are too few for a p-value to mean anything.
    assert all(row["p"] is None or row["pairs"] >= 6 for row in found["comparisons"])
    told = run(room, "qlora")
    assert "needs two methods or trials, got 1" in str(told.exception)


def test_tables_still_need_a_metric(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["compare", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    assert "compare needs --metric COLUMN" in str(told.exception)
