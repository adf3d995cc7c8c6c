"""The trusted process between Polytune and its candidates: it watches the clocks and runs Python tests.

One decision: what waits for a candidate is what watches it. Only while an answer is awaited does time
count, CPU time first; and wall time is counted without the time that a ready thread waited for a
processor, so that a busy machine changes no verdict.

Requests and answers are JSON lines on standard input and output:

    {"do": "prepare", "kind", "settings"}           -> {"isolation"} or {"refused"}
    {"do": "open", "kind", "start", "program"}      -> {"line"} (loaded, or why not) or {"stopped"}
    {"do": "ask", "line"}                           -> {"line"} or {"stopped"}
    {"do": "run", "kind", "start", "program", "tests"} -> {"line", "ending", "text", "end"}: all of it at once;
                                                       what there is of these, with "stopped"
    {"do": "close"}                                 -> how the candidate ended
"""

import gc
import json
import math
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any, NoReturn

from evaluators.isolation import kernel, python_judge, zygote
from evaluators.isolation.processes import Family, folder_is_full
from evaluators.isolation.values import pack, unpack

_TICK_S = 0.1
_SHORTEST_WAIT_S = 0.002
_DYING_S = 1.0
_CHUNK = 65536
_LONGEST_MESSAGE = 1 << 20
_MAX_PROCESSES = 128
_TESTS_CPU_S = 60
_TESTS_MEMORY_BYTES = 4 << 30
_JUDGE_FD = 9
_LOADED = '["loaded"]'
_READY = b'["ready"]'
_CORES = os.cpu_count() or 1
_DEAD = b'{"fault": "the warm process died"}'
_ZYGOTE = (
    "import sys; sys.path.insert(0, sys.argv[2]); from evaluators.isolation import zygote; zygote.main(sys.argv[1])"
)


class Stopped(BaseException):
    """The candidate cannot answer: `exit`, `cpu`, `wall`, `memory`, `output` or `processes`; no test may catch this."""


class _Endless(BaseException):
    """The tests take too long by themselves."""


def start_zygote(settings: dict[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
    """Start a warm process; return its control socket, and its class or why that is refused."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, *kernel.LONE_PYTHON, "-c", _ZYGOTE, json.dumps(settings), settings["code_root"]],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=settings["env"],
            cwd="/",
        )
    return ours, json.loads(ours.recv(_LONGEST_MESSAGE) or b'{"refused": "the warm process died"}')


class Candidate:
    """One candidate process, from its start to its end."""

    def __init__(self, control: socket.socket, start: dict[str, Any]) -> None:
        """Start it; raises OSError if that failed."""
        self._control = control
        self._limits: dict[str, Any] = start["limits"]
        self._box: str | None = start.get("box")
        self._connection, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(control, [json.dumps(start).encode()], [theirs.fileno()])
        message, fds, _, _ = socket.recv_fds(control, _LONGEST_MESSAGE, 1)
        if not fds:
            raise OSError(json.loads(message or _DEAD)["fault"])
        self._started_at = time.monotonic()
        self._handle = fds[0]
        self._family = Family(_number(self._handle))
        self._pending = bytearray()
        self._longest_line = 0
        self._awaited_s = 0.0
        self._each_call = bool(self._limits.get("each_call"))
        self._total_cpu_s = self._limits.get("total_cpu_s", self._limits["cpu_s"])
        self._earlier_s = self._earlier_cpu_s = self._earlier_waited_s = (
            0.0  # what the calls before this one used, if each has its own
        )
        self._connection.setblocking(False)

    def ask(self, line: bytes) -> bytes:
        """Send one line, and return the line that answers it.

        Raises:
            Stopped: if there is no answer within the limits.
        """
        if self._has_ended():
            raise Stopped("exit")
        if self._each_call:
            self._earlier_s, self._awaited_s = self._earlier_s + self._awaited_s, 0.0
            self._earlier_cpu_s = max(self._family.leader_cpu_s(), self._family.usage().cpu_s)
            self._earlier_waited_s = self._family.waited_s()
        self.say(line if line.endswith(b"\n") else line + b"\n")
        return self.listen()

    def listen(self) -> bytes:
        """Return the candidate's next line.

        Raises:
            Stopped: if there is none within the limits.
        """
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > self._limits["line_bytes"]:
                raise Stopped("output")
            self._wait(select.POLLIN)
            self._receive()
        self._longest_line = max(self._longest_line, end)
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return line

    def _receive(self) -> None:
        try:
            chunk = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._has_ended(within_s=_DYING_S)  # a process closes what it had before it is gone
            raise Stopped("exit")
        self._pending += chunk

    def _has_ended(self, *, within_s: float = 0.0) -> bool:
        """Whether the first process is gone; whatever a child of its may still say does not count."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    def say(self, data: bytes) -> None:
        """Send bytes, within the limits."""
        while data:
            try:
                data = data[self._connection.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)
            except OSError:
                raise Stopped("exit") from None

    def _wait(self, event: int) -> None:
        """Wait until the connection is ready, within the limits."""
        poll = select.poll()
        poll.register(self._connection, event)
        poll.register(_JUDGE_FD, 0)  # only its end is told
        poll.register(self._handle, select.POLLIN)
        began = time.monotonic()
        while True:
            cpu_left_s = self._cpu_left_s(self._family.leader_cpu_s())
            if cpu_left_s <= 0:
                raise Stopped("cpu")
            # CPU time cannot run out earlier than on all cores at once.
            soonest_s = max(_SHORTEST_WAIT_S, min(_TICK_S, cpu_left_s / _CORES))
            ready = dict(poll.poll(soonest_s * 1000))
            if _JUDGE_FD in ready:
                raise SystemExit
            if self._connection.fileno() in ready:
                self._awaited_s += time.monotonic() - began
                return
            if ready:
                raise Stopped("exit")
            self._check_family(self._awaited_s + time.monotonic() - began)

    def _cpu_left_s(self, used_s: float) -> float:
        """CPU time left for this call, where calls have limits of their own, and for all of them."""
        return float(min(self._limits["cpu_s"] + self._earlier_cpu_s, self._total_cpu_s)) - used_s

    def _check_family(self, awaited_s: float) -> None:
        """Look at all processes of the candidate, once a tick."""
        usage = self._family.usage()
        if usage.memory_bytes > self._limits["memory_bytes"]:
            raise Stopped("memory")
        if self._cpu_left_s(usage.cpu_s) < 0:
            raise Stopped("cpu")
        if usage.processes > _MAX_PROCESSES:
            raise Stopped("processes")
        if self._box is not None and folder_is_full(self._box, self._limits["work_bytes"]):
            raise Stopped("output")
        wall_s = self._limits["wall_s"]
        if awaited_s > wall_s and awaited_s - (self._family.waited_s() - self._earlier_waited_s) > wall_s:
            raise Stopped("wall")
        if self._each_call and self._earlier_s + awaited_s > wall_s * self._total_cpu_s / self._limits["cpu_s"]:
            raise Stopped("wall")

    def close(self) -> dict[str, Any]:
        """End the candidate with all that it started, and describe its end."""
        wall_s, cpu_s = time.monotonic() - self._started_at, self._family.leader_cpu_s()
        self._control.send(b"e")
        ended: dict[str, Any] = json.loads(self._control.recv(_LONGEST_MESSAGE) or _DEAD)
        self._connection.close()
        os.close(self._handle)
        used = {"wall_s": wall_s, "cpu_s": max(cpu_s, ended.get("cpu_s", 0.0)), "line_bytes": self._longest_line}
        return {**ended, **used}


def _number(handle: int) -> int:
    """The process number, as this process knows it, of a pidfd."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))


class Keeper:
    """Answers the requests of one worker, about one candidate at a time."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._controls: dict[str, socket.socket] = {}
        self._candidate: Candidate | None = None
        self._verbs = {
            "prepare": self._prepare,
            "open": self._open,
            "ask": self._ask,
            "run": self._run,
            "close": self._close,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        try:
            return self._verbs[request["do"]](request)
        except Stopped as stopped:
            return {"stopped": str(stopped)}
        except OSError as fault:
            return {"fault": str(fault)}

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        control, answer = start_zygote(request["settings"])
        if "refused" not in answer:
            self._controls[request["kind"]] = control
        return answer

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        self._candidate = Candidate(self._controls[request["kind"]], request["start"])
        try:
            self._candidate.say(pack(request["program"]))
            said = self._candidate.listen()
        except Stopped as stopped:  # nothing of the program has run yet
            said = str(stopped).encode()
        if said != _READY:
            return {"fault": f"a candidate's process was not ready ({said[:200]!r}): {self._close({})}"}
        return {"line": self._candidate.listen().decode("ascii", "replace")}

    def _opened(self) -> Candidate:
        if self._candidate is None:
            raise OSError("no candidate is open")
        return self._candidate

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"line": self._opened().ask(request["line"].encode("ascii")).decode("ascii", "replace")}

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Judge a Python program from its start to its end; tests run in this process, which ends if they do not."""
        answer: dict[str, Any] = {}
        try:
            answer = self._open(request)
            if answer.get("line") == _LOADED:
                each_call = bool(request["start"]["limits"].get("each_call"))
                answer |= _run_tests(self._opened(), request["tests"], each_call=each_call)
        except Stopped as stopped:
            answer["stopped"] = str(stopped)
        return answer if "fault" in answer else {**answer, "end": self._close({})}

    def _close(self, request: dict[str, Any]) -> dict[str, Any]:
        candidate, self._candidate = self._opened(), None
        return candidate.close()


def _run_tests(candidate: Candidate, tests: dict[str, Any], *, each_call: bool) -> dict[str, Any]:
    """Run tests as if they were the first: the same random numbers, and a clock and memory of their own.

    Where `each_call` has limits of its own, the tests' clock begins anew with each, too.
    """
    random.seed(0)
    recursion = sys.getrecursionlimit()
    _, hard_cpu = resource.getrlimit(resource.RLIMIT_CPU)
    soft_memory, hard_memory = resource.getrlimit(resource.RLIMIT_AS)

    def wind() -> None:
        last_s = math.ceil(time.process_time() + 2 * _TESTS_CPU_S)  # for what no exception interrupts
        resource.setrlimit(resource.RLIMIT_CPU, (last_s, hard_cpu))
        signal.setitimer(signal.ITIMER_PROF, _TESTS_CPU_S)

    def ask(line: bytes) -> bytes:
        if each_call:
            wind()
        return candidate.ask(line)

    try:
        resource.setrlimit(resource.RLIMIT_AS, (_TESTS_MEMORY_BYTES, hard_memory))
        wind()
        ending = python_judge.run_tests(ask, **tests)
        return {"ending": ending.kind, "text": ending.text}
    except _Endless:
        return {"ending": "endless", "text": f"the tests took more than {_TESTS_CPU_S} s with what was returned"}
    except ValueError as fault:
        return {"ending": "raised", "text": f"unreadable answer: {fault}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft_memory, hard_memory))
        sys.setrecursionlimit(recursion)


def _stop_tests(number: int, frame: object) -> NoReturn:
    raise _Endless


def main(packages: str) -> None:
    """Answer requests until standard input closes; `packages` is a folder that tests may import from."""
    if packages:
        sys.path.append(packages)
    for name in zygote.PRELOADED.split():
        __import__(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGPROF, _stop_tests)
    keeper = Keeper()
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(0, _JUDGE_FD, inheritable=False)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):  # tests may read and print
        os.dup2(null, standard)
    for line in os.fdopen(_JUDGE_FD, encoding="ascii"):
        answers.write(json.dumps(keeper.answer(unpack(line))) + "\n")
        answers.flush()
