"""Each cause of a failure, caused: what is tried again, how, and what is kept of it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small_studies import make_study, opened, trial_of

from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.studies import ledger_of
from orchestrator.run.driver import run_study
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.resources import Resources
from orchestrator.work.processes import crash_of
from orchestrator.work.session import local_ray
from orchestrator.work.training import Place, TrainingOrder, train_trial

pytestmark = pytest.mark.ray

LARGE = """
study: large
storage: {storage}
models: [builtin:micro]
seeds: [0, 1]
data: {{train_limit: 64, test_limit: 2}}
tasks: {{translation/java-csharp: {{train: micro, test: micro}}}}
training: {{learning_rate: 1.0e-3, batch_size: 64, max_steps: 1, precision: fp32}}
methods: {{lora: {{kind: lora}}}}
"""


@pytest.mark.timeout(900)
def test_out_of_memory_halves_the_tokens_of_a_pass_for_a_trial_and_its_siblings(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(LARGE.format(storage=tmp_path / "runs"), encoding="utf-8")
    program = Path(__file__).with_name("out_of_memory.py")
    done = subprocess.run([sys.executable, program, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    print(said)
    first = [(kind, again) for label, kind, again in said if label == "micro/lora/seed0"]
    assert first[0] == ("memory", "goes on with 16384 tokens a pass instead of 32768")
    assert first[-1] == ("", "")
    # The sibling begins with what was learnt, and so never fails.
    assert [(kind, again) for label, kind, again in said if label == "micro/lora/seed1"] == [("", "")]
    ledger = Ledger(tmp_path / "runs")
    facts = [ledger.records_of(trial)["train"].facts for trial in expand(load_study(path)).trials]
    fitting = 32_768 // 2 ** (len(first) - 1)
    assert [fact["runtime"]["micro_tokens"] for fact in facts] == [fitting, fitting]  # type: ignore[index,call-overload]
    assert len(facts[0]["retried"]) == len(first) - 1  # type: ignore[arg-type]
    assert facts[0]["retried"][0]["kind"] == "memory"  # type: ignore[index]
    # The global batch is the same however it is cut: one step over all 64 examples.
    assert [fact["steps"] for fact in facts] == [1, 1]
    assert facts[0]["tokens"] == facts[1]["tokens"]


def test_a_loss_that_is_not_finite_leaves_its_last_steps_and_examples(tmp_path: Path) -> None:
    study = make_study(
        tmp_path,
        methods={"wild": {"kind": "lora"}},
        training={"max_steps": 8, "learning_rate": 1e30, "batch_size": 2, "precision": "fp32"},
    )
    trial, ledger = trial_of(study, "wild"), ledger_of(study)
    order = TrainingOrder(trial=trial, resources=Resources())
    failed = train_trial(order, Place(storage=study.storage, root=study.data.root))
    assert failed is not None and failed.kind == "diverged"
    failure = ledger.last_failure(trial.key("train"))
    assert failure is not None
    steps, batch = failure[0].evidence["last_steps"], failure[0].evidence["last_batch"]
    assert isinstance(steps, list) and isinstance(batch, list)
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))  # type: ignore[index,call-overload]
    assert isinstance(steps[0]["loss"], float)  # type: ignore[index,call-overload]
    assert "nan" in (steps[-1]["loss"], steps[-1]["gradient_norm"])  # type: ignore[index,call-overload]
    assert len(batch) == 2 and all(str(name).startswith("train/") for name in batch)
    assert list((failure[1].parent / "metrics").glob("*.jsonl")), "the curve up to there is kept"


def test_a_crash_is_told_from_a_kill_by_the_stack_that_it_leaves(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    trial, ledger = trial_of(study, "qlora"), ledger_of(study)
    code = (
        "import os, signal, sys; from pathlib import Path; from orchestrator.work.processes import crashes_told\n"
        "with crashes_told(Path(sys.argv[1])): os.kill(os.getpid(), int(sys.argv[2]))"
    )
    told = []
    for number in (signal.SIGKILL, signal.SIGSEGV):
        attempt = ledger.begin(trial.key("train"))
        subprocess.run([sys.executable, "-c", code, attempt.folder, str(int(number))], check=False)
        told.append(crash_of(ledger, trial.key("train")))
    assert told[0] == ""
    assert told[1].startswith("the process crashed (Fatal Python error: Segmentation fault; stack: ")


@pytest.mark.timeout(900)
def test_a_killed_worker_s_training_begins_again_and_the_study_finishes(tmp_path: Path) -> None:
    study = make_study(
        tmp_path,
        methods={"lora": {"kind": "lora"}},
        training={"max_steps": 60, "learning_rate": 0.001, "batch_size": 4},
        evaluation={"quality": False, "generation": {"max_new_tokens": 8, "max_summary_tokens": 8}},
    )
    trial, ledger = trial_of(study, "lora"), ledger_of(study)
    killed: list[int] = []

    def kill_once() -> None:
        while not killed:
            time.sleep(0.05)
            newest = next(ledger.attempts(trial.key("train")), None)
            if newest and (newest / ".progress.json").exists():
                killed.append(json.loads((newest / ".begun.json").read_text(encoding="utf-8"))["pid"])
                os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_once, daemon=True)
    killer.start()
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    with local_ray(study.resources, num_cpus=2):
        outcome = run_study(*opened(study))
    assert killed and killed[0] != os.getpid()
    assert outcome.failed == {}
    assert outcome.ran == {"train": 1, "generate": 1, "execute": 1, "score": 1}
    assert len(outcome.retried) == 1 and "goes on in 1 s" in outcome.retried[0]
    retried = ledger.records_of(trial)["train"].facts["retried"]
    assert isinstance(retried, list) and retried[0]["kind"] == "lost"
