"""A file of verdicts that is written as they become known, and gone on with after an interruption.

One decision: what a file's verdicts are of (problems, completions, settings) stands beside it, in
`FILE.run.json`; a run whose own is another is refused, so no file ever mixes two. A line counts once it
ends: a torn last line is dropped, and an `unjudged` one is judged again, since its cause may be gone.
"""

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pydantic import ValidationError

from orchestrator.errors import InputError
from tasks.records import Record, Verdict

Key = tuple[str, int]


class Run(Record):
    """What verdicts are of; files by the sha256 of their bytes."""

    format: str
    problems: str
    completions: str
    isolation: str
    limits: Mapping[str, float]


class VerdictFile:
    """Verdicts on disk; `found` holds those that were there, `unjudged` ones left out."""

    def __init__(self, path: Path, *, run: Run) -> None:
        """Open the file for this run, or refuse it.

        Raises:
            InputError: if the file cannot be written, is of another run, is being written by another
                process, or holds a line that is no verdict.
        """
        self._path = path
        self._beside = path.with_name(f"{path.name}.run.json")
        try:
            self._lock = self._locked()
            self._check(run)
            lines = self._lines()
            self.found = {(v.task_id, v.sample): v for v in lines if v.verdict != "unjudged"}
            self._stream: IO[bytes] = self._rewritten(list(self.found.values()))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); name another file with --out") from error

    def _locked(self) -> IO[str]:
        if self._path.exists() and self._path.stat().st_size and not self._beside.exists():
            raise InputError(f"{self._path}: exists, and no run of this command wrote it; name another file with --out")
        stream = self._beside.open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise InputError(
                f"{self._path}: another process is writing it; wait for it, or name another file"
            ) from None
        return stream

    def _check(self, run: Run) -> None:
        """Refuse verdicts of another run; take a file that has none."""
        self._lock.seek(0)
        text = self._lock.read()
        if text.strip() and self._path.exists() and self._path.stat().st_size:
            try:
                before = Run.model_validate_json(text)
            except ValidationError:
                raise InputError(f"{self._beside}: does not say what {self._path} is of; name another --out") from None
            other = [name for name in Run.model_fields if getattr(before, name) != getattr(run, name)]
            if other:
                raise InputError(
                    f"{self._path}: holds verdicts of other {' and '.join(other)}; "
                    "name another file with --out, or remove it"
                )
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(run.model_dump_json(indent=1) + "\n")
        self._lock.flush()

    def _lines(self) -> list[Verdict]:
        if not self._path.exists():
            return []
        *whole, _torn = self._path.read_bytes().split(b"\n")
        verdicts = []
        for number, line in enumerate(whole, start=1):
            try:
                verdicts.append(Verdict.model_validate_json(line))
            except ValidationError:
                raise InputError(f"{self._path}, line {number}: is no verdict; name another file with --out") from None
        return verdicts

    def _rewritten(self, verdicts: Sequence[Verdict]) -> IO[bytes]:
        """Put a file of just these lines in place, at once, and open it to append."""
        fresh = self._path.with_name(f"{self._path.name}.part")
        fresh.write_bytes(b"".join(map(_line, verdicts)))
        os.replace(fresh, self._path)
        return self._path.open("ab")

    def append(self, verdict: Verdict) -> None:
        """Write one verdict; it is on its way to the disk when this returns."""
        self._stream.write(_line(verdict))
        self._stream.flush()

    def settle(self, verdicts: Sequence[Verdict]) -> None:
        """Put the lines in their final order."""
        self._stream.close()
        self._stream = self._rewritten(verdicts)

    def __enter__(self) -> Self:
        """Enter a block at whose end the file is closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, and let others write it."""
        self._stream.close()
        self._lock.close()


def _line(verdict: Verdict) -> bytes:
    return verdict.model_dump_json().encode("utf-8", "replace") + b"\n"


__all__ = ["Run", "VerdictFile"]
