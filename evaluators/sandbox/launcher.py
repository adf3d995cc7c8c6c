"""The small warm process that starts candidates: it forks, confines, watches, kills and counts.

One decision: a script of its own, which imports nothing of ours and is spoken to in JSON lines. So
the judge, a large process with threads, never forks; and what surrounds a candidate holds no
expected answers. Each candidate has this family:

    launcher (subreaper) -> supervisor (new session, new namespaces) -> candidate (process 1 of its PID namespace)

When the supervisor's session has been killed, whatever a candidate started is dead: the kernel ends
a PID namespace with its first process, and where namespaces are refused the orphans fall to the
launcher, which kills them by name. Linux only.
"""

import contextlib
import ctypes
import json
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NamedTuple, NoReturn

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
_NOBODY = 65534
_INNER_ID = 1000  # not 0: the kernel then drops the namespace's capabilities at exec
_CONTROL_FD = 3
_MAX_FILES, _MAX_PROCESSES = 256, 128
_SHORTEST_WAIT_S = 0.005
_CORES = os.cpu_count() or 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Means(NamedTuple):
    """How candidates can be confined here."""

    namespaces: bool
    drop_root: bool


def _checked(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


def _switch_to_nobody() -> None:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # a change of user hides /proc/self/uid_map from its owner


def _reachable_by_nobody(*paths: str) -> bool:
    os.setegid(_NOBODY)
    os.seteuid(_NOBODY)
    reachable = all(os.access(path, os.X_OK, effective_ids=True) for path in paths)
    os.seteuid(0)
    os.setegid(0)
    return reachable


def _drop_root(executable: str, folder: str) -> None:
    """Give up root for the user nobody, if that user can reach the interpreter and the place of the work folder.

    An interpreter below /root cannot be reached; the candidate then keeps the judge's user.
    """
    if _reachable_by_nobody(executable, os.path.dirname(folder)):
        for path in (folder, *(entry.path for entry in os.scandir(folder))):
            os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
        _switch_to_nobody()


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)  # not `open`, which loads a codec that the user nobody may be unable to read
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _enter_namespaces() -> None:
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{_INNER_ID} {uid} 1")
    _write("/proc/self/gid_map", f"{_INNER_ID} {gid} 1")


def _limit_resources(limits: dict[str, Any], *, own_user_namespace: bool) -> None:
    bounds = {
        # For processes that the candidate starts; the launcher's own clock, which is exact, stops the
        # candidate itself. This one counts ticks: on a busy virtual machine it killed at 1.84 s of 2.
        resource.RLIMIT_CPU: math.ceil(1.5 * limits["cpu_s"]) + 1,
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: _MAX_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: limits["address_space_bytes"],
        resource.RLIMIT_DATA: limits["data_bytes"],
    }
    if own_user_namespace:  # elsewhere it would count all other processes of the same user
        bounds[resource.RLIMIT_NPROC] = _MAX_PROCESSES
    for kind, bound in bounds.items():
        if bound is not None:
            _, hard = resource.getrlimit(kind)
            bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(kind, (bound, bound))


def _exec_candidate(request: dict[str, Any], control: socket.socket) -> NoReturn:
    os.chdir(request["folder"])
    control_fd = os.dup(control.fileno())
    for target, path, flags in ((0, os.devnull, os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        os.dup2(os.open(path, flags | os.O_APPEND), target)
    os.dup2(control_fd, _CONTROL_FD)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails with EFBIG instead of killing
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(request["argv"][0], request["argv"], request["env"])


def _report(fd: int, **fields: object) -> None:
    os.write(fd, (json.dumps(fields) + "\n").encode())


def _supervise(request: dict[str, Any], control: socket.socket, report_fd: int, *, means: _Means) -> NoReturn:
    """Confine this process, start the candidate below it, and report how that ended."""
    try:
        os.setsid()
        with contextlib.suppress(OSError):
            _write("/proc/self/oom_score_adj", "1000")  # when memory runs out, this goes before anybody's work
        if means.drop_root:
            _drop_root(request["argv"][0], request["folder"])
        if means.namespaces:
            _enter_namespaces()
        candidate = os.fork()
        if candidate != 0:
            _report(report_fd, candidate=candidate)
        else:
            _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
            _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
            _limit_resources(request["limits"], own_user_namespace=means.namespaces)
            _exec_candidate(request, control)
        control.close()
        _, status = os.waitpid(candidate, 0)
        _report(report_fd, status=status)
    except BaseException as fault:
        _report(report_fd, fault=f"{type(fault).__name__}: {fault}")
    finally:
        os._exit(0)


def _cpu_used_s(process: int) -> float:
    """CPU seconds of a process with all its threads, from the scheduler's own clock."""
    process_cpu_clock = (~process << 3) | 2  # MAKE_PROCESS_CPUCLOCK(process, CPUCLOCK_SCHED) of the kernel's headers
    try:
        return time.clock_gettime(process_cpu_clock)
    except OSError:
        return 0.0  # it has ended, which its supervisor is about to tell


def _watch(supervisor: int, candidate: int, control: socket.socket, request: dict[str, Any]) -> str:
    """Wait for the end, handing `after_load` over once the candidate says that it has been loaded.

    Returns `exit`, `cpu` or `wall` (time is up), or `orphaned` (the judge is gone).
    """
    pending = (request["after_load"] or "").encode("utf-8", "surrogatepass")
    deadline = time.monotonic() + request["limits"]["wall_s"]
    supervisor_fd = os.pidfd_open(supervisor)
    control.setblocking(False)
    poll = select.poll()
    poll.register(supervisor_fd, select.POLLIN)
    poll.register(0, select.POLLHUP)
    if pending:
        poll.register(control, select.POLLIN)
    try:
        while True:
            wall_left_s = deadline - time.monotonic()
            cpu_left_s = request["limits"]["cpu_s"] - _cpu_used_s(candidate)
            if wall_left_s <= 0 or cpu_left_s <= 0:
                return "cpu" if cpu_left_s <= 0 else "wall"
            soonest_s = min(wall_left_s, cpu_left_s / _CORES)  # CPU time cannot run out earlier
            events = dict(poll.poll(max(_SHORTEST_WAIT_S, soonest_s) * 1000))
            if supervisor_fd in events:
                return "exit"
            if 0 in events:
                return "orphaned"
            if control.fileno() in events:
                pending = _hand_over(control, poll, pending)
    finally:
        os.close(supervisor_fd)


def _hand_over(control: socket.socket, poll: select.poll, pending: bytes) -> bytes:
    """Send what the candidate's end takes now; a candidate that does not read blocks nobody."""
    try:
        pending = pending[control.send(pending) :]
    except BlockingIOError:
        pass
    except OSError:
        pending = b""
    if pending:
        poll.modify(control, select.POLLOUT)
    else:
        poll.unregister(control)
        with contextlib.suppress(OSError):  # the other end may be closed already
            control.shutdown(socket.SHUT_WR)
    return pending


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return []


def _sweep(supervisor: int) -> float:
    """Kill all that the candidate left, wait for every one, and return their CPU seconds."""
    cpu_s = 0.0
    with contextlib.suppress(ProcessLookupError):
        os.killpg(supervisor, signal.SIGKILL)
    while True:
        for child in _children():
            os.kill(child, signal.SIGKILL)  # a child of ours stays until it is waited for, so the number is its own
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return cpu_s
        cpu_s += usage.ru_utime + usage.ru_stime


def _run(request: dict[str, Any], *, means: _Means) -> dict[str, Any]:
    """Run one request to its end and describe it: cause, wait status, CPU and wall seconds, or a fault."""
    report_out, report_in = os.pipe()
    ours, theirs = socket.socketpair()
    started = time.monotonic()
    supervisor = os.fork()
    if supervisor == 0:
        ours.close()
        _supervise(request, theirs, report_in, means=means)
    os.close(report_in)
    theirs.close()
    with open(report_out, encoding="utf-8") as reports, ours:
        result: dict[str, Any] = json.loads(reports.readline() or '{"fault": "the supervisor died"}')
        if "candidate" in result:
            result["cause"] = _watch(supervisor, result["candidate"], ours, request)
        result["wall_s"] = time.monotonic() - started
        result["cpu_s"] = _sweep(supervisor)
        for line in reports:
            result.update(json.loads(line))
    if result.get("cause") == "orphaned":
        sys.exit(0)
    return result


def _try_namespaces(*, as_nobody: bool) -> int:
    """Try in a child what each candidate's supervisor will do.

    Returns 0 if that works, 1 if namespaces are refused, 2 if already the change of user is.
    """
    child = os.fork()
    if child == 0:
        refused = 2
        try:
            if as_nobody:
                _switch_to_nobody()
            refused = 1
            _enter_namespaces()
            grandchild = os.fork()
            os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) if grandchild else 0)
        except BaseException:
            os._exit(refused)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _find_means() -> _Means:
    """What this machine allows; namespaces come first where they and the other user exclude each other."""
    own = _try_namespaces(as_nobody=False)
    drop_root = os.getuid() == 0 and _try_namespaces(as_nobody=True) == own
    return _Means(namespaces=own == 0, drop_root=drop_root)


def main() -> None:
    """Answer one JSON line with one JSON line until standard input closes."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    means = _find_means()
    print(json.dumps({"isolation": "namespaces+rlimits" if means.namespaces else "rlimits"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line), means=means)), flush=True)


if __name__ == "__main__":
    main()
