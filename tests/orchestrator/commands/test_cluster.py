"""Cluster files against Ray's schema and our rules, and the commands of a submission against Ray's own parser."""

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.commands.clusterfile import check, submit_command
from orchestrator.errors import StudyError

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


def test_nodes_that_nothing_installs_on_are_refused(save: Save) -> None:
    assert "nothing installs Polytune" in told(save(lambda config: config.pop("setup_commands")))


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


def _study(folder: Path, text: str = STUDY) -> Path:
    (folder / "sets").mkdir()
    (folder / "sets" / "own.jsonl").write_text("{}\n")
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_submission_sends_code_study_and_data_and_runs_on_the_shared_folder(save: Save, tmp_path: Path) -> None:
    study, cluster = _study(tmp_path), save(lambda config: None)
    commands = submit_command(study, cluster, changes=[f"data.root={tmp_path}", "seeds=[1, 2]"])
    assert [command[:2] for command in commands] == [
        ["ray", "rsync-up"], ["ray", "exec"], ["ray", "rsync-up"], ["ray", "rsync-up"], ["ray", "exec"],
    ]  # fmt: skip
    assert all(command[2] == str(cluster) for command in commands)
    assert commands[1][3] == "cd ~/polytune && mkdir -p data/sets studies"
    assert commands[2][3:] == [str(study), "~/polytune/studies/small.yaml"]
    assert commands[3][3:] == [str(tmp_path / "sets" / "own.jsonl"), "~/polytune/data/sets/own.jsonl"]
    assert commands[4][3] == (
        "cd ~/polytune && polytune run studies/small.yaml --set 'seeds=[1, 2]' "
        "--set resources.address=auto --set data.root=data"
    )


def test_folders_are_sent_with_the_slash_that_rsync_wants(save: Save, tmp_path: Path) -> None:
    study = _study(tmp_path, STUDY.replace("sets/own.jsonl", "sets"))
    sent = submit_command(study, save(lambda config: None), changes=[f"data.root={tmp_path}"])[3]
    assert sent[3:] == [f"{tmp_path / 'sets'}/", "~/polytune/data/sets/"]


def test_ray_understands_every_command_of_a_submission(save: Save, tmp_path: Path) -> None:
    from ray.scripts.scripts import cli

    study, cluster = _study(tmp_path), save(lambda config: None)
    for _, name, *arguments in submit_command(study, cluster, changes=[f"data.root={tmp_path}"]):
        context = cli.commands[name].make_context(name, copy.copy(arguments))
        assert context.params["cluster_config_file"] == str(cluster)


def test_what_nodes_could_not_see_is_refused(save: Save, tmp_path: Path) -> None:
    study, cluster = _study(tmp_path), save(lambda config: None)
    with pytest.raises(StudyError, match=r"sets/own\.jsonl is not there below data\.root"):
        submit_command(study, cluster, changes=[f"data.root={tmp_path / 'sets'}"])
    outside = [f"data.root={tmp_path / 'sets'}", "tasks.generation/python.test.path=../small.yaml"]
    with pytest.raises(StudyError, match=r"lies outside data\.root"):
        submit_command(study, cluster, changes=outside)
    local_model = [f"data.root={tmp_path}", f"models=[{tmp_path}]"]
    with pytest.raises(StudyError, match="folder on this machine"):
        submit_command(study, cluster, changes=local_model)
