"""Pictures of pages, by a headless Chromium over its debugging protocol.

One decision: a picture is taken when the page says that it is ready, by an expression of its own. Chromium's
`--screenshot` guesses when that is, and takes pages of charts while they load.
"""

import asyncio
import base64
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

_PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A page to take a picture of: `ready` is a JavaScript expression that is true once it can be taken.

    `steps` are expressions that are awaited before that, each true when done.
    """

    address: str
    ready: str
    file: Path
    width: int = 1400
    height: int = 900
    steps: tuple[str, ...] = ()


class Browser:
    """One tab of a Chromium."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._calls = socket, 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            answer: dict[str, Any] = json.loads((await self._socket.receive()).data)
            if answer.get("id") == self._calls:
                return dict(answer.get("result", {}))

    async def value(self, expression: str) -> Any:
        """What an expression gives in the page; None if it throws."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found.get("result", {}).get("value")

    async def until(self, expression: str) -> bool:
        """Wait until an expression is true; whether it was in time."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if await self.value(expression):
                return True
            await asyncio.sleep(0.2)
        return False


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium with an empty profile, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="polytune-browser-", ignore_cleanup_errors=True) as profile:
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    page = next(tab for tab in await answer.json() if tab["type"] == "page")
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=2**28) as socket:
                    yield Browser(socket)
        finally:
            process.terminate()
            process.wait()


async def _port(file: Path) -> int:
    while not file.is_file() or not file.read_text().strip():
        await asyncio.sleep(0.1)
    return int(file.read_text().splitlines()[0])


async def _take(shots: Sequence[Shot], *, before: str) -> dict[str, float]:
    seconds = {}
    async with chromium() as browser:
        await browser.call("Page.enable")
        await browser.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        for shot in shots:
            size = {"width": shot.width, "height": shot.height, "deviceScaleFactor": 1, "mobile": False}
            await browser.call("Emulation.setDeviceMetricsOverride", **size)
            # Addresses that differ behind # alone would not be loaded anew.
            await browser.call("Page.navigate", url="about:blank")
            began = time.monotonic()
            await browser.call("Page.navigate", url=shot.address)
            for expression in (*shot.steps, shot.ready):
                if not await browser.until(expression):
                    print(f"{shot.file.name}: not ready after {_PATIENCE_S:.0f} s, taken as it is: {expression}")
            seconds[shot.file.name] = time.monotonic() - began
            await asyncio.sleep(3.0)
            taken = await browser.call("Page.captureScreenshot", format="png")
            shot.file.write_bytes(base64.b64decode(taken["data"]))
    return seconds


def take(shots: Sequence[Shot], *, before: str = "") -> dict[str, float]:
    """Take pictures; returns by file how many seconds each page took to be ready. `before` runs in every page first."""
    return asyncio.run(_take(shots, before=before))
