"""A Ray of our own begins without a word, and swallows nobody else's."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.ray

SCRIPT = """
import sys, threading, time
from orchestrator.study.resources import Resources
from orchestrator.work.session import local_ray

over = threading.Event()

def count():
    number = 0
    while not over.wait(0.02):
        sys.stderr.write(f"{number}\\n")
        number += 1

counting = threading.Thread(target=count)
counting.start()
with local_ray(Resources(), num_cpus=1):
    pass
over.set()
counting.join()
sys.stderr.write("end\\n")
"""


def test_words_of_ray_s_start_are_kept_off_the_terminal_and_no_others() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120)
    *counted, end = done.stderr.splitlines()
    assert end == "end"
    assert counted == [str(number) for number in range(len(counted))] and len(counted) > 10
