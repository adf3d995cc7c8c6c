"""The warm process that every candidate is a fork of: it confines the fork, and cleans up after it.

One decision: it never sees a program or a test. What it is told is how to start (a fork that stays
Python, or one that executes another runtime) and under which limits; what a candidate reads comes
through the candidate's own connection, after the fork. So nothing of one sample can reach the next.

    keeper -> zygote (process 1 of its own namespaces under `strict`) -> candidate (process 1 of its own)
"""

import contextlib
import ctypes
import fcntl
import gc
import json
import math
import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn

from evaluators.isolation import kernel, landlock, python_candidate, seccomp, view
from evaluators.isolation.processes import threads_of_user

_CONNECTION_FD = 3
_FIRST_KEPT_FD = 10  # out of the way of a candidate's own descriptors
_MAX_FILES, _MAX_PROCESSES, _FAR_MORE_PROCESSES = 256, 128, 1024
_LONGEST_REQUEST = 65536
_STDERR_ENDS = 1000
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
PRELOADED = (
    "abc array base64 bisect calendar cmath collections contextlib copy dataclasses datetime decimal enum fractions "
    "functools hashlib heapq io itertools json math operator os queue random re statistics string struct sys "
    "textwrap threading time types typing uuid"
)


class Zygote:
    """One warm process of one kind: `fork` for Python, `exec` for the others."""

    def __init__(self, settings: dict[str, Any], control: socket.socket) -> None:
        """Enter the isolation class; raises OSError where the kernel refuses."""
        self._settings, self._control = settings, control
        self._class: str = settings["isolation"]
        self._namespace: int | None = None
        self._folder: str = settings["work"]
        self._lone = False
        if self._class == "strict":
            size = settings["work_bytes"]
            self._namespace = view.enter(
                readable=settings["readable"], root=settings["work"], work_bytes=size, proc=settings["proc"]
            )
            self._folder = view.WORK
        elif os.getuid() == 0 and self._class == "landlock":
            self._drop_root()
        # Counted for the whole user where the user is not a namespace's own: there no more than a wall far away,
        # because others of his may start meanwhile. The keeper looks after the exact number, but on a busy
        # machine a program that forks without end had 32,000 processes before it came to look.
        self._most_processes = _MAX_PROCESSES if self._class == "strict" else threads_of_user() + _FAR_MORE_PROCESSES
        self._box = f"{self._folder}/box"
        self._make_box()
        self._filter: seccomp.Filter | None = None
        self._rules: int | None = None
        self._kept_steps: tuple[dict[str, Any], kernel.Steps] | None = None
        if self._class != "none":
            self._prepare_walls()

    def _drop_root(self) -> None:
        """Become nobody if that user reaches the interpreter, whose modules are still to be imported."""
        os.chown(self._folder, view.NOBODY, view.NOBODY)
        os.setegid(view.NOBODY)
        os.seteuid(view.NOBODY)
        reachable = all(os.access(p, os.X_OK, effective_ids=True) for p in self._settings["reached"])
        os.seteuid(0)
        os.setegid(0)
        if reachable:
            view.become_nobody()
        else:
            os.chown(self._folder, 0, 0)
            self._lone = True  # the kernel counts no processes of root's

    def _prepare_walls(self) -> None:
        if landlock.version() == 0:
            raise OSError("this kernel has no Landlock (Linux 5.13, and `landlock` among the modules at boot)")
        kernel.bound_capabilities()
        if not self._settings["proc"]:
            self._rules = self._keep_rules()
        own_signals = self._class == "strict" or landlock.scopes_signals()
        if own_signals:
            self._filter = self._compile_filter(None)

    @property
    def _is_prepared(self) -> bool:
        """Whether rules and filter are the same for every candidate."""
        return self._rules is not None and self._filter is not None

    def _compile_filter(self, signals_only_to: int | None) -> seccomp.Filter:
        strict = self._class == "strict"
        return seccomp.compile_filter(
            processes=not self._lone, signals_only_to=signals_only_to, keeps_attributes=not strict
        )

    def _keep_rules(self) -> int:
        """Rules for all candidates to come, in place of those there were."""
        rules = self._make_rules()
        try:
            if self._rules is None:
                return fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, _FIRST_KEPT_FD)
            return os.dup2(rules, self._rules, inheritable=False)
        finally:
            os.close(rules)

    def _make_rules(self, *more: str) -> int:
        readable = [*self._settings["readable"], *more]
        return landlock.make_ruleset(readable=readable, writable=[self._box], devices=_DEVICES)

    def serve(self) -> None:
        """Answer requests until the keeper is gone."""
        while True:
            message, fds, _, _ = socket.recv_fds(self._control, _LONGEST_REQUEST, 1)
            if not message:
                return
            self._start(json.loads(message), fds[0])

    def _start(self, request: dict[str, Any], connection: int) -> None:
        """Start one candidate, wait for the keeper's word that it is over, and tell how it ended."""
        try:
            outputs = self._open_outputs()
            steps = self._steps(request["limits"])
            if self._namespace is not None:
                view.new_process_namespace(self._namespace)
            candidate = os.fork()
        except OSError as fault:
            os.close(connection)
            self._say({"fault": f"{fault}"})
            self._wipe()
            return
        if candidate == 0:
            self._become(request, connection, outputs, steps)
        os.close(connection)  # or its end would not be seen
        handle = os.pidfd_open(candidate)
        socket.send_fds(self._control, [b"{}"], [handle])
        os.close(handle)
        self._control.recv(1)
        self._say(self._end(candidate, outputs))
        self._wipe()

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(message).encode())

    def _become(self, request: dict[str, Any], connection: int, outputs: list[int], steps: kernel.Steps) -> NoReturn:
        try:
            executes = "argv" in request
            _arrange_descriptors(connection, outputs, executes=executes, kept=self._rules)
            os.chdir(self._box)
            if self._class == "strict" and self._settings["proc"]:
                view.mount_proc()
            steps.take()
            if self._class != "none" and not self._is_prepared:
                walls = kernel.Steps()
                self._add_walls(walls, own=os.getpid())
                walls.take()
            if executes:
                os.execve(request["argv"][0], request["argv"], request["env"])
            gc.enable()
            python_candidate.run(_CONNECTION_FD)
        except BaseException as fault:
            with contextlib.suppress(BaseException):
                os.write(2, f"{type(fault).__name__}: {fault}".encode())
        finally:
            os._exit(0)

    def _steps(self, limits: dict[str, Any]) -> kernel.Steps:
        """What a fork does first; those of the last limits are kept, as most candidates have the same."""
        if self._kept_steps is None or self._kept_steps[0] != limits:
            steps = kernel.Steps()
            steps.add("setsid")
            steps.add("prctl", kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            _limit_resources(steps, limits, most_processes=self._most_processes)
            steps.add("prctl", kernel.PR_SET_NO_NEW_PRIVS, 1)
            if self._class != "none" and self._is_prepared:
                self._add_walls(steps)
            self._kept_steps = limits, steps
        return self._kept_steps[1]

    def _add_walls(self, steps: kernel.Steps, *, own: int | None = None) -> None:
        """Add what holds for good: the kept rules and filter or, where there are none, those of the process `own`."""
        steps.add_dropping_capabilities()
        landlock.add_step(steps, self._make_rules(f"/proc/{own}") if self._rules is None else self._rules)
        seccomp.add_step(steps, self._filter or self._compile_filter(own))

    def _make_box(self) -> None:
        """Make the folder that candidates work in, which stays, so that its rules stay true."""
        os.mkdir(self._box, 0o700)
        self._box_fd = os.open(self._box, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _open_outputs(self) -> list[int]:
        """Files without a name for what a candidate prints."""
        outputs = []
        for name in ("stdout", "stderr"):
            path = f"{self._folder}/{name}"
            outputs.append(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600))
            os.unlink(path)
        return outputs

    def _end(self, candidate: int, outputs: list[int]) -> dict[str, Any]:
        """Kill what is left of a candidate, wait for every process, and describe its end."""
        status, cpu_s = _sweep(candidate)
        sizes = [os.fstat(fd).st_size for fd in outputs]
        said = os.pread(outputs[1], _STDERR_ENDS, 0)
        if sizes[1] > _STDERR_ENDS:
            said += b" ... " + os.pread(outputs[1], _STDERR_ENDS, max(_STDERR_ENDS, sizes[1] - _STDERR_ENDS))
        for fd in outputs:
            os.close(fd)
        return {"status": status, "cpu_s": cpu_s, "stdout_bytes": sizes[0], "stderr": said.decode("utf-8", "replace")}

    def _wipe(self) -> None:
        """Remove what a candidate left, whatever it made of its folder.

        Raises:
            OSError: if that cannot be done, which ends this process: nobody else may find it.
        """
        try:
            os.fchmod(self._box_fd, 0o700)
            _empty(self._box)
        except OSError:
            if self._class != "strict":
                raise
            os.close(self._box_fd)
            kernel.detach(view.WORK)
            view.mount_work(self._settings["work_bytes"])
            self._make_box()
            self._rules = None if self._rules is None else self._keep_rules()


def _empty(top: str) -> None:
    """Remove all that is in a folder; folders within are moved to the top first, so that no depth matters."""
    pending = [top]
    while pending:
        folder = pending.pop()
        for entry in list(os.scandir(folder)):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)  # its owner may have taken his own rights away
            moved = f"{top}/{os.urandom(8).hex()}"
            os.rename(entry.path, moved)
            pending.append(moved)
        if folder != top:
            os.rmdir(folder)


def _arrange_descriptors(connection: int, outputs: list[int], *, executes: bool, kept: int | None) -> None:
    """Leave a candidate its connection, its standard streams and `kept`."""
    if executes:
        os.dup2(connection, 0)
    else:
        os.dup2(connection, _CONNECTION_FD)  # 0 is the null device
    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    first = _CONNECTION_FD if executes else _CONNECTION_FD + 1
    if kept is not None:
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, 1 << 16)


def _limit_resources(steps: kernel.Steps, limits: dict[str, Any], *, most_processes: int) -> None:
    bounds = {
        # For processes that the candidate starts; the keeper's own clock, which is exact, stops the
        # candidate itself. This one counts ticks: on a busy virtual machine it killed at 1.84 s of 2.
        resource.RLIMIT_CPU: math.ceil(1.5 * limits.get("total_cpu_s", limits["cpu_s"])) + 1,
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: _MAX_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: limits.get("address_space_bytes"),
        resource.RLIMIT_DATA: limits.get("data_bytes"),
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_NPROC: most_processes,
    }
    for kind, bound in bounds.items():
        if bound is not None:
            _, hard = resource.getrlimit(kind)
            bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            steps.add("prlimit64", 0, kind, (ctypes.c_uint64 * 2)(bound, bound), 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # its world may hold no encodings
            return [int(word) for word in file.read().split()]
    except OSError:  # no /proc here: a PID namespace ends with its first process
        return []


def _sweep(candidate: int) -> tuple[int, float]:
    """Kill a candidate and all that it left, wait for every one; return its wait status and all CPU seconds."""
    found, cpu_s = 0, 0.0
    ended = os.waitid(os.P_PID, candidate, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(candidate, signal.SIGKILL)
    flags = 0
    while True:
        if flags == 0:  # not for each of thousands that are dead already
            for child in _children():
                os.kill(child, signal.SIGKILL)  # a child of ours stays until it is waited for: the number is its own
        try:
            process, status, usage = os.wait4(-1, flags)
        except ChildProcessError:
            return found, cpu_s
        flags = os.WNOHANG if process else 0
        if process == candidate and ended:  # a death by our own hand says nothing of the program
            found = status
        cpu_s += usage.ru_utime + usage.ru_stime


def main(text: str) -> None:
    """Serve as the zygote that `text`, settings as JSON, describes; the control socket is its standard input."""
    settings = json.loads(text)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    with contextlib.suppress(OSError):
        kernel.write("/proc/self/oom_score_adj", "1000")  # when memory runs out, this goes before anybody's work
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails instead of killing
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    sys.path[:] = [path for path in sys.path if path != settings["code_root"]] + settings["packages"]
    if settings["kind"] == "fork":
        for name in PRELOADED.split():
            __import__(name)
    try:
        zygote = Zygote(settings, control)
    except OSError as refusal:
        control.send(json.dumps({"refused": str(refusal)}).encode())
        return
    control.send(json.dumps({"isolation": settings["isolation"]}).encode())
    gc.disable()
    gc.freeze()
    zygote.serve()
