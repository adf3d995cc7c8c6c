"""What this machine offers: a setting that asks for more is refused, where it matters, before anything starts."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from small_studies import commit, finish_training, make_study, opened

from orchestrator.commands.plan import plan_as_json, print_plan
from orchestrator.ledger.studies import ledger_of
from orchestrator.plan.machine import UNSEEN, Machine, Work, asked_too_much, this_machine
from orchestrator.plan.plan import DoesNotFit, plan, refuse_what_does_not_fit
from orchestrator.run.driver import run_study
from orchestrator.run.planning import plan_study
from orchestrator.study.cells import expand
from orchestrator.study.resources import Resources
from trainers.memory import Estimate, Unknown


def machine_of(cores: int, gpus: int) -> Machine:
    return Machine(cores=cores, gpus=gpus, memory=Unknown(reason="not asked"))


TWO_CORES, TWO_GPUS = machine_of(2, 0), machine_of(16, 2)
ALL: tuple[Work, ...] = ("train", "train full", "generate")
CORES = len(os.sched_getaffinity(0))
OR = "or resources.address to a cluster that has more"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("works", "machine", "asked", "said"),
    [
        (ALL, TWO_CORES, {}, []),
        (ALL, TWO_CORES, {"trial_cpus": 2, "generator_cpus": 2, "generators": 9}, []),
        (
            ALL,
            TWO_CORES,
            {"trial_cpus": 4},
            [f"resources.trial_cpus is 4, and this machine has 2 cores; set it to 2 at most, {OR}"],
        ),
        (
            ["train"],
            TWO_CORES,
            {"trial_gpus": 0.5},
            [f"resources.trial_gpus is 0.5, and this machine has no GPU; set it to 0, {OR}"],
        ),
        (["train"], machine_of(2, 1), {"trial_gpus": 0.5}, []),
        (
            ["train"],
            machine_of(2, 1),
            {"trial_gpus": 2},
            [f"resources.trial_gpus is 2, and this machine has 1 GPU; set it to 1 at most, {OR}"],
        ),
        (["train"], TWO_CORES, {"full_workers": 9, "generator_cpus": 9, "generator_gpus": 9}, []),
        (
            ["train full"],
            TWO_CORES,
            {"full_workers": 3},
            [
                "resources.full_workers is 3 with resources.trial_cpus 1, and this machine has 2 cores; "
                f"set it to 2 at most, {OR}"
            ],
        ),
        (
            ["train full"],
            TWO_GPUS,
            {"full_workers": 4, "trial_gpus": 0.5},
            [
                "resources.full_workers is 4, each on a GPU of its own, and this machine has 2 GPUs; "
                f"set it to 2 at most, {OR}"
            ],
        ),
        # Each process of a full fine-tuning has one GPU, however many trial_gpus says.
        (["train full"], TWO_GPUS, {"full_workers": 2, "trial_gpus": 4}, []),
        (
            ["generate"],
            TWO_CORES,
            {"generator_cpus": 3, "generator_gpus": 1, "trial_cpus": 9, "trial_gpus": 9},
            [
                f"resources.generator_cpus is 3, and this machine has 2 cores; set it to 2 at most, {OR}",
                f"resources.generator_gpus is 1, and this machine has no GPU; set it to 0, {OR}",
            ],
        ),
        (ALL, UNSEEN, {"trial_cpus": 99, "trial_gpus": 9, "generator_cpus": 99}, []),
    ],
)
def test_what_is_due_and_asks_for_more_is_named_with_what_there_is(
    works: list[Work], machine: Machine | None, asked: dict[str, Any], said: list[str]
) -> None:
    assert list(asked_too_much(works, Resources(**asked), machine)) == said


@pytest.mark.parametrize("machine", [TWO_CORES, TWO_GPUS, machine_of(1, 1)])
def test_following_all_remedies_at_once_is_enough(machine: Machine) -> None:
    settings: dict[str, Any] = {
        "trial_cpus": 32, "trial_gpus": 4, "full_workers": 20, "generator_cpus": 32, "generator_gpus": 3
    }  # fmt: skip
    for text in asked_too_much(ALL, Resources(**settings), machine):
        name, most = (
            text.split()[0].removeprefix("resources."),
            int(text.split("set it to ")[1].split(",")[0].split()[0]),
        )
        settings[name] = min(settings[name], most)
    assert asked_too_much(ALL, Resources(**settings), machine) == ()


def test_machine_is_what_this_process_may_use_and_unknown_where_a_cluster_is_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = this_machine(Resources())
    assert (here.cores, here.gpus) == (CORES, 0)
    assert "python" in here.tools.names
    assert isinstance(here.memory, Estimate) and here.memory.value > 2**30
    joined = this_machine(Resources(address="auto", trial_gpus=1))
    assert (joined.cores, joined.gpus) == (None, None)
    assert isinstance(joined.memory, Unknown) and "set resources.device_memory_gib" in joined.memory.reason
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert this_machine(Resources()) == this_machine(Resources(address="auto"))


def test_hidden_gpus_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = this_machine(Resources(generator_gpus=1))
    assert found.gpus == 0


def test_run_refuses_all_at_once_and_starts_nothing(tmp_path: Path) -> None:
    methods = {"frozen": {"kind": "frozen"}, "mine": {"kind": "lora"}, "all": {"kind": "full"}}
    asked = {"trial_cpus": CORES + 1, "full_workers": CORES + 1, "generator_cpus": CORES + 2}
    study = make_study(tmp_path, methods=methods, resources=asked)
    with pytest.raises(DoesNotFit) as caught:
        run_study(*opened(study))
    first, *rest = str(caught.value).splitlines()
    assert first == "nothing was started, since not all of the study fits:"
    assert sorted(line.split()[0] + " " + line.split()[2] for line in rest) == [
        f"resources.full_workers {CORES + 1}",
        f"resources.generator_cpus {CORES + 2},",
        f"resources.trial_cpus {CORES + 1},",
    ]
    assert not (tmp_path / "runs").exists()
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()


def test_search_that_could_never_start_is_refused_and_said_in_the_plan(tmp_path: Path) -> None:
    search = {"space": {"lora.rank": {"grid": [2, 4]}}, "num_trials": 1}
    study = make_study(
        tmp_path,
        methods={"tuned": {"kind": "lora", "search": search}},
        training={"max_steps": 4, "validate_every": 2},
        resources={"trial_cpus": CORES + 1},
    )
    with pytest.raises(DoesNotFit, match=rf"resources.trial_cpus is {CORES + 1},"):
        run_study(*opened(study))
    assert not (tmp_path / "runs").exists()
    assert any(
        f"not on this machine: resources.trial_cpus is {CORES + 1}," in note for note in plan_study(*opened(study))[1]
    )


def test_what_is_done_is_not_refused(tmp_path: Path) -> None:
    asked = {"trial_cpus": CORES + 1, "full_workers": CORES + 1, "generator_cpus": CORES + 1}
    study = make_study(tmp_path, methods={"mine": {"kind": "lora"}}, resources=asked)
    (trial,), ledger = expand(study).trials, ledger_of(study)
    named = [[text.split()[0] for text in p.asks_too_much] for p in plan_study(*opened(study))[0]]
    assert named == [["resources.trial_cpus", "resources.generator_cpus"]]
    finish_training(ledger, trial)
    assert [text.split()[0] for text in plan_study(*opened(study))[0][0].refusals(here=True)] == [
        "resources.generator_cpus"
    ]
    commit(ledger, trial, "generate", files={"completions.jsonl": ""})
    (found,) = plan_study(*opened(study))[0]
    assert (found.due, found.refusals(here=True)) == (("execute", "score"), ())
    refuse_what_does_not_fit([found])


def test_plan_shows_each_refusal_once_and_as_json_with_each_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path, seeds=[0, 1], methods={"mine": {"kind": "lora"}}, resources={"trial_cpus": 3})
    found = plan(expand(study).trials, ledger_of(study), resources=study.resources, machine=TWO_CORES)
    print_plan(found)
    text = f"resources.trial_cpus is 3, and this machine has 2 cores; set it to 2 at most, {OR}"
    assert " ".join(capsys.readouterr().out.split()).count(f"not on this machine: {text}") == 1
    told = plan_as_json(found)["trials"]
    assert [(trial["refusal"], trial["refused_here"]) for trial in told] == [("", [text]), ("", [text])]
    # A plan may be for another machine.
    refuse_what_does_not_fit(found, here=False)
