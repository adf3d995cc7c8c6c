"""The shipped cluster file by Ray's own launcher against a mocked AWS: what would be asked for, node by node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws

ROOT = Path(__file__).resolve().parents[3]
REGION = "us-west-2"


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with the two profiles of docs/cluster.md, and a home for the key that Ray makes."""
    for name, value in {
        "HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "mocked", "AWS_SECRET_ACCESS_KEY": "mocked",
        "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        iam = boto3.client("iam")
        for name in ("polytune-head", "polytune-worker"):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        yield


@pytest.mark.slow
def test_every_node_is_asked_for_with_its_own_profile_and_ray_makes_no_role_of_its_own(aws: None) -> None:
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler.tags import TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

    ec2 = boto3.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text().replace("FILL_IN_IMAGE_ID", image))
    config: dict[str, Any] = _bootstrap_config(config, no_config_cache=True)
    provider = _get_node_provider(config["provider"], config["cluster_name"])
    for name, kind in config["available_node_types"].items():
        tags = {TAG_RAY_NODE_KIND: "head" if name == "head" else "worker", TAG_RAY_USER_NODE_TYPE: name}
        provider.create_node(kind["node_config"], {**tags, TAG_RAY_LAUNCH_CONFIG: name}, 1)
    asked = {}
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            tag = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}[TAG_RAY_USER_NODE_TYPE]
            profile = instance.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2]
            asked[tag] = (instance["InstanceType"], profile)
    assert asked == {
        "head": ("m6i.2xlarge", "polytune-head"),
        "gpu-24gb": ("g5.xlarge", "polytune-worker"),
        "gpu-48gb": ("g6e.xlarge", "polytune-worker"),
    }
    assert [role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"] if "ray" in role["RoleName"]] == []
