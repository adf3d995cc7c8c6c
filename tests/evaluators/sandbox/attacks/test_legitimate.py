"""Programs that do nothing wrong pass, in both classes, as root and as nobody."""

import pytest

from attacks.audience import start, users
from attacks.legitimate import programs

# A pool of threads makes a semaphore of the system's, which lies in /dev/shm. Under `strict` that is the
# program's own folder; under `landlock` it is everybody's, and closed.
NEEDS_SHARED_MEMORY = {"threads: multiprocessing.dummy"}


def test_there_are_at_least_two_hundred() -> None:
    assert len(set(programs().values())) >= 200


@pytest.mark.parametrize("user", users())
@pytest.mark.parametrize("isolation", ["strict", "landlock"])
def test_all_of_them_pass(isolation: str, user: str) -> None:
    verdicts = start("attacks.allowed", ["--isolation", isolation], user=user)
    assert len(verdicts) == len(programs())
    refused = {v["name"]: v["detail"] for v in verdicts if v["verdict"] != "passed"}
    assert refused.keys() == (NEEDS_SHARED_MEMORY if isolation == "landlock" else set()), refused
