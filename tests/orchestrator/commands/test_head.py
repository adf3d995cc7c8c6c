"""What a cluster's head is reached and asked by, with real shells and Ray's own reading of a cluster file."""

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.commands.head import _lost, _on_head, ask_head
from orchestrator.commands.request import Request
from orchestrator.commands.submission import about
from orchestrator.errors import PolytuneError

REQUEST = Request(command="run", study="studies/mine.yaml", name="mine")


def test_command_on_the_head_is_polytune_of_a_login_shell_in_the_projects_folder(tmp_path: Path) -> None:
    tool = tmp_path / "tools" / "polytune"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$PWD $*"; cat; echo a word >&2\n')
    tool.chmod(0o755)
    # As Ubuntu has it: whoever is not interactive reads no further.
    (tmp_path / ".bashrc").write_text(f'case $- in *i*) ;; *) return;; esac\nexport PATH="{tool.parent}:$PATH"\n')
    done = subprocess.run(
        ["sh", "-c", _on_head("~/polytune", "")], input="a line that may be secret\n", capture_output=True, text=True,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, check=False, timeout=30, start_new_session=True,
    )  # fmt: skip
    assert done.stdout == f"{tmp_path}/polytune on-head\na line that may be secret\n"
    assert done.stderr == "a word\n", "the shell's own remarks are none of the study's"
    tool.unlink()
    absent = subprocess.run(
        ["sh", "-c", _on_head("~/polytune", "")], input="", capture_output=True, text=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, check=False, timeout=30, start_new_session=True,
    )  # fmt: skip
    assert absent.returncode == 127


def test_cluster_without_a_head_is_told_in_one_line(tmp_path: Path) -> None:
    cluster = tmp_path / "mine.yaml"
    cluster.write_text(
        "cluster_name: never-started\nprovider: {type: local, head_ip: 10.255.255.1, worker_ips: []}\n"
        "auth: {ssh_user: nobody}\n"
    )
    with pytest.raises(PolytuneError, match=r"no head of .*mine\.yaml runs, as far as Ray knows here .*`ray up"):
        ask_head(cluster, REQUEST, project="~/polytune", folder=tmp_path)


def test_lost_connection_says_what_became_of_the_study() -> None:
    cluster = Path("c.yaml")
    assert "with it the study stops" in _lost(cluster, REQUEST)
    assert "it goes on: `polytune status mine" in _lost(cluster, REQUEST.model_copy(update={"detach": True}))
    assert "cannot be reached" in _lost(cluster, about("status", "mine"))


def test_question_about_a_study_in_a_bucket_takes_the_buckets_keys_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    named = about("logs", "s3://mine/runs/small", options=("--trial", "a/b"))
    assert (named.name, named.environment["AWS_ACCESS_KEY_ID"]) == ("small", "mine")
    assert named.arguments == ["logs", "s3://mine/runs/small", "--trial", "a/b"]
    assert "AWS_ACCESS_KEY_ID" not in about("status", "small").environment
