"""What a person sees while a study runs: its trials as rows on a terminal, plain lines now and then elsewhere.

One decision: the watcher reads what everybody can read, the ledger, so a run and `status` in another
terminal show the same table.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.errors import PolytuneError
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.progress import StageProgress, State, TrialProgress, progress_of
from orchestrator.ledger.rejudging import present_tools
from orchestrator.report.layout import format_seconds
from orchestrator.run.state import Listener
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

_REDRAW_S = 1.0
_LINE_S = 30.0
# A large study takes longer to look through, and its driver has other things to do.
_SHARE_OF_TIME = 0.1
_STYLES: dict[State, str] = {
    State.RUNNING: "bold cyan", State.FAILED: "red", State.STOPPED: "yellow", State.DONE: "green", State.WAITING: "dim"
}  # fmt: skip
# What a person looks for first, where a terminal has no room for all rows.
_ORDER = (State.RUNNING, State.FAILED, State.NOT_RUN, State.STOPPED, State.WAITING, State.DONE)


class ProgressReader:
    """Repeated looks at a study's progress: a trial that is done is read once."""

    def __init__(self, trials: Sequence[TrialSpec], ledger: Ledger) -> None:
        self._trials, self._ledger, self._tools = tuple(trials), ledger, present_tools()
        self._done: dict[str, TrialProgress] = {}

    def __call__(self, *, live_since: float | None) -> tuple[TrialProgress, ...]:
        """How far each trial is now."""
        open_ = [trial for trial in self._trials if trial.label not in self._done]
        found = {p.trial: p for p in progress_of(open_, self._ledger, live_since=live_since, tools=self._tools)}
        self._done |= {label: p for label, p in found.items() if p.now.state == State.DONE}
        return tuple((self._done | found)[trial.label] for trial in self._trials)


class Watcher:
    """Shows a run on standard error: a table that is redrawn on a terminal, lines elsewhere."""

    def __init__(
        self, trials: Sequence[TrialSpec], ledger: Ledger, *, quiet: bool, console: Console | None = None
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._ledger, self._progress = ledger, ProgressReader(trials, ledger)
        self._quiet = quiet
        self._started, self._since = time.monotonic(), time.time()
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self.listener = Listener(stage=self._open, done=self._close, note=self._note)

    def __enter__(self) -> "Watcher":
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._live:
            self._live.stop()

    def watch(self, trials: Sequence[TrialSpec]) -> None:
        """Show these trials from now on: searches have found them."""
        self._progress = ProgressReader(trials, self._ledger)

    def say(self, text: str | Text) -> None:
        """A line with the time since the run began; above the table where there is one."""
        if not self._quiet:
            seconds = int(time.monotonic() - self._started)
            self._console.print(
                Text(f"{seconds // 60:2d}:{seconds % 60:02d}  ", style="dim").append_text(_text(text)), soft_wrap=True
            )

    def _open(self, stage: StageName, due: int) -> None:
        if not self._live:
            self.say(f"{stage}: {due} {'trial' if due == 1 else 'trials'}")

    def _close(self, label: str, cause: str) -> None:
        if cause:
            self.say(Text(f"{label}: {cause}", style="red"))
        elif not self._live:
            self.say(f"  {label}")

    def _note(self, text: str) -> None:
        # Not even a quiet run hides what a person ought to know; it goes to standard error.
        self._console.print(Text(f"note: {text}"), soft_wrap=True)

    def _watch(self) -> None:
        wait = _REDRAW_S if self._live else _LINE_S
        while not self._stop.wait(wait):
            began = time.monotonic()
            # A ledger that is away for a moment is the driver's to speak of.
            with contextlib.suppress(PolytuneError, OSError):
                self._draw(self._progress(live_since=self._since))
            wait = max(_REDRAW_S if self._live else _LINE_S, (time.monotonic() - began) / _SHARE_OF_TIME)

    def _draw(self, progress: Sequence[TrialProgress]) -> None:
        if self._live:
            self._live.update(picture(progress, height=self._console.height - 2), refresh=True)
            return
        for trial in progress:
            if trial.now.state == State.RUNNING:
                self.say(Text(f"  {trial.trial} {trial.now.stage} {_in_words(trial.now)}", style="dim"))


def follow(look: Callable[[], Sequence[TrialProgress]], *, wanted: Callable[[], bool]) -> None:
    """Redraw a study's progress on the terminal for as long as it is `wanted`, and leave the last picture."""
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            last = not wanted()
            live.update(picture(look(), height=None if last else console.height - 2), refresh=True)
            if last:
                return
            time.sleep(_REDRAW_S)


def picture(progress: Sequence[TrialProgress], *, height: int | None = None) -> RenderableType:
    """Trials as rows with stage, step, loss, tokens/s and time left; below them how many stand how, and what was there.

    Where `height` lines are too few, the trials that are at work or failed come first.
    """
    known = _known(progress)
    room = len(progress) if height is None else max(1, height - 3 - bool(known))
    shown = set(sorted(range(len(progress)), key=lambda i: (_ORDER.index(progress[i].now.state), i))[:room])
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for column in ("trial", "stage", "step", "loss", "tokens/s", "left"):
        wide = column in ("trial", "stage")
        table.add_column(column, justify="left" if wide else "right", overflow="fold" if wide else "ellipsis")
    for trial in (progress[i] for i in sorted(shown)):
        table.add_row(Text(trial.trial), *_cells(trial))
    counts = Counter(trial.now.state for trial in progress)
    total = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])
    hidden = len(progress) - len(shown)
    below = [total + (f"; {hidden} not shown" if hidden else ""), *([known] if known else [])]
    return Group(table, *(Text(line, style="dim") for line in below))


def _known(progress: Sequence[TrialProgress]) -> str:
    """How many completions did not have to be generated, in the stages that found any; nothing if none did."""
    found = [stage for trial in progress for stage in trial.stages if stage.known and stage.wanted]
    known, wanted = sum(stage.known or 0 for stage in found), sum(stage.wanted or 0 for stage in found)
    return f"{known:,} of {wanted:,} completions were there already" if found else ""


def _cells(trial: TrialProgress) -> Iterable[Text]:
    now = trial.now
    style = _STYLES[now.state]
    if now.state == State.DONE:
        yield Text(f"done in {format_seconds(trial.seconds)}", style=style)
        return
    words = now.stage if now.state == State.RUNNING else f"{now.stage} {now.state}"
    yield Text(f"{words}: {now.cause}" if now.cause else words, style=style)
    yield Text(_steps(now))
    yield Text("" if now.loss is None else f"{now.loss:.3f}")
    yield Text("" if now.tokens_per_s is None else f"{now.tokens_per_s:,.0f}")
    yield Text("" if now.seconds_left is None else format_seconds(now.seconds_left))


def _steps(stage: StageProgress) -> str:
    if stage.step is None:
        return ""
    return f"{stage.step}/{stage.steps}" if stage.steps else str(stage.step)


def _in_words(stage: StageProgress) -> str:
    """One running stage as a line's end: `12/40, loss 1.234, 512 tokens/s, 30 s left`."""
    parts = [
        _steps(stage),
        f"loss {stage.loss:.3f}" if stage.loss is not None else "",
        f"{stage.tokens_per_s:,.0f} tokens/s" if stage.tokens_per_s is not None else "",
        f"{format_seconds(stage.seconds_left)} left" if stage.seconds_left is not None else "",
        f"{stage.known:,} of {stage.wanted:,} completions were there already" if stage.known else "",
    ]
    return ", ".join(filter(None, parts))


def _text(text: str | Text) -> Text:
    return text if isinstance(text, Text) else Text(text)
