"""Provenance: what a record says of the software and the machine that made it."""

import os
import subprocess
import sys
import time

from orchestrator.provenance import VERSIONS, process, process_start, provenance, version


def test_versions_of_all_that_may_change_a_number_are_recorded() -> None:
    facts = provenance()
    assert set(VERSIONS) <= facts.keys()
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["polytune"] == version() != "not installed"


def test_cuda_is_what_torch_was_built_for() -> None:
    code = "import torch; print(torch.version.cuda or 'none')"
    built_for = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert provenance()["cuda"] == built_for


def test_provenance_is_read_without_importing_torch() -> None:
    code = "import sys; from orchestrator.provenance import provenance; provenance(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_process_is_known_by_its_start_until_it_is_gone() -> None:
    assert process()["pid"] == os.getpid()
    assert process_start(os.getpid()) == process()["process_start"]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_start(child.pid) is not None
    child.kill()
    deadline = time.monotonic() + 60
    while process_start(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process_start(child.pid) is None, "a zombie is gone"
    child.wait()
