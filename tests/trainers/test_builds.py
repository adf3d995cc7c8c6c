"""A builder that was killed leaves its guard, and nobody waits for it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from torch.utils.file_baton import FileBaton

from trainers.engines.builds import build_root, outwait_builds

BUILDER = (
    "import sys, time; from torch.utils.file_baton import FileBaton; "
    "assert FileBaton(sys.argv[1]).try_acquire(); print('building', flush=True); time.sleep(600)"
)


@pytest.fixture
def guard(tmp_path: Path) -> Path:
    folder = tmp_path / "py311_cpu" / "operator"
    folder.mkdir(parents=True)
    return folder / "lock"


def test_guard_of_a_killed_builder_is_removed_and_of_a_living_one_is_waited_for(tmp_path: Path, guard: Path) -> None:
    builder = subprocess.Popen([sys.executable, "-c", BUILDER, str(guard)], stdout=subprocess.PIPE, text=True)
    try:
        assert builder.stdout and builder.stdout.readline() == "building\n"
        waiting = threading.Thread(target=outwait_builds, args=(tmp_path,), kwargs={"longest_build_s": 0.0})
        waiting.start()
        waiting.join(1.0)
        assert waiting.is_alive() and guard.exists()
    finally:
        os.kill(builder.pid, signal.SIGKILL)
        builder.wait()
    waiting.join(30.0)
    assert not waiting.is_alive() and not guard.exists()


def test_guard_that_another_machine_may_hold_stays_as_long_as_a_build_takes(tmp_path: Path, guard: Path) -> None:
    guard.touch()
    waiting = threading.Thread(target=outwait_builds, args=(tmp_path,), kwargs={"longest_build_s": 60.0})
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive() and guard.exists()
    hour_ago = time.time() - 3600
    os.utime(guard, (hour_ago, hour_ago))
    waiting.join(30.0)
    assert not waiting.is_alive() and not guard.exists()


def test_nothing_is_waited_for_where_nothing_was_ever_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outwait_builds(tmp_path / "absent")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert build_root() == tmp_path
    baton = FileBaton(str(tmp_path / "lock"))
    assert baton.try_acquire(), "a guard lies below an extension's own folder"
    outwait_builds(tmp_path)
    baton.release()
