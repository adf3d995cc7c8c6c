"""The caller's end of what a cluster's head is asked for: an ssh connection that carries a request.

One decision: ssh is started by us and not by `ray exec`, which would ask for a terminal at the other end: that echoes
what it reads, and what is sent here may be secret. Ray is asked where the head is and how it is reached.
"""

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestrator.commands.options import ON_HEAD
from orchestrator.commands.request import Request
from orchestrator.errors import PolytuneError

# What ssh itself ends with when a connection is lost or was never made, and a shell when there is no such command.
_NO_CONNECTION, _NO_COMMAND = 255, 127


def ask_head(cluster: Path, request: Request, *, project: str, folder: Path) -> int:
    """Give a request to the head of a running cluster and wait for its end; returns the exit status.

    Ctrl-C asks the head to stop, and a second one leaves it to that.

    Args:
        cluster: The cluster file.
        request: What is asked for.
        project: The folder on the head that it is asked in.
        folder: Where the paths of the cluster file are relative to.

    Raises:
        PolytuneError: if the head cannot be reached, or the connection is lost.
    """
    command = [*_ssh(cluster, folder), _on_head(project, _container(cluster))]
    shown = request.model_copy(update={"environment": request.environment | _terminal()})
    with _interrupts_held_back():
        ssh = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert ssh.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        ssh.stdin.write(shown.model_dump_json().encode() + b"\n")
        ssh.stdin.flush()
    status = _wait(ssh)
    if status == _NO_CONNECTION:
        raise PolytuneError(_lost(cluster, request))
    if status == _NO_COMMAND:
        raise PolytuneError(
            "the head has no command `polytune` on the PATH of a login shell; install it there, and add its folder to "
            "PATH in the head's ~/.bashrc"
        )
    return status


def _wait(ssh: "subprocess.Popen[bytes]") -> int:
    try:
        return ssh.wait()
    except KeyboardInterrupt:
        assert ssh.stdin is not None
        ssh.stdin.close()
        sys.stderr.write("polytune: asked the head to stop; Ctrl-C again to wait no longer\n")
    try:
        return ssh.wait()
    except KeyboardInterrupt:
        ssh.kill()
        raise


def _lost(cluster: Path, request: Request) -> str:
    again = f"`polytune status {request.name} --cluster {cluster}` tells how far it is"
    if request.command != "run":
        return f"the head of {cluster} cannot be reached; see by `ray up {cluster}` that it runs"
    if request.detach:
        return f"the connection to the head was lost; if the study had begun it goes on: {again}"
    return (
        f"the connection to the head was lost, and with it the study stops; what was finished is in the ledger. Where "
        f"the head is gone, `ray up {cluster}` brings it back; the same submit goes on, with --detach whatever becomes "
        f"of the connection; {again}"
    )


def _terminal() -> dict[str, str]:
    """What makes the head draw for the terminal here, if there is one: rich asks these variables."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        return {}
    size = os.get_terminal_size(sys.stderr.fileno())
    shape = {"COLUMNS": str(size.columns), "LINES": str(size.lines)}
    return {"TTY_COMPATIBLE": "1", "TERM": os.environ.get("TERM", "dumb"), **shape}


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process that is started meanwhile ignores Ctrl-C, so that the connection outlives the first one."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _on_head(project: str, container: str) -> str:
    """What the head's shell is given: a login shell with ~/.bashrc, as by `ray exec`, less the shell's remarks."""
    inner = f"[ -f ~/.bashrc ] && . ~/.bashrc; exec 2>&3 3>&-; mkdir -p {project} && cd {project} && exec polytune"
    return f"{container}bash --login -i -c {shlex.quote(f'{inner} {ON_HEAD}')} 3>&2 2>/dev/null"


def _container(cluster: Path) -> str:
    docker = yaml.safe_load(cluster.read_text(encoding="utf-8")).get("docker") or {}
    if not docker.get("container_name"):
        return ""
    return f"{'podman' if docker.get('use_podman') else 'docker'} exec -i {docker['container_name']} "


def _ssh(cluster: Path, folder: Path) -> list[str]:
    """The command line that reaches the head, without what is to run there.

    Raises:
        PolytuneError: if no head runs, as far as Ray knows.
    """
    from ray.autoscaler._private import command_runner, commands

    launcher: Any = commands
    runners: Any = command_runner

    # Ray tells what it loads, where the head's answer is to stand.
    logging.disable(logging.INFO)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere), _inside(folder):
        try:
            config = launcher._bootstrap_config(yaml.safe_load(cluster.read_text(encoding="utf-8")))
            provider = launcher._get_node_provider(config["provider"], config["cluster_name"])
            head = launcher._get_running_head_node(config, str(cluster), None, _allow_uninitialized_state=True)
            runner: Any = provider.get_command_runner(
                log_prefix="",
                node_id=head,
                auth_config=config["auth"],
                cluster_name=config["cluster_name"],
                process_runner=subprocess,
                use_internal_ip=config["provider"].get("use_internal_ips", False),
                docker_config=config.get("docker"),
            )
            shell = runner.ssh_command_runner if isinstance(runner, runners.DockerCommandRunner) else runner
            # Without Ray's shared connection: a master of it in the background would hold our standard error open.
            options = runners.SSHOptions(shell.ssh_private_key, None, ProxyCommand=shell.ssh_proxy_command)
            quiet = ["-o", "LogLevel=ERROR"]
            return [
                "ssh",
                *quiet,
                *options.to_ssh_options_list(timeout=30),
                f"{shell.ssh_user}@{shell._get_ssh_target()}",
            ]
        except RuntimeError as error:
            raise PolytuneError(
                f"no head of {cluster} runs, as far as Ray knows here ({error}); start it by `ray up {cluster}`"
            ) from error
        finally:
            logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def send(commands: Sequence[Sequence[str]], *, folder: Path) -> None:
    """Run `ray` command lines one after the other, and show what one printed only if it failed.

    Raises:
        PolytuneError: at the first that fails.
    """
    # Ray is installed beside Python.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    for command in commands:
        sys.stderr.write(f"$ {shlex.join(command)}\n")
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode:
            sys.stderr.write(done.stdout)
            raise PolytuneError(f"`{shlex.join(command[:2])}` failed, see above; is the cluster up, by `ray up`?")


__all__ = ["ask_head", "send"]
