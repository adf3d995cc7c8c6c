"""Studies that finish through kills: one storm a seed.

Three seeds run with the tests; `make chaos SEEDS=1-100` runs as many as are asked for.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from storm import TARGETS, TELLING, Storm, adapters, ask, begun_after_the_end, records, write_study

from orchestrator.study.cells import expand
from orchestrator.study.file import load_study

pytestmark = pytest.mark.ray


def seeds() -> list[int]:
    """The seeds that `SEEDS` names, as 7 or 1-100; three otherwise."""
    first, _, last = os.environ.get("SEEDS", "1-3").partition("-")
    return list(range(int(first), int(last or first) + 1))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Hashes of what the same study trains when nothing is killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    study = write_study(folder)
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "run", str(study), "--json"],
        cwd=folder,
        capture_output=True,
        check=False,
        env={**os.environ, **TELLING},
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return adapters(records(folder, expand(load_study(study)).trials))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", seeds())
def test_a_study_finishes_through_kills(
    seed: int, tmp_path: Path, undisturbed: dict[str, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with Storm(tmp_path, seed=seed) as storm:
        report = storm.blow()
    with capsys.disabled():
        print(f"\nseed {seed}: {report.starts} starts, {report.seconds:.0f} s")
        print("\n".join(f"  {kill}" for kill in report.kills))
    # The kills happened, each while something was under way; the worker's while it trained.
    assert sorted(kill.target for kill in report.kills) == sorted(TARGETS)
    assert all(kill.running for kill in report.kills)
    assert any(name.endswith(" train") for kill in report.kills if kill.target == "worker" for name in kill.running)
    # The study finished: every stage of every trial has one record, and no stage ran after it had one.
    assert report.status == 0, report.errors
    found = records(tmp_path, storm.trials)
    assert {trial.label: set(found[trial.label]) for trial in storm.trials} == {
        trial.label: set(trial.stages) for trial in storm.trials
    }
    for key in storm.names:
        assert len(list((tmp_path / "runs" / "stages" / key).glob("record-*.json"))) == 1, storm.names[key]
    assert begun_after_the_end(tmp_path) == []
    # What was trained is to the bit what an undisturbed run trains.
    assert adapters(found) == undisturbed
    # MLflow shows what happened: a run for each trial and one for the study, none running, no point twice.
    assert ask(storm.database, "select status, count(*) from runs group by status") == [
        ("FINISHED", len(storm.trials) + 1)
    ]
    assert (
        ask(
            storm.database,
            "select run_uuid, key, step, count(*) from metrics group by run_uuid, key, step having count(*) > 1",
        )
        == []
    )
