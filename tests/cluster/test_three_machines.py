"""A real cluster of three machines made of namespaces: `ray up`, submissions, a lost connection, a lost head.

One decision: the machines share nothing but the interpreter and a bucket by moto, so whatever reaches a worker was
brought there. Run by `make cluster-test`, which needs root and takes minutes; `make test` leaves it out.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("machines.sh")
TOKEN = "hf_planted-for-three-machines"
NEWER = "# Edited after the cluster was started."
SECRET = "planted-secret-of-a-bucket"
ENVIRONMENT = {
    "HF_TOKEN": TOKEN,
    "AWS_ACCESS_KEY_ID": "planted",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://10.77.0.1:5555",
}
STUDY = """
study: trial
models: [builtin:micro]
seeds: [0, 1]
storage: s3://trial/runs
data: {test_limit: 3}
tasks:
  generation/python: {train: own.jsonl, test: micro}
lora: {rank: 8}
training: {max_steps: 12, batch_size: 8, max_length: 256, learning_rate: 0.001}
methods:
  frozen: {kind: frozen}
  lora: {kind: lora}
  full: {kind: full}
evaluation: {quality: false, generation: {max_new_tokens: 24}}
resources: {full_workers: 2, checkpoint_minutes: 0.05}
"""


def _can_make_machines() -> str:
    """Why this machine cannot be three; nothing if it can."""
    if os.environ.get("CLUSTER_TEST") != "1":
        return "run by `make cluster-test`"
    if os.geteuid() != 0:
        return "needs root"
    lacking = [tool for tool in ("ip", "sshd", "rsync", "nsenter", "unshare") if shutil.which(tool) is None]
    if lacking:
        return f"needs {', '.join(lacking)} (apt-get install iproute2 openssh-server rsync util-linux)"
    made = subprocess.run(["ip", "netns", "add", "pt-probe"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", "pt-probe"], capture_output=True, check=False)
    return f"ip netns add fails: {made.stderr.strip()}" if made.returncode else ""


WHY_NOT = _can_make_machines()
pytestmark = [pytest.mark.machines, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT), pytest.mark.timeout(1800)]


class Machines:
    """The four machines, of which the laptop has the project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "W": str(folder), "PY": sys.base_prefix,
            "BIN": str(Path(sys.executable).parent),
        }  # fmt: skip

    def script(self, *words: str) -> None:
        subprocess.run([str(SCRIPT), *words], env=self._environment, check=True, timeout=60)

    def start(self, machine: str, command: str, **environment: str) -> "subprocess.Popen[str]":
        """A command on a machine, in the laptop's project."""
        carry = " ".join(f"{name}={value}" for name, value in environment.items())
        return subprocess.Popen(
            [str(SCRIPT), "in", machine, "bash", "-c", f"cd {self.folder}/project; {command}"],
            env=self._environment | {"CARRY": f"PYTHONPATH={self.folder}/project {carry}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, machine: str, command: str, *, within: float = 120, **environment: str) -> tuple[int, str, float]:
        """A command on a machine; returns its status, what it printed, and how long it took."""
        began = time.monotonic()
        process = self.start(machine, command, **environment)
        said, _ = process.communicate(timeout=within)
        took = time.monotonic() - began
        print(f"\n[{machine} {took:.1f} s, status {process.returncode}] $ {command}\n{said}", flush=True)
        return process.returncode, said, took


def _cluster_file(folder: Path) -> str:
    """The shipped file, filled in, for machines that are prepared and have one core each."""
    text = (ROOT / "clusters" / "onprem.yaml").read_text()
    filled = {
        "HEAD_ADDRESS": "10.77.0.10", "WORKER_ADDRESS": "10.77.0.11, 10.77.0.12", "USER": "root",
    }  # fmt: skip
    for name, value in filled.items():
        text = text.replace(f"FILL_IN_{name}", value)
    config = yaml.safe_load(text)
    config["auth"]["ssh_private_key"] = str(folder / "etc" / "id")
    path = f'export PATH="{Path(sys.executable).parent}:$PATH" HF_HUB_OFFLINE=1'
    config["setup_commands"] = [f"echo {path!r} > ~/.bashrc"]
    # Workers have no way to our packages but by Ray; an installation that they share may hold other code.
    config["head_setup_commands"] = ["echo 'export PYTHONPATH=$HOME/polytune' >> ~/.bashrc"]
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        config[key][-1] += " --num-cpus=1 --object-store-memory=120000000 --memory=4000000000"
    return yaml.safe_dump(config, sort_keys=False)


def _lay_out(folder: Path) -> None:
    """The laptop's project: the working tree's tracked files, a cluster file, a study and its local data."""
    project = folder / "project"
    project.mkdir()
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "cf", f"{folder}/p.tar", "-T", "-"], cwd=ROOT, input=files.stdout, check=True)
    subprocess.run(["tar", "xf", f"{folder}/p.tar"], cwd=project, check=True)
    (project / "onprem.yaml").write_text(_cluster_file(folder))
    (project / "trial.yaml").write_text(STUDY)
    rows = (
        {"prompt": f"Write f(x) that adds {i}.", "completion": f"def f(x):\n    return x + {i}\n"} for i in range(32)
    )
    compiled = Path.home() / ".cache" / "torch_extensions"
    for machine in ("head", "worker1", "worker2"):
        # As on machines that were used before: DeepSpeed compiles for minutes at its first start.
        if compiled.is_dir():
            shutil.copytree(compiled, folder / machine / "home" / ".cache" / "torch_extensions")
    (project / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    folder = Path(mkdtemp(prefix="polytune-machines-", dir="/var/tmp"))
    found = Machines(folder)
    _lay_out(folder)
    found.script("up")
    bucket = found.start("laptop", "exec moto_server -H 10.77.0.1 -p 5555 >/dev/null 2>&1")
    try:
        make = "import boto3; boto3.client('s3').create_bucket(Bucket='trial')"
        assert found.run("laptop", f'sleep 5; python -c "{make}"', **ENVIRONMENT)[0] == 0
        status, _, _ = found.run("laptop", UP, within=300)
        assert status == 0
        _wait_for_nodes(found)
        yield found
    finally:
        bucket.kill()
        found.script("down")
        if "KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)


UP = "RAY_UP_enable_autoscaler_v2=0 RAY_USAGE_STATS_ENABLED=0 ray up -y onprem.yaml"


def _wait_for_nodes(machines: Machines) -> None:
    for _ in range(30):
        if re.search(r"\b3 local.cluster.node", machines.run("head", "ray status", within=60)[1]):
            return
        time.sleep(3)
    pytest.fail("the workers did not join")


def _objects(machines: Machines) -> list[str]:
    listing = "import boto3; print(*(o['Key'] for o in boto3.client('s3').list_objects_v2(Bucket='trial')['Contents']))"
    return machines.run("laptop", f'python -c "{listing}"', **ENVIRONMENT)[1].split()


def test_study_that_no_node_could_run_is_refused_within_ten_seconds_of_reaching_the_head(machines: Machines) -> None:
    ask = "polytune submit trial.yaml --cluster onprem.yaml --set resources.trial_gpus=1"
    status, said, _ = machines.run("laptop", ask, **ENVIRONMENT)
    assert status == 2
    assert "resources.trial_gpus is 1, and no node of the cluster has or could have a GPU" in said
    reached, told = machines.folder / "head" / "home" / "polytune" / "logs" / "trial.json", time.time()
    assert told - reached.stat().st_mtime < 10


def test_detached_study_outlives_its_connection_and_is_found_again(machines: Machines) -> None:
    # Newer than what `ray up` brought to the workers.
    with (machines.folder / "project" / "trainers" / "__init__.py").open("a") as file:
        file.write(f"{NEWER}\n")
    status, said, _ = machines.run(
        "laptop", "polytune submit trial.yaml --cluster onprem.yaml --detach", within=200, **ENVIRONMENT
    )
    assert status == 0 and "trial runs on head as process" in said
    assert TOKEN not in said and SECRET not in said
    for _ in range(60):
        status, said, _ = machines.run("laptop", "polytune status trial.yaml --cluster onprem.yaml", **ENVIRONMENT)
        assert status == 0
        if re.search(r"^6 done", said, re.MULTILINE):
            break
        time.sleep(10)
    status, said, _ = machines.run("laptop", "polytune logs trial.yaml --cluster onprem.yaml", **ENVIRONMENT)
    assert "The last of what trial said" in said and "nothing of trial failed" in said
    records = [key for key in _objects(machines) if re.search(r"/record-", key)]
    assert len(records) == len({key.rpartition("/")[0] for key in records}) >= 5 + 4
    workers = [machines.folder / worker for worker in ("worker1", "worker2")]
    copies = [copy for worker in workers for copy in worker.glob("home/.cache/polytune/data/*/own.jsonl")]
    assert copies, "a training was not on the head, so its data were fetched"
    for worker in workers:
        kept = (worker / "home" / "polytune" / "trainers" / "__init__.py").read_text()
        (brought,) = worker.glob("tmp/ray/session_2*/runtime_resources/py_modules_files/*/trainers/__init__.py")
        assert NEWER not in kept and NEWER in brought.read_text()
    _no_secret_on_any_machine(machines)


def _no_secret_on_any_machine(machines: Machines) -> None:
    for machine in ("head", "worker1", "worker2"):
        folder = machines.folder / machine
        found = subprocess.run(
            ["grep", "-rlE", f"{TOKEN}|{SECRET}", str(folder / "tmp"), str(folder / "home"), str(folder / "run")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert found.stdout == "", machine


def test_study_ends_in_good_order_when_its_caller_is_gone_or_it_is_cancelled(machines: Machines) -> None:
    again = "polytune submit trial.yaml --cluster onprem.yaml --set seeds=[5,6,7,8] --set training.max_steps=400"
    process = machines.start("laptop", again, **ENVIRONMENT)
    _until_it_trains(machines)
    # A closed laptop: the whole session is told of its terminal's end.
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(15)
    assert "no process runs trial" in machines.run("laptop", CANCEL, **ENVIRONMENT)[1]
    assert machines.run("laptop", f"{again} --detach", within=200, **ENVIRONMENT)[0] == 0
    status, said, _ = machines.run("laptop", CANCEL, **ENVIRONMENT)
    assert status == 0 and "Asked process" in said


CANCEL = "polytune cancel trial.yaml --cluster onprem.yaml"


def _until_it_trains(machines: Machines) -> None:
    for _ in range(40):
        status = machines.run("laptop", "polytune status trial.yaml --cluster onprem.yaml", **ENVIRONMENT)[1]
        if re.search(r"[1-9]\d* running", status):
            return
        time.sleep(3)
    pytest.fail("nothing runs")


def test_lost_head_ends_in_one_line_that_says_what_to_do(machines: Machines) -> None:
    time.sleep(10)
    again = "polytune submit trial.yaml --cluster onprem.yaml --set seeds=[5,6,7,8] --set training.max_steps=400"
    process = machines.start("laptop", again, **ENVIRONMENT)
    _until_it_trains(machines)
    machines.run("head", "kill -9 $(pgrep -x gcs_server)")
    began = time.monotonic()
    said, _ = process.communicate(timeout=120)
    print(f"\n[{time.monotonic() - began:.1f} s after the head's death, status {process.returncode}]\n{said}")
    assert process.returncode == 1 and time.monotonic() - began < 60
    (line,) = [line for line in said.splitlines() if "has not answered" in line]
    assert "start the cluster again (`ray up FILE`)" in line and "Traceback" not in said
