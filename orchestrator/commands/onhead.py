"""The head's end of `submit` and of `status`, `logs` and `cancel` by cluster file: takes a request and becomes it.

One decision: standard input is the line that a command lives by. Its first line is the request; where its end comes,
the caller has gone, by Ctrl-C or with its machine, and the command is told as a terminal's end would tell it. A
command that was detached has let go of it before. What a detached run says stands in `logs/NAME.log`, and what it was
asked for in `logs/NAME.json`, so that it is found again by its name alone.
"""

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.commands.request import Request
from orchestrator.errors import PolytuneError

_LOGS = Path("logs")
_TAIL_LINES = 40
# A study that cannot start says so within this time of having its lease; the caller sees it and waits no longer.
_FIRST_WORDS_S = 10.0
_BEGIN_S = 120.0


def take_request() -> list[str]:
    """Read a request from standard input and make ready for it; returns the command line to go on with.

    With `detach` this returns in a process of its own, and the one that was called ends when the study is under way.

    Raises:
        PolytuneError: if standard input holds no request.
    """
    line = _read_line(0)
    try:
        request = Request.model_validate_json(line)
    except ValueError as error:
        # Not the line: it may hold secrets.
        raise PolytuneError("standard input holds no request of `polytune submit` of this version") from error
    os.environ.update(request.environment)
    for name, text in request.files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    if request.command == "run":
        _remember(request)
    else:
        request = _as_remembered(request)
    if request.command == "logs":
        _print_tail(request.name)
    if request.detach:
        _detach(request)
    else:
        _live_by(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return request.arguments


def _read_line(descriptor: int) -> bytes:
    """One line, and not a byte behind it, where a buffer would swallow the end of input."""
    found = bytearray()
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        found += byte
    return bytes(found)


def _remember(request: Request) -> None:
    """Leave what was asked for, without the environment."""
    _LOGS.mkdir(exist_ok=True)
    word = {"study": request.study, "changes": request.changes}
    (_LOGS / f"{request.name}.json").write_text(json.dumps(word), encoding="utf-8")


def _as_remembered(request: Request) -> Request:
    """A request about a study that was run from here: as it was run, whatever its file says by now."""
    from orchestrator.ledger.studies import find_study

    try:
        word = json.loads((_LOGS / f"{request.name}.json").read_text(encoding="utf-8"))
        study = find_study(word["study"], changes=word["changes"])
        stored = f"{study.storage}/{study.study}"
        find_study(stored)
    except (OSError, ValueError, PolytuneError):
        return request
    return request.model_copy(update={"study": stored})


def _print_tail(name: str) -> None:
    """What a detached run said last."""
    with contextlib.suppress(OSError):
        said = (_LOGS / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        sys.stderr.write("\n".join([f"The last of what {name} said (logs/{name}.log):", *said[-_TAIL_LINES:], "", ""]))


def _live_by(lifeline: int) -> None:
    """Tell this process of a terminal's end when the other end of standard input is closed."""

    def watch() -> None:
        while os.read(lifeline, 4096):
            pass
        # Whoever left by Ctrl-C still reads what is said; where the connection is gone, what is said goes nowhere.
        time.sleep(0.5)
        for stream in (1, 2):
            poll = select.poll()
            poll.register(stream, 0)
            if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _detach(request: Request) -> None:
    """Go on in a process without a terminal; the one that was called shows its first words and ends.

    Raises:
        SystemExit: in the process that was called.
    """
    log = _LOGS / f"{request.name}.log"
    # Added to: another run of the study may be under way, and this one about to be refused.
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    before = os.fstat(target).st_size
    pid = os.fork()
    if pid:
        os.close(target)
        raise SystemExit(_stand_by(pid, request, log, shown=before))
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for stream in (1, 2):
        os.dup2(target, stream)
    # What a terminal would be shown is no text for a file.
    for name in ("TTY_COMPATIBLE", "COLUMNS", "LINES"):
        os.environ.pop(name, None)


def _stand_by(pid: int, request: Request, log: Path, *, shown: int) -> int:
    """Show what a detached run says until it is under way, from byte `shown` of its log; returns the exit status."""
    began, held = time.monotonic(), None
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        shown = _show_more(log, shown)
        if ended:
            return os.waitstatus_to_exitcode(status)
        now = time.monotonic()
        if held is None and _holds_lease(pid, request.study, request.changes):
            held = now
        if now - began > _BEGIN_S or (held is not None and now - held > _FIRST_WORDS_S):
            break
        time.sleep(0.5)
    said = f"{request.name} runs on {os.uname().nodename} as process {pid}, whatever becomes of this connection"
    sys.stdout.write(f"{said}; what it says: {log.resolve()}\n")
    return 0


def _show_more(log: Path, shown: int) -> int:
    text = log.read_bytes()
    sys.stderr.write(text[shown:].decode(errors="replace"))
    sys.stderr.flush()
    return len(text)


def _holds_lease(pid: int, study: str, changes: Sequence[str]) -> bool:
    from orchestrator.ledger.studies import find_study, ledger_of

    try:
        loaded = find_study(study, changes=changes)
        holder = ledger_of(loaded).lease(loaded.study).holder()
    except PolytuneError:  # which the run itself tells
        return False
    return holder is not None and holder.pid == pid


__all__ = ["take_request"]
