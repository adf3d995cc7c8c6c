"""What attacks reach for: secrets, sockets that listen, a folder that all may write to; and who touched them.

One decision: all of it is real and within reach of an unconfined process of the same user, so that an
attack which fails was stopped.
"""

import contextlib
import os
import secrets
import selectors
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from attacks.hostile import SECRET_PREFIX


def new_secret() -> str:
    """A secret that no program holds by itself."""
    return SECRET_PREFIX + secrets.token_hex(16)


class Plants:
    """Secrets, listeners and a folder below `root`, while the block lasts."""

    def __init__(self, root: Path) -> None:
        self.outside = root / "outside"
        self._home, self._file = root / "home", root / "public-secret"
        self._name = f"polytune-{secrets.token_hex(4)}"
        self.contacts = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for folder in (self.outside, self._home):
            folder.mkdir(exist_ok=True)
        self._file.write_text(new_secret())
        self._file.chmod(0o644)
        (self._home / ".token").write_text(new_secret())
        self._fd = os.open(self._file, os.O_RDONLY)
        os.set_inheritable(self._fd, True)
        self._stack.callback(os.close, self._fd)
        self._listen()
        self.restore()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _listen(self) -> None:
        stream = self._bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self._port = stream.getsockname()[1]
        listeners = [
            stream,
            self._bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", self._port)),
            self._bound(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self._name}"),
            self._bound(socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{self._name}-datagram"),
            self._bound(socket.AF_UNIX, socket.SOCK_STREAM, str(self.outside / "stream")),
            self._bound(socket.AF_UNIX, socket.SOCK_DGRAM, str(self.outside / "datagram")),
        ]
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=self._count, args=(listeners, theirs), daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(ours.close)
        for name in ("stream", "datagram"):
            (self.outside / name).chmod(0o777)

    def _bound(self, family: int, kind: int, address: object) -> socket.socket:
        listener = self._stack.enter_context(socket.socket(family, kind))
        listener.bind(address)  # type: ignore[arg-type]
        if kind == socket.SOCK_STREAM:
            listener.listen()
        return listener

    def _count(self, listeners: list[socket.socket], end: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, end:
            for listener in [*listeners, end]:
                selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    ready = key.fileobj
                    assert isinstance(ready, socket.socket)
                    if ready is end:
                        return
                    self.contacts += 1
                    if ready.type == socket.SOCK_STREAM:
                        ready.accept()[0].close()
                    else:
                        ready.recv(100)

    def filled(self, source: str) -> str:
        """A program with its words between @ filled in."""
        words = {
            "HOME": self._home, "FILE": self._file, "OUTSIDE": self.outside, "PORT": self._port,
            "NAME": self._name, "FD": self._fd, "PARENT": os.getpid(), "NICE": os.nice(0),
        }  # fmt: skip
        for word, value in words.items():
            source = source.replace(f"@{word}@", str(value))
        return source

    def restore(self) -> None:
        """Put the folder outside back as it was."""
        self.outside.chmod(0o777)
        for path in self.outside.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in ("stream", "datagram", "victim"):
                path.unlink()
        victim = self.outside / "victim"
        victim.write_text("as it was")
        victim.chmod(0o666)
        os.utime(victim, (1e9, 1e9))
        self._before = self._look()

    def _look(self) -> set[tuple[str, int, int, float]]:
        paths = [self.outside, *self.outside.iterdir()]
        return {
            (p.name, (s := p.lstat()).st_mode, s.st_size if p.is_file() else 0, s.st_mtime if p.is_file() else 0)
            for p in paths
        }

    def changes(self) -> list[str]:
        """What was changed outside since the last `restore`, which is done again."""
        changed = sorted({entry[0] for entry in self._before ^ self._look()})
        self.restore() if changed else None
        return changed


def descendants() -> set[int]:
    """All processes below this one."""
    found, pending = set[int](), [os.getpid()]
    while pending:
        process = pending.pop()
        for child in _children(process):
            found.add(child)
            pending.append(child)
    return found


def _children(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(OSError):
                yield from map(int, Path(f"/proc/{process}/task/{thread}/children").read_text().split())
