"""The doctor's findings, on this machine and on one made poorer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluators.sandbox import Availability
from orchestrator.commands.doctor import (
    Check,
    check_compilers,
    check_isolation,
    check_roots,
    check_size,
    examine,
    install_command,
)

OPTIONAL = {"wordnet", "pmd", "chromium", "boto3", "vllm"}


@pytest.fixture(scope="module")
def findings() -> dict[str, Check]:
    return {check.name: check for check in examine()}


def test_every_part_that_a_study_leans_on_is_examined(findings: dict[str, Check]) -> None:
    needed = {"python", "packages", "cores", "memory", "disk", "torch", "gpu", "bitsandbytes", "deepspeed", "g++"}
    needed |= {
        "ninja",
        "ray",
        "mlflow",
        "candidates in Python",
        "JDK",
        "mono",
        "isolation",
        "pylint",
        "radon",
        "complexipy",
        "bandit",
        "lizard",
    }
    assert findings.keys() == needed | OPTIONAL


def test_what_is_not_ok_comes_with_a_remedy_and_what_is_ok_with_none(findings: dict[str, Check]) -> None:
    assert all(bool(check.remedy) == (check.state != "ok") and check.detail for check in findings.values())


def test_optional_parts_say_that_they_are_optional(findings: dict[str, Check]) -> None:
    assert all(findings[name].state == "ok" or findings[name].detail.startswith("optional") for name in OPTIONAL)


def test_versions_are_those_of_the_libraries_that_run(findings: dict[str, Check]) -> None:
    import torch

    assert findings["torch"].detail == torch.__version__
    assert findings["python"].detail == sys.version.split()[0]


def test_findings_survive_json(findings: dict[str, Check]) -> None:
    text = json.dumps([check.model_dump(mode="json") for check in findings.values()])
    assert tuple(Check.model_validate(row) for row in json.loads(text)) == tuple(findings.values())


def test_machine_without_compilers_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {check.name: check for check in examine()}
    assert found["g++"].detail == "trials of kind full will read: not run: no g++"
    assert (found["g++"].state, found["g++"].remedy) == ("missing", "apt-get install g++")
    assert found["JDK"].remedy == "apt-get install default-jdk-headless"
    assert found["mono"].remedy == "apt-get install mono-mcs mono-runtime"
    assert "C# completions stay unjudged" in found["mono"].detail


def test_ninja_is_found_beside_the_interpreter_without_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (Path(sys.executable).parent / "ninja").exists():
        pytest.skip("no ninja beside this interpreter")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_compilers()[1].state == "ok"


def test_packages_from_two_places_are_not_one_project() -> None:
    ours, other = Path("/opt/polytune"), Path("/opt/other")
    assert check_roots({"tasks": ours, "trainers": ours}).state == "ok"
    shadowed = check_roots({"tasks": other, "trainers": ours})
    assert shadowed.state == "missing"
    assert "tasks from /opt/other" in shadowed.detail
    assert check_roots({"tasks": None, "trainers": None}).state == "missing"


def test_little_room_is_a_limit_and_no_refusal() -> None:
    assert check_size("disk", 3.0, least=10.0, remedy="free some").state == "limited"
    assert check_size("disk", 10.0, least=10.0, remedy="free some").remedy == ""


def test_isolation_names_the_classes_given_and_why_a_stronger_one_is_not() -> None:
    strict = Availability(isolation="strict", available=True)
    landlock = Availability(isolation="landlock", available=True)
    refused = Availability(isolation="strict", available=False, refusal="unshare: Operation not permitted")
    assert check_isolation((strict, landlock)).detail == "strict, landlock"
    limited = check_isolation((refused, landlock))
    assert limited.state == "limited"
    assert limited.detail == "landlock; strict is refused: unshare: Operation not permitted"
    none = check_isolation((refused, Availability(isolation="landlock", available=False, refusal="no Landlock")))
    assert none.state == "missing"
    assert "strict is refused: unshare: Operation not permitted; landlock is refused: no Landlock" in none.detail


def test_install_commands_name_the_versions_that_the_project_asks_for() -> None:
    assert "ray[" in install_command("ray")
    assert "<2.61" in install_command("ray")
    assert install_command("boto3").endswith("pip install 'boto3'")


def test_looking_at_the_modules_loads_no_heavy_library() -> None:
    code = (
        "import sys; from orchestrator.commands import clusterfile, doctor, export, show; "
        "print(*{'torch', 'ray', 'mlflow', 'transformers', 'peft'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []
