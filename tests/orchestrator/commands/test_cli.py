"""The command line: light to import, one message for a user's mistake, JSON alone where it is asked for."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from small_studies import finish_training, make_study, trial_of
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.ledger.ledger import Failure
from orchestrator.ledger.studies import ledger_of
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study

STUDIES = Path(__file__).resolve().parents[3] / "studies"
HEAVY = ("torch", "ray", "mlflow", "datasets", "transformers", "peft", "matplotlib", "pandas")
_IMPORT = f"""
import sys, time
started = time.perf_counter()
import orchestrator.cli
print(round(time.perf_counter() - started, 3), [name for name in {HEAVY!r} if name in sys.modules])
"""
_MAIN = "import sys; from orchestrator.cli import main; sys.argv[0] = 'polytune'; main()"
SMALL = """\
study: small
models: [org/base]
tasks: {generation/python: {train: micro, test: micro}}
training: {max_steps: 4}
methods: {frozen: {kind: frozen}, mine: {kind: lora}}
"""


def polytune(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it, in a folder."""
    command = [sys.executable, "-c", _MAIN, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, by what a person types."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def begun(tmp_path: Path) -> Study:
    """A study that was run below the working directory: one trial is trained, another failed."""
    study = make_study(tmp_path, methods={"mine": {"kind": "lora"}, "other": {"kind": "full"}})
    ledger = ledger_of(study)
    store_study(expand(study), ledger)
    finish_training(ledger, trial_of(study, "mine"))
    failure = Failure(stage="train", cause="no", kind="code", traceback="Traceback: no [/INST]\n", failed_at=1.0)
    ledger.fail(ledger.begin(trial_of(study, "other").key("train")), failure)
    return study


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)
    seconds, _, loaded = done.stdout.strip().partition(" ")
    print(f"import orchestrator.cli: {seconds} s")
    assert loaded == "[]"


def test_planning_imports_nothing_heavy(study: Path) -> None:
    code = f"{_MAIN.removesuffix('main()')}\ntry:\n    main()\nfinally:\n    "
    code += f"sys.stderr.write(str([name for name in {HEAVY!r} if name in sys.modules]))"
    command = [sys.executable, "-c", code, "plan", str(study)]
    done = subprocess.run(command, cwd=study.parent, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "[]")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example_of_itself(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    assert f"Example: polytune {' '.join(path)}" in text
    assert "Usage: " in text


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_example_of_a_command_is_one_that_it_takes(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    arguments = shlex.split((command.epilog or "").removeprefix("Example: polytune "))[len(path) :]
    # Parses and types them, and runs nothing.
    command.make_context(path[-1], arguments).close()


def test_alone_it_shows_its_commands(tmp_path: Path) -> None:
    done = polytune(folder=tmp_path)
    assert done.returncode == 2
    assert {"run", "plan", "status", "report", "doctor"} <= set((done.stdout + done.stderr).split())


@pytest.mark.parametrize("command", ["run", "plan", "status", "report", "track", "show"])
def test_faulty_study_is_one_message_and_status_2(study: Path, command: str) -> None:
    text = SMALL.replace("max_steps", "max_step").replace("kind: lora", "kind: lorra")
    study.write_text(text, encoding="utf-8")
    done = polytune(command, study, folder=study.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"polytune: {study}: ")
    assert "Traceback" not in done.stderr
    assert "line 5, methods.mine.kind: " in done.stderr
    assert list(study.parent.iterdir()) == [study]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "smal.yaml"], "smal.yaml: 1 fault\n  no such file; did you mean small.yaml?"),
        (["plan", "smal"], "no study of that name was run here"),
        (["plan", "small.yaml", "--set", "seeds"], "a change reads KEY=VALUE"),
        (["plan", "small.yaml", "--set", "seeds=[0, 0]"], "holds a seed twice"),
        (["plan", "small.yaml", "--set", "models=[builtin:nano]"], "there is: builtin:micro"),
        (["run", "small.yaml", "--local", "--trial", "mine"], "no trial 'mine'; the trials are:\n  base/frozen/seed0"),
        (["run", "small.yaml", "--local"], "--trial is needed; the trials are:\n  base/frozen/seed0"),
        (["logs", "small.yaml", "--trial", "x"], "are:\n  base/frozen/seed0\n  base/mine/seed0\n"),
        (["show", "small.yaml", "--trial", "x"], "base/mine/seed0"),
        (["export", "small.yaml", "--trial", "x", "--to", "out"], "base/mine/seed0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_user_s_mistake_is_one_message_and_status_2(study: Path, arguments: list[str], said: str) -> None:
    done = polytune(*arguments, folder=study.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("polytune: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(study.parent.iterdir()) == [study]


@pytest.mark.parametrize("command", ["run", "plan"])
def test_missing_data_folder_is_told_with_its_remedy_before_anything_is_written(tmp_path: Path, command: str) -> None:
    done = polytune(command, STUDIES / "public-files.yaml", "--set", "data.root=/nowhere", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("polytune: ") and "/nowhere" in done.stderr and "data root" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_plan_as_json_prints_json_alone_and_writes_nothing(study: Path) -> None:
    done = polytune("plan", study, "--json", "--set", "seeds=[0, 1]", folder=study.parent)
    assert (done.returncode, done.stderr) == (0, "")
    labels = [trial["trial"] for trial in json.loads(done.stdout)["trials"]]
    assert labels == [f"base/{method}/seed{seed}" for seed in (0, 1) for method in ("frozen", "mine")]
    assert list(study.parent.iterdir()) == [study]


def test_dry_run_shows_the_plan_and_starts_nothing(study: Path) -> None:
    shown, planned = (
        polytune(*words, study, "--json", folder=study.parent) for words in (["run", "--dry-run"], ["plan"])
    )
    assert shown.returncode == 0
    assert shown.stdout == planned.stdout
    assert list(study.parent.iterdir()) == [study]


def test_plan_for_a_person_says_what_would_run_and_what_nothing_pins(study: Path) -> None:
    done = polytune("plan", study, folder=study.parent)
    assert done.returncode == 0
    assert "7 of 7 stages would run" in done.stdout
    assert "unresolved: model org/base is not pinned" in done.stdout


def test_study_that_was_run_is_known_by_its_name(begun: Study, tmp_path: Path) -> None:
    done = polytune("status", begun.study, "--json", folder=tmp_path)
    assert done.returncode == 0
    first, second = json.loads(done.stdout)
    assert (first["stages"][0]["state"], first["stages"][0]["seconds"]) == ("done", 7200.0)
    assert (second["stage"], second["state"], second["cause"][:2]) == ("train", "failed", "no")


def test_logs_show_how_a_trial_failed(begun: Study, tmp_path: Path) -> None:
    done = polytune("logs", begun.study, "--trial", "micro/other/seed0", folder=tmp_path)
    assert done.returncode == 0
    where, trace = done.stdout.splitlines()
    assert re.fullmatch(r"micro/other/seed0 train: runs/stages/\w+/attempts/\w+/failure\.json", where)
    assert trace == "Traceback: no [/INST]"


def test_record_that_cannot_be_read_is_one_message(begun: Study, tmp_path: Path) -> None:
    for path in (tmp_path / "runs").glob("stages/*/record-*.json"):
        path.write_text("{}", encoding="utf-8")
    done = polytune("plan", begun.study, folder=tmp_path)
    assert done.returncode == 2
    assert "is not a record that this version can read" in done.stderr and "Traceback" not in done.stderr
