"""Cluster files against Ray's schema and our rules, and the commands of a submission against Ray's own parser."""

import copy
import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_studies import raw_study

from orchestrator.commands.clusterfile import check
from orchestrator.commands.submission import submission_of
from orchestrator.errors import StudyError
from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import validate

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "cluster.yaml"
Config = dict[str, Any]
Save = Callable[[Callable[[Config], object]], Path]

STUDY = """
study: small
models: [builtin:micro]
tasks:
  generation/python:
    train: micro
    test: {reader: jsonl, path: sets/own.jsonl, split: test}
  summarization/python: {train: micro, test: micro}
methods:
  lora: {kind: lora, training: {max_steps: 2}}
"""


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes the shipped file, filled in, after a change to it."""

    def write(change: Callable[[Config], object]) -> Path:
        config = yaml.safe_load(SHIPPED.read_text().replace("FILL_IN_IMAGE_ID", "ami-0123456789abcdef0"))
        config["file_mounts"] = {remote: str(ROOT / local) for remote, local in config["file_mounts"].items()}
        change(config)
        path = tmp_path / "cluster.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path

    return write


def told(path: Path) -> str:
    return "\n".join(map(str, check(path)))


def test_shipped_file_lacks_nothing_but_the_image(save: Save) -> None:
    (fault,) = check(SHIPPED)
    assert (fault.where, "FILL_IN_IMAGE_ID" in fault.message) == ("metadata.image", True)
    assert "FILL_IN_IMAGE_ID" in SHIPPED.read_text().splitlines()[(fault.line or 0) - 1]
    assert check(save(lambda config: None)) == ()


def test_shell_commands_of_the_shipped_file_are_shell() -> None:
    config = yaml.safe_load(SHIPPED.read_text())
    commands = [command for key, value in config.items() if key.endswith("_commands") for command in value]
    assert len(commands) > 8
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True, timeout=10)


def test_all_schema_faults_are_told_at_once(save: Save) -> None:
    def spoil(config: Config) -> None:
        config["max_workers"] = "four"
        config["max_worker"] = 4
        config["available_node_types"]["head"]["resources"]["trial"] = "many"

    text = told(save(spoil))
    assert "'four' is not of type 'integer'" in text
    assert "max_worker" in text
    assert "available_node_types.head.resources.trial: 'many'" in text


def test_what_ray_refuses_beyond_its_schema_is_told(save: Save) -> None:
    assert "`head_node_type` must be one of" in told(save(lambda c: c.update(head_node_type="heat")))
    assert "Unsupported node provider: awz" in told(save(lambda c: c["provider"].update(type="awz")))


def test_head_without_the_coordinators_resource_is_refused(save: Save) -> None:
    path = save(lambda config: config["available_node_types"]["head"]["resources"].pop("trial"))
    (fault,) = check(path)
    assert fault.where == "available_node_types.head.resources"
    assert "add trial: 1000" in fault.message
    assert path.read_text().splitlines()[(fault.line or 0) - 1].strip() == "resources:"


def test_worker_counts_that_cannot_be_meant_are_refused(save: Save) -> None:
    def gpu(config: Config) -> Config:
        kind: Config = config["available_node_types"]["gpu-24gb"]
        return kind

    assert "must not exceed max_workers, 1, got 2" in told(save(lambda c: gpu(c).update(min_workers=2, max_workers=1)))
    assert "at least 0, got -1" in told(save(lambda config: gpu(config).update(min_workers=-1)))
    assert "no worker can ever start" in told(save(lambda config: gpu(config).update(max_workers=0)))


def test_mounts_must_be_there_and_ship_all_packages_to_one_place(save: Save) -> None:
    assert "nowhere is not there" in told(save(lambda c: c["file_mounts"].update({"~/more": "nowhere"})))
    assert "tasks would not reach the nodes" in told(save(lambda c: c["file_mounts"].pop("~/polytune/tasks")))

    def elsewhere(config: Config) -> None:
        config["file_mounts"]["~/other/tasks"] = config["file_mounts"].pop("~/polytune/tasks")

    assert "tasks in ~/other" in told(save(elsewhere))
    assert told(save(lambda config: config.update(file_mounts={"~/polytune": str(ROOT)}))) == ""


def test_nodes_that_ray_would_install_its_own_ray_on_are_refused(save: Save) -> None:
    assert "nothing installs Polytune" in told(save(lambda config: config.pop("setup_commands")))


def test_nodes_that_are_prepared_already_need_no_set_up_and_no_mounts(save: Save) -> None:
    def prepared(config: Config) -> None:
        config.update(setup_commands=[], worker_setup_commands=[], file_mounts={})

    assert told(save(prepared)) == ""

    def on_prem(config: Config) -> None:
        prepared(config)
        for key in ("available_node_types", "head_node_type", "max_workers", "setup_commands"):
            del config[key]
        config["provider"] = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2"]}
        config["head_start_ray_commands"] = ["ray start --head --resources='{\"trial\": 1000}'"]

    assert told(save(on_prem)) == ""


def test_ledger_is_not_put_on_a_bucket(save: Save) -> None:
    def mount(config: Config) -> None:
        config["worker_start_ray_commands"][0] = "mount-s3 my-bucket ~/polytune/runs"

    text = told(save(mount))
    assert "mount-s3 mounts a bucket, which has no hard links" in text
    assert "nothing mounts a file system that all nodes see" in told(
        save(lambda c: c["worker_start_ray_commands"].pop(0))
    )


def test_rays_outdated_default_image_is_refused(save: Save) -> None:
    path = save(lambda config: config["available_node_types"]["head"]["node_config"].pop("ImageId"))
    assert "ImageId is missing" in told(path)


def test_local_cluster_may_give_the_resource_in_its_start_command(save: Save) -> None:
    def local(config: Config) -> None:
        for key in ("available_node_types", "head_node_type", "max_workers"):
            del config[key]
        config["provider"] = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2"]}

    assert "no custom resource `trial`" in told(save(local))

    def local_with_resource(config: Config) -> None:
        local(config)
        config["head_start_ray_commands"] = ["ray start --head --resources='{\"trial\": 1000}'"]

    assert told(save(local_with_resource)) == ""


def test_files_that_are_no_cluster_files_are_named(tmp_path: Path) -> None:
    assert "No such file" in told(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("cluster_name: [a\n")
    assert "no YAML" in told(broken)
    broken.write_text("- a\n")
    assert "a mapping" in told(broken)
    broken.write_text("cluster_name: a\n")
    assert "'provider' is a required property" in told(broken)


def _check_with(study: dict[str, Any], path: Path) -> str:
    return "\n".join(map(str, check(path, validate(plain_form(raw_study(**study))))))


def test_workers_without_a_profile_are_refused_a_bucket(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    bucket = {"storage": "s3://mine/runs"}
    assert _check_with(bucket, save(lambda config: None)) == ""

    def bare(config: Config) -> None:
        del config["available_node_types"]["gpu-24gb"]["node_config"]["IamInstanceProfile"]

    said = _check_with(bucket, save(bare))
    assert "available_node_types.gpu-24gb.node_config: storage is s3://mine/runs, and workers of this type" in said
    assert "gpu-48gb" not in said and "add IamInstanceProfile" in said
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "carried along")
    assert _check_with(bucket, save(bare)) == ""


def test_relative_storage_needs_a_folder_that_nodes_share(save: Save) -> None:
    def on_prem(config: Config) -> None:
        for key in ("available_node_types", "head_node_type", "max_workers"):
            del config[key]
        config["provider"] = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2"]}
        config["head_start_ray_commands"] = ["ray start --head --resources='{\"trial\": 1000}'"]
        config["worker_start_ray_commands"] = ["ray stop"]

    said = _check_with({"storage": "runs"}, save(on_prem))
    assert "storage is runs, which each node would have on a disk of its own" in said
    for storage in ("/shared/runs", "s3://mine/runs"):
        assert _check_with({"storage": storage}, save(on_prem)) == ""
    assert _check_with({"storage": "runs"}, save(lambda config: None)) == ""


def test_packages_of_nodes_are_pinned_to_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["gpu"])]
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))
    pinned = {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}
    for requirement in (*asked, Requirement("boto3"), Requirement("aiohttp-cors")):  # the last is of ray[default]
        (pin,) = pinned[canonicalize_name(requirement.name)]
        assert pin.operator == "==" and requirement.specifier.contains(pin.version), str(requirement)
    config = yaml.safe_load(SHIPPED.read_text())
    installs = [command for command in config["setup_commands"] if "pip install" in command]
    assert len(installs) == 1 and "--constraint ~/polytune/constraints.txt" in installs[0]
    assert config["file_mounts"]["~/polytune/constraints.txt"] == "constraints.txt"


@pytest.mark.parametrize(("driver", "status"), [("580.95.05", 0), ("591.1", 0), ("570.172.08", 1), ("", 1)])
def test_driver_is_checked_last_and_fails_loudly(driver: str, status: int, tmp_path: Path) -> None:
    command, uses_gpu = yaml.safe_load(SHIPPED.read_text())["worker_setup_commands"]
    assert 'torch.zeros(1, device="cuda")' in uses_gpu
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho {driver}\n" if driver else "#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    # As Ray gives it to a shell: in brackets, behind other words.
    done = subprocess.run(
        ["bash", "-c", f"true && ({command})"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    assert done.returncode == status
    assert ("needs 580 or newer" in done.stderr) == bool(status)


def _study(folder: Path, text: str = STUDY) -> Path:
    (folder / "sets").mkdir()
    (folder / "sets" / "own.jsonl").write_text("{}\n")
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_submission_sends_code_and_data_by_rsync_and_all_else_as_a_request(save: Save, tmp_path: Path) -> None:
    study, cluster = _study(tmp_path), save(lambda config: None)
    found = submission_of(study, cluster, changes=[f"data.root={tmp_path}", "seeds=[1, 2]"], environment={})
    assert [command[:2] for command in found.commands] == [("ray", "rsync-up"), ("ray", "exec"), ("ray", "rsync-up")]
    assert all(command[2] == str(cluster) for command in found.commands)
    assert found.commands[1][3] == "mkdir -p ~/polytune && cd ~/polytune && mkdir -p data/sets"
    assert found.commands[2][3:] == (str(tmp_path / "sets" / "own.jsonl"), "~/polytune/data/sets/own.jsonl")
    assert found.request.arguments == [
        "run", "studies/small.yaml", "--set", "seeds=[1, 2]", "--set", "resources.address=auto",
        "--set", "data.root=data",
    ]  # fmt: skip
    assert found.request.files == {"studies/small.yaml": STUDY}


def test_submission_carries_what_the_study_needs_of_the_environment_and_nothing_else(
    save: Save, tmp_path: Path
) -> None:
    study, cluster = _study(tmp_path), save(lambda config: None)
    here = {
        "HF_TOKEN": "hf_mine", "MLFLOW_TRACKING_URI": "http://head:5000", "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "of a cloud", "GITHUB_TOKEN": "another's", "HOME": "/home/me",
    }  # fmt: skip
    root = f"data.root={tmp_path}"
    on_disk = submission_of(study, cluster, changes=[root], environment=here)
    assert set(on_disk.request.environment) == {"HF_TOKEN", "MLFLOW_TRACKING_URI"}
    in_bucket = submission_of(study, cluster, changes=[root, "storage=s3://mine/runs"], environment=here)
    assert set(in_bucket.request.environment) == {
        "HF_TOKEN", "MLFLOW_TRACKING_URI", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    }  # fmt: skip
    # What another user of a machine may read of a process holds none of it.
    lines = json.dumps([*in_bucket.commands, in_bucket.request.arguments])
    assert "hf_mine" not in lines and "of a cloud" not in lines


def test_folders_are_sent_with_the_slash_that_rsync_wants(save: Save, tmp_path: Path) -> None:
    study = _study(tmp_path, STUDY.replace("sets/own.jsonl", "sets"))
    sent = submission_of(study, save(lambda config: None), changes=[f"data.root={tmp_path}"]).commands[2]
    assert sent[3:] == (f"{tmp_path / 'sets'}/", "~/polytune/data/sets/")


def test_ray_understands_every_command_of_a_submission(save: Save, tmp_path: Path) -> None:
    from ray.scripts.scripts import cli

    study, cluster = _study(tmp_path), save(lambda config: None)
    for _, name, *arguments in submission_of(study, cluster, changes=[f"data.root={tmp_path}"]).commands:
        context = cli.commands[name].make_context(name, copy.copy(arguments))
        assert context.params["cluster_config_file"] == str(cluster)


def test_what_nodes_could_not_see_is_refused(save: Save, tmp_path: Path) -> None:
    study, cluster = _study(tmp_path), save(lambda config: None)
    with pytest.raises(StudyError, match=r"sets/own\.jsonl is not there below data\.root"):
        submission_of(study, cluster, changes=[f"data.root={tmp_path / 'sets'}"])
    outside = [f"data.root={tmp_path / 'sets'}", "tasks.generation/python.test.path=../small.yaml"]
    with pytest.raises(StudyError, match=r"lies outside data\.root"):
        submission_of(study, cluster, changes=outside)
    local_model = [f"data.root={tmp_path}", f"models=[{tmp_path}]"]
    with pytest.raises(StudyError, match="folder on this machine"):
        submission_of(study, cluster, changes=local_model)
