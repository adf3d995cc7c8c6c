"""Credentials on a cluster that was started without them: workers have them, and Ray has written them nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CLUSTER = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
print(cluster.address, cluster.head_node.get_session_dir_path(), flush=True)
input()
cluster.shutdown()
"""
_DRIVER = """
import os, sys
import ray
from orchestrator import credentials
from orchestrator.schedule import local_ray
from orchestrator.study import Resources

def look():
    before = "HF_TOKEN" in os.environ
    credentials.take()
    return before, os.environ.get("HF_TOKEN"), os.environ.get("AWS_REGION"), os.environ.get("PRIVATE")

with local_ray(Resources(address=sys.argv[1])):
    before, token, region, private = ray.get(ray.remote(num_cpus=1)(look).remote())
    assert not before
    assert token == os.environ["HF_TOKEN"]
    assert region == "nowhere-1"
    assert private is None
"""
TOKEN = "hf_planted-for-the-cluster"


@pytest.mark.timeout(400)
def test_workers_of_a_joined_cluster_have_the_driver_s_credentials_and_no_file_of_ray_does() -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AWS_"))}
    cluster = subprocess.Popen(
        [sys.executable, "-c", _CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=bare
    )
    try:
        assert cluster.stdout is not None
        address, session = cluster.stdout.readline().split()
        subprocess.run(
            [sys.executable, "-c", _DRIVER, address],
            check=True,
            timeout=300,
            env=bare | {"HF_TOKEN": TOKEN, "AWS_REGION": "nowhere-1", "PRIVATE": "mine"},
        )
    finally:
        cluster.communicate(input="\n", timeout=100)
    files = [path for path in Path(session).rglob("*") if path.is_file()]
    assert any(path.suffix == ".out" for path in files), "Ray's logs are there"
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
