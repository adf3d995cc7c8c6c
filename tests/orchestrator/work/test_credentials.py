"""Credentials on a cluster that was started without: workers have their driver's, and Ray has written them nowhere."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_CLUSTER = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
print(cluster.address, cluster.head_node.get_session_dir_path(), flush=True)
input()
cluster.shutdown()
"""
# Joins a cluster; for each line that it reads, says what a worker that was started for it has.
_DRIVER = """
import os, sys
import ray
from orchestrator.work import credentials
from orchestrator.work.session import local_ray
from orchestrator.study.resources import Resources


def look():
    before = os.environ.get("HF_TOKEN")
    credentials.take()
    return before, os.environ.get("HF_TOKEN"), os.environ.get("AWS_REGION"), os.environ.get("PRIVATE")

with local_ray(Resources(address=sys.argv[1])):
    print("joined", flush=True)
    for line in sys.stdin:
        print(*ray.get(ray.remote(num_cpus=1, max_calls=1)(look).remote()), flush=True)
"""
pytestmark = pytest.mark.ray

TOKEN = "hf_planted-for-the-cluster"
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AWS_"))}


class Process:
    """A Python program that is talked to by lines."""

    def __init__(self, code: str, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=BARE | environment,
        )

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self) -> str:
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return self.hear()

    def end(self) -> int:
        """Close its input, which ends it; returns its exit status."""
        self._process.communicate(timeout=100)
        return self._process.returncode


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, Path]]:
    """The address of a cluster that knows no credentials, and the folder of its session."""
    process = Process(_CLUSTER)
    try:
        address, session = process.hear().split()
        yield address, Path(session)
    finally:
        process.ask()
        process.end()


@contextmanager
def driver(address: str, **environment: str) -> Iterator[Process]:
    """A driver that has joined."""
    process = Process(_DRIVER, address, **environment)
    try:
        assert process.hear() == "joined"
        yield process
    finally:
        assert process.end() == 0


@pytest.mark.timeout(400)
def test_workers_of_a_joined_cluster_have_the_driver_s_credentials_and_no_file_of_ray_does(
    cluster: tuple[str, Path],
) -> None:
    address, session = cluster
    with driver(address, HF_TOKEN=TOKEN, AWS_REGION="nowhere-1", PRIVATE="mine") as ours:
        assert ours.ask() == f"None {TOKEN} nowhere-1 None"
    files = [path for path in session.rglob("*") if path.is_file()]
    assert any(path.suffix == ".out" for path in files), "Ray's logs are there"
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


@pytest.mark.timeout(400)
def test_drivers_that_share_a_cluster_have_their_own_credentials_whichever_ends_first(
    cluster: tuple[str, Path],
) -> None:
    address, _ = cluster
    with ExitStack() as longer:
        with driver(address, HF_TOKEN="hf_of-the-first") as first:
            second = longer.enter_context(driver(address, HF_TOKEN="hf_of-the-second", AWS_REGION="second-1"))
            assert first.ask() == "None hf_of-the-first None None"
            assert second.ask() == "None hf_of-the-second second-1 None"
            with driver(address) as bare:
                assert bare.ask() == "None None None None", "who has none gets nobody's"
        assert second.ask() == "None hf_of-the-second second-1 None", "the first has ended"
