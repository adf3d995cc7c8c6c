"""What commands print, where the output is full, closed, or speaks another encoding: one message and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_studies import make_study

from orchestrator.ledger.studies import ledger_of
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `runs` has a study with a question of more than ASCII."""
    folder = tmp_path_factory.mktemp("outputs")
    study = make_study(folder, question="É ok 😀?", methods={"frozen": {"kind": "frozen"}})
    store_study(expand(study), ledger_of(study))
    return folder


def polytune(folder: Path, redirection: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m orchestrator report small {redirection}"
    root = str(Path(__file__).resolve().parents[3])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_full_output_is_one_message_and_the_page_is_kept(folder: Path) -> None:
    done = polytune(folder, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "polytune: what was printed could not be written: No space left on device; what was computed is kept\n"
    )
    assert (folder / "runs" / "studies" / "small" / "report.html").is_file()


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", "| head -c 1 >/dev/null"])
def test_output_that_nobody_reads_is_no_error(folder: Path, redirection: str) -> None:
    done = polytune(folder, redirection)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_in_another_encoding_says_what_it_can(folder: Path) -> None:
    done = polytune(folder, "", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "? ok ??" in done.stdout
