"""Pictures of pages that draw themselves, by a real Chromium.

One decision: a picture is taken when the page says that it is ready, by an expression of its own. Chromium's
`--screenshot` guesses when that is, and takes pages of charts while they load.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chromium import Tab, find_chromium, open_tab

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


def take(shots: Sequence[Shot], *, before: str = "") -> dict[str, float]:
    """Take pictures; returns by file how many seconds each page took to be ready. `before` runs in every page first.

    Raises:
        FileNotFoundError: if there is no Chromium.
    """
    chromium = find_chromium()
    if chromium is None:
        raise FileNotFoundError("there is no chromium on PATH; install one with: apt-get install chromium")
    with open_tab(chromium) as tab:
        tab.ask("Page.addScriptToEvaluateOnNewDocument", source=before)
        return {shot.file.name: _picture(tab, shot) for shot in shots}


def _picture(tab: Tab, shot: Shot) -> float:
    tab.resize(shot.width, shot.height)
    # Addresses that differ behind # alone would not be loaded anew.
    tab.open("about:blank")
    began = time.monotonic()
    tab.open(shot.address)
    for expression in (*shot.steps, shot.ready):
        if not _until(tab, expression):
            print(f"{shot.file.name}: not ready after {_PATIENCE_S:.0f} s, taken as it is: {expression}")
    seconds = time.monotonic() - began
    time.sleep(3.0)
    tab.picture(shot.file)
    return seconds


def _until(tab: Tab, expression: str) -> bool:
    """Wait until an expression is true, one that throws meanwhile being false; whether it was in time."""
    try:
        tab.wait_for(f"(() => {{ try {{ return {expression} }} catch {{ return false }} }})()", seconds=_PATIENCE_S)
    except TimeoutError:
        return False
    return True
