"""What a person sees while a study runs: its trials as rows on a terminal, plain lines now and then elsewhere.

One decision: the watcher reads what everybody can read, the ledger, so a run and `status` in another
terminal show the same table.
"""

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.commands.speed import at_work, generation_line, speed_lines
from orchestrator.errors import PolytuneError
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.progress import StageProgress, State, TrialProgress, progress_of
from orchestrator.ledger.rejudging import present_tools
from orchestrator.ledger.writing import words_on
from orchestrator.report.layout import format_seconds
from orchestrator.run.state import Listener
from orchestrator.study.cells import Cells
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

_REDRAW_S = 1.0
_LINE_S = 30.0
# A large study takes longer to look through, and its driver has other things to do.
_SHARE_OF_TIME = 0.1
_COLUMNS = ("stage", "step", "loss", "tokens/s", "left")
# Letters: of a bar, of a cause beside which names find room, of names for which figures make room, of any name.
_BAR, _CAUSE, _READABLE_NAME, _NARROWEST_NAME = 16, 24, 28, 16
_STYLES: dict[State, str] = {
    State.RUNNING: "bold cyan", State.FAILED: "red", State.STOPPED: "yellow", State.DONE: "green", State.WAITING: "dim"
}  # fmt: skip
# What a person looks for first, where a terminal has no room for all rows.
_ORDER = (State.RUNNING, State.FAILED, State.NOT_RUN, State.STOPPED, State.WAITING, State.DONE)


class ProgressReader:
    """Repeated looks at a study's progress: a trial that is done is read once."""

    def __init__(self, study: str, trials: Sequence[TrialSpec], ledger: Ledger) -> None:
        self.study, self.trials, self._ledger, self._tools = study, tuple(trials), ledger, present_tools()
        self._done: dict[str, TrialProgress] = {}

    def __call__(self, *, live_since: float | None) -> tuple[TrialProgress, ...]:
        """How far each trial is now."""
        open_ = [trial for trial in self.trials if trial.label not in self._done]
        words = words_on(self._ledger.store, self.study) if open_ and live_since is not None else ()
        progress = progress_of(open_, self._ledger, live_since=live_since, tools=self._tools, words=words)
        found = {one.trial: one for one in progress}
        self._done |= {label: p for label, p in found.items() if p.now.state == State.DONE}
        return tuple((self._done | found)[trial.label] for trial in self.trials)


class Watcher:
    """Shows a run on standard error: a table that is redrawn on a terminal, lines elsewhere."""

    def __init__(self, cells: Cells, ledger: Ledger, *, quiet: bool, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._ledger, self._progress = ledger, ProgressReader(cells.study.study, cells.trials, ledger)
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
        else:
            count = len(self._progress.trials)
            self.say(f"reading data and models of {count} {'trial' if count == 1 else 'trials'}")
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
        self._progress = ProgressReader(self._progress.study, trials, self._ledger)

    def say(self, text: str | Text) -> None:
        """A line with the time since the run began; above the table where there is one."""
        if not self._quiet:
            seconds = int(time.monotonic() - self._started)
            self._print(Text(f"{seconds // 60:2d}:{seconds % 60:02d}  ", style="dim").append_text(_text(text)))

    def _print(self, text: Text) -> None:
        """A line: between words where a terminal breaks it, and unbroken elsewhere."""
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _open(self, stage: StageName, due: int) -> None:
        if not self._live:
            self.say(f"{stage}: {due} {'trial' if due == 1 else 'trials'}")

    def _close(self, label: str, stage: StageName, cause: str) -> None:
        if cause:
            self.say(Text(f"{label}: {cause}", style="red"))
        elif not self._live:
            self.say(f"  {label} {stage} done")

    def _note(self, text: str) -> None:
        # Not even a quiet run hides what a person ought to know; it goes to standard error.
        self._print(Text(f"note: {text}"))

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
            seconds = time.monotonic() - self._started
            shown = picture(progress, height=self._console.height - 2, seconds=seconds)
            self._live.update(shown, refresh=True)
            return
        running = [trial for trial in progress if trial.now.state == State.RUNNING]
        writing = [trial for trial in running if trial.now.writers]
        # Those that write together are told in one line: a study may have hundreds.
        together = writing if len(writing) > 1 else []
        for trial in running:
            if trial not in together:
                self.say(Text(f"  {trial.trial} {trial.now.stage} {_in_words(trial.now)}", style="dim"))
        for line in generation_line(together):
            self.say(Text(f"  {len(together)} trials {line}", style="dim"))
        if not running:
            self.say(Text(f"  {_counts(progress)}", style="dim"))


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


def picture(
    progress: Sequence[TrialProgress], *, height: int | None = None, seconds: float | None = None
) -> RenderableType:
    """Trials as rows with stage, step, loss, tokens/s and time left; below them how many stand how, and what was there.

    How fast trainings and generations go together stands there too. Where `height` lines are too few, the trials that
    are at work or failed come first. Names that a narrow terminal has no room for go on below, from a slash or a hyphen
    on. `seconds` is how long they have been watched.
    """
    return _Picture(tuple(progress), height, seconds)


@dataclass(frozen=True, slots=True)
class _Picture:
    """Rows as wide as the terminal is when they are drawn."""

    progress: tuple[TrialProgress, ...]
    height: int | None
    seconds: float | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [dict(zip(_COLUMNS, _cells(trial), strict=True)) for trial in self.progress]
        longest = max((len(trial.trial) for trial in self.progress), default=0)
        room, columns = _room(rows, width=options.max_width, longest=longest)
        with_bar = room >= longest + _BAR + 1
        names = [_broken(trial.trial, room=room) for trial in self.progress]
        shown = self._shown([len(lines) for lines in names])
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
        table.add_column("trial", no_wrap=True)
        # A cause is told in full above the table while it is redrawn.
        live = self.height is not None
        table.add_column("stage", no_wrap=live, overflow="ellipsis" if live else "fold")
        if with_bar:
            table.add_column("", width=_BAR)
        for column in columns[1:]:
            table.add_column(column, justify="right", no_wrap=True)
        for i in shown:
            stage, *figures = (rows[i][column] for column in columns)
            bar = [_bar(self.progress[i].now)] if with_bar else []
            table.add_row(Text("\n".join(names[i])), stage, *bar, *figures)
        yield table
        yield Text(self._below(len(self.progress) - len(shown)), style="dim")
        yield from (Text(line, style="dim") for line in speed_lines(self.progress))
        if known := _known(self.progress):
            yield Text(known, style="dim")

    def _shown(self, lines: Sequence[int]) -> list[int]:
        """Which trials there is room for, by the lines of their names."""
        found: list[int] = []
        below = bool(_known(self.progress)) + len(speed_lines(self.progress))
        left = sum(lines) if self.height is None else max(1, self.height - 3 - below)
        for i in sorted(range(len(lines)), key=lambda i: (_ORDER.index(self.progress[i].now.state), i)):
            if found and lines[i] > left:
                break
            found.append(i)
            left -= lines[i]
        return sorted(found)

    def _below(self, hidden: int) -> str:
        since = "" if self.seconds is None else f" after {format_seconds(self.seconds)}"
        return _counts(self.progress) + since + (f"; {hidden} not shown" if hidden else "")


def _room(rows: Sequence[Mapping[str, Text]], *, width: int, longest: int) -> tuple[int, tuple[str, ...]]:
    """How many letters of a name there is room for, and beside which columns: a narrow terminal has the needed ones."""
    for left_out in ((), ("tokens/s",), ("tokens/s", "loss")):
        columns = tuple(column for column in _COLUMNS if column not in left_out)
        taken = sum(min(_CAUSE, max(len(c), *(row[c].cell_len for row in rows))) + 1 for c in columns if rows)
        if width - taken - 1 >= min(longest, _READABLE_NAME):
            break
    return max(_NARROWEST_NAME, width - taken - 1), columns


def _broken(label: str, *, room: int) -> list[str]:
    """A name in lines of so many letters, cut behind slashes and hyphens where there are any."""
    lines = [""]
    for part in re.findall(r"[^/-]*[/-]?", label):
        for piece in (part[start : start + room] for start in range(0, len(part), room)):
            if len(lines[-1]) + len(piece) > room:
                lines.append("")
            lines[-1] += piece
    return lines


def _counts(progress: Sequence[TrialProgress]) -> str:
    """How many trials stand how."""
    counts = Counter(trial.now.state for trial in progress)
    return ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])


def _bar(now: StageProgress) -> RenderableType:
    """How much of a stage is done; nothing where nobody knows."""
    if now.state != State.RUNNING or not now.steps:
        return Text("")
    return ProgressBar(total=now.steps, completed=now.step or 0, width=_BAR)


def _known(progress: Sequence[TrialProgress]) -> str:
    """How many completions did not have to be generated, in the stages that found any; nothing if none did."""
    found = [stage for trial in progress for stage in trial.stages if stage.known and stage.wanted]
    known, wanted = sum(stage.known or 0 for stage in found), sum(stage.wanted or 0 for stage in found)
    return f"{known:,} of {wanted:,} completions were there already" if found else ""


def _cells(trial: TrialProgress) -> Iterable[Text]:
    now = trial.now
    style = _STYLES[now.state]
    if now.state == State.DONE:
        yield from (Text(f"done in {format_seconds(trial.seconds)}", style=style), *[Text("")] * 4)
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
        at_work(stage.writers),
        f"{format_seconds(stage.seconds_left)} left" if stage.seconds_left is not None else "",
        f"{stage.known:,} of {stage.wanted:,} completions were there already" if stage.known else "",
    ]
    return ", ".join(filter(None, parts))


def _text(text: str | Text) -> Text:
    return text if isinstance(text, Text) else Text(text)
