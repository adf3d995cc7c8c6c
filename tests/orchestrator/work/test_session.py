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


LEFT = """
import threading, time
import ray
from orchestrator.study.resources import Resources
from orchestrator.work.session import end_if_left, local_ray

@ray.remote
def work():
    time.sleep(600)

def ask():
    begun = work.remote()
    while True:
        ray.wait([begun], timeout=0.001)

with local_ray(Resources(), num_cpus=1):
    threading.Thread(target=ask, name="train", daemon=True).start()
    time.sleep(3)
time.sleep(1)
print("what comes after Ray")
end_if_left(130)
"""


def test_thread_that_still_asks_ray_does_not_end_the_process_with_another_status() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (130, "what comes after Ray\n"), done.stderr
