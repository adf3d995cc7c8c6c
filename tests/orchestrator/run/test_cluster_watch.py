"""What a study is told of the cluster that it waits for or has lost, by a real Ray and by its own messages."""

import subprocess
import sys
from pathlib import Path

import pytest
from ray.core.generated import autoscaler_pb2

from orchestrator.plan.clusters import Kind, Offers, may_surprise, place_for, startable
from orchestrator.plan.machine import Machine, Work, asked_too_much
from orchestrator.run.cluster import _Waits, told_by_first, unmet
from orchestrator.study.resources import Resources
from trainers.memory import Unknown

CPU_NODE, GPU_NODE = Kind(cores=8, gpus=0, count=1), Kind(cores=4, gpus=1, count=4)


def state_of(
    nodes: list[dict[str, float]], asked: list[dict[str, float]], gangs: list[list[dict[str, float]]]
) -> object:
    found = autoscaler_pb2.ClusterResourceState()
    for node in nodes:
        found.node_states.add(total_resources=node, status=autoscaler_pb2.NodeStatus.RUNNING)
    for bundle in asked:
        found.pending_resource_requests.add(request={"resources_bundle": bundle}, count=2)
    for gang in gangs:
        found.pending_gang_resource_requests.add(requests=[{"resources_bundle": bundle} for bundle in gang])
    return found


def test_what_waits_for_a_busy_node_is_no_unmet_demand_and_what_no_node_has_is() -> None:
    one_core = {"CPU": 1.0}
    assert unmet(state_of([one_core], [one_core], [[one_core]])) == {}
    assert unmet(state_of([one_core], [{"CPU": 1.0, "GPU": 1.0}], [])) == {"(CPU 1, GPU 1)": 2}
    assert unmet(state_of([one_core], [], [[one_core, one_core]])) == {"(CPU 2)": 1}
    assert unmet(state_of([one_core], [{"CPU_group_abc": 1.0}], [])) == {}


def test_silence_is_broken_soon_and_then_ever_more_rarely() -> None:
    waits, waiting = _Waits(), unmet(state_of([], [{"GPU": 1.0}], []))
    times = [now for now in range(0, 600, 5) if waits.line(waiting, now=float(now))]
    assert times == [5, 65, 130, 260, 520]
    assert waits.line(unmet(state_of([], [], [])), now=600.0) == ""
    assert waits.line(waiting, now=605.0) == "", "asked for anew, it is waited for anew"


def test_autoscalers_reasons_are_passed_on() -> None:
    report = {
        "pending_launches": {"gpu-24gb": 1},
        "pending_nodes": [["10.0.0.2", "gpu-24gb", "setting-up"]],
        "failed_nodes": [["10.0.0.3", "gpu-24gb"]],
        "node_availability_summary": {
            "node_availabilities": {
                "gpu-24gb": {
                    "is_available": False,
                    "unavailable_node_information": {"category": "VcpuLimitExceeded", "description": "a quota of 0"},
                }
            }
        },
    }
    assert told_by_first(report) == (
        " (2 gpu-24gb under way; 1 gpu-24gb failed to start; gpu-24gb: a quota of 0; `ray monitor FILE` tells more)"
    )
    assert told_by_first({}) == " (nothing is being started)"


def test_nodes_that_a_cluster_file_could_start_are_known() -> None:
    head, worker = {"resources": {"CPU": 8}}, {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 4}
    off = {"resources": {"CPU": 4, "GPU": 8}, "max_workers": 0}
    config = {"head_node_type": "head", "max_workers": 4, "provider": {"type": "aws"}}
    config["available_node_types"] = {"head": head, "gpu": worker, "off": off}
    assert list(startable(config)) == [GPU_NODE]
    assert not may_surprise(config, workers=0)
    on_prem = {"provider": {"type": "local", "worker_ips": ["10.0.0.2", "10.0.0.3"]}}
    assert may_surprise(on_prem, workers=1) and not may_surprise(on_prem, workers=2)
    assert place_for([CPU_NODE, GPU_NODE], cores=2, gpus=0) == 4 + 8
    assert place_for([CPU_NODE, GPU_NODE], cores=2, gpus=0.5) == 8
    assert place_for([CPU_NODE, GPU_NODE], cores=2, gpus=2) == 0


@pytest.mark.parametrize(
    ("work", "asked", "said"),
    [
        (Work.TRAIN, {"trial_gpus": 1}, ""),
        (Work.TRAIN, {"trial_gpus": 2}, "resources.trial_gpus is 2, and no node of the cluster has or could have more"),
        (Work.TRAIN, {"trial_gpus": 1, "trial_cpus": 8}, "resources.trial_cpus is 8, and no node that has 1 GPU has"),
        (Work.TRAIN_BY_SEVERAL, {"trial_gpus": 1, "full_workers": 4}, ""),
        (Work.TRAIN_BY_SEVERAL, {"trial_gpus": 1, "full_workers": 5}, "resources.full_workers is 5, each with 1 cores"),
        (Work.GENERATE, {"generator_cpus": 9}, "resources.generator_cpus is 9, and no node has more than 8 cores"),
    ],
)
def test_what_a_cluster_could_never_start_is_refused(work: Work, asked: dict[str, float], said: str) -> None:
    offers = Offers(kinds=(CPU_NODE, GPU_NODE), complete=True)
    machine = Machine(memory=Unknown(reason="not asked"), offers=offers)
    found = asked_too_much([work], Resources(**asked), machine)
    assert "".join(found).startswith(said) and bool(found) == bool(said)
    growing = Machine(memory=Unknown(reason="not asked"), offers=Offers(kinds=(), complete=False))
    assert asked_too_much([work], Resources(**asked), growing) == ()


_CLUSTER = """
import sys, time
import ray
from ray.cluster_utils import Cluster
from orchestrator.plan.clusters import offers_of
from orchestrator.run.cluster import ClusterWatch
from orchestrator.study.resources import Resources
from orchestrator.work.session import local_ray
from orchestrator.work.delivery import offer, root_here
from pathlib import Path
import trainers

root, cache = Path(sys.argv[1]), Path(sys.argv[2])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
print("offers", offers_of(cluster.address), flush=True)
resources = Resources(address=cluster.address)

def worker():
    import os
    os.environ["POLYTUNE_CACHE"] = str(cache)
    return trainers.__file__, str(root_here(root, ["a.txt", "b"])), str(root_here(Path("/absent"), ["a.txt", "b"]))

with local_ray(resources), ClusterWatch(resources, note=lambda line: print("note", line, flush=True)) as watch:
    depot = offer(root, mark=root / "a.txt")
    for place in ray.get(ray.remote(num_cpus=0)(worker).remote()):
        print("worker", place, flush=True)
    waiting = ray.remote(num_gpus=1)(worker).remote()
    time.sleep(14)
    began = time.monotonic()
    cluster.head_node.kill_gcs_server()
    print("lost", watch.verdict(), flush=True)
    print("after", time.monotonic() - began, flush=True)
"""


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_workers_have_the_drivers_code_and_data_a_wait_is_told_and_a_lost_head_is_noticed(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    (data / "b").mkdir(parents=True)
    (data / "a.txt").write_text("one")
    (data / "b" / "two.txt").write_text("two" * 1000)
    done = subprocess.run(
        [sys.executable, "-c", _CLUSTER, str(data), str(cache)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    said = dict(line.partition(" ")[::2] for line in done.stdout.splitlines() if not line.startswith("worker"))
    code, shared, copied = (line.split()[1] for line in done.stdout.splitlines() if line.startswith("worker"))
    assert "gpus=0.0" in said["offers"] and "complete=True" in said["offers"], done.stderr
    assert "py_modules_files" in code, "Ray brought it"
    assert shared == str(data) and copied.startswith(str(cache))
    assert (Path(copied) / "b" / "two.txt").read_text() == "two" * 1000
    assert said["note"].endswith("1 x (CPU 1, GPU 1); no node that is there has it (nothing is being started)")
    assert "start the cluster again (`ray up FILE`)" in said["lost"] and float(said["after"]) < 35
