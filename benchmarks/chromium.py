"""Drives a real headless Chromium: opens a page, evaluates, presses keys, takes pictures.

One decision: the browser's own protocol over a pipe, two file descriptors and JSON between zero bytes, so that it
needs nothing but the browser.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The browser's path, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """A page of a browser. `events` are what the browser told meanwhile, in order."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in, self._rest, self._number = to_browser, from_browser, b"", 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command; returns its result.

        Raises:
            RuntimeError: with what the browser says of it.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._in, 1 << 16)
            if not data:
                raise RuntimeError("the browser has ended")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, address: str) -> None:
        """Go to an address; returns when the page has loaded."""
        del self.events[:]
        self.ask("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is awaited.

        Raises:
            RuntimeError: if the page throws.
        """
        found = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def wait_for(self, expression: str, *, seconds: float = 20.0) -> None:
        """Return once an expression is true.

        Raises:
            TimeoutError: if it does not become true.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.evaluate(f"Boolean({expression})"):
                return
            time.sleep(0.02)
        raise TimeoutError(f"not true after {seconds} s: {expression}")

    def press(self, key: str) -> None:
        """Press a key, as a person does."""
        text = key if len(key) == 1 else ""
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the window a size, and a preference for light or dark."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Save what the window shows, as PNG."""
        path.write_bytes(b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def open_tab(chromium: str) -> Iterator[Tab]:
    """A tab of a browser of its own, which ends with it."""
    read_end, to_browser = os.pipe()
    from_browser, write_end = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = _start(chromium, profile, read_end, write_end)
        os.close(read_end)
        os.close(write_end)
        try:
            yield Tab(to_browser, from_browser)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(to_browser)
            os.close(from_browser)


def _start(chromium: str, profile: str, read_end: int, write_end: int) -> "subprocess.Popen[bytes]":
    """Start the browser with the pipe where it looks for it, on descriptors 3 and 4."""
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
    # A shell sets the numbers; whatever they were here may be 3 or 4 themselves.
    high = [os.dup2(read_end, 200 + read_end), os.dup2(write_end, 200 + write_end)]
    script = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
    try:
        return subprocess.Popen(
            ["bash", "-c", script, "bash", chromium, *flags, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=high,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        for descriptor in high:
            os.close(descriptor)
