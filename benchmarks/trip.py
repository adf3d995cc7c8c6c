"""The trip of a trial: which files of `orchestrator/` a study passes, and how often it comes back to one.

A tiny study (one adapter, Python alone) goes through the commands that a person would type, in this process:
`run --local` trains, generates, executes and scores; `report` answers; `run` of the finished study makes its plan and
its report again and needs no Ray. Calls are traced with `sys.setprofile`. A function counts where it is first
called: a file's `stays` are the unbroken runs of such calls in it, and `returns` are the stays in files that the trip
had left before. `of_a_trial` counts functions alone that are handed a trial (itself, in a record or a sequence, or as
text), `of_all` every function, `of_every_call` every call. Then: how often the study was expanded, and each data
file hashed, by each command.

    python benchmarks/trip.py

Prints a JSON line for each command, and one for the trip of the first two together.
"""

import argparse
import contextlib
import inspect
import io
import json
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROOM = str(ROOT / "orchestrator") + os.sep
# Whatever makes a study's trials, with data and models identified, by the name it has or had.
EXPANSIONS = ("expand", "trials_of")
LABEL = "micro/qlora/seed0"
TRIAL_AS_TEXT = '{"method_name":'
STUDY = """\
study: trip
models: [builtin:micro]
storage: {folder}/runs
data: {{root: {folder}/data}}
tasks:
  generation/python:
    train: {{reader: jsonl, path: .}}
    validation: {{reader: jsonl, path: .}}
    test: {{reader: jsonl, path: .}}
training: {{max_steps: 2, batch_size: 4, learning_rate: 0.001}}
methods:
  qlora: {{kind: qlora}}
evaluation:
  generation: {{max_new_tokens: 8}}
"""


@dataclass(kw_only=True)
class Trace:
    """What was called.

    Attributes:
        functions: Each function with its file, in the order of their first calls, and whether it was handed a trial.
        visited: Files in the order of all calls, without immediate repeats.
        expansions: How often the study was expanded.
        hashed: How often each data file was hashed.
    """

    functions: dict[tuple[str, str], bool] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)
    expansions: int = 0
    hashed: Counter[str] = field(default_factory=Counter)

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Note a call; what `sys.setprofile` is given."""
        code = frame.f_code
        if event != "call":
            return
        if code.co_name == "file_digest" and frame.f_back and "readers" in frame.f_back.f_code.co_filename:
            self.hashed[Path(frame.f_locals["fileobj"].name).name] += 1
        # Bodies of modules and classes run when they are imported, which is no part of the trip.
        if code.co_filename.startswith(ROOM) and code.co_flags & inspect.CO_OPTIMIZED:
            self._enter(code.co_filename.removeprefix(ROOM), code.co_qualname, handed=_is_handed_a_trial(frame))

    def _enter(self, file: str, function: str, *, handed: bool) -> None:
        self.functions[file, function] = self.functions.get((file, function), False) or handed
        self.expansions += function in EXPANSIONS
        if self.visited[-1:] != [file]:
            self.visited.append(file)

    def then(self, other: "Trace") -> "Trace":
        """One trip after another."""
        return Trace(
            functions={
                key: self.functions.get(key, False) or other.functions.get(key, False)
                for key in (*self.functions, *other.functions)
            },
            visited=self.visited + other.visited,
            expansions=self.expansions + other.expansions,
            hashed=self.hashed + other.hashed,
        )

    def as_json(self) -> dict[str, Any]:
        """Figures, and the trip itself."""
        handed = [file for (file, _), handed in self.functions.items() if handed]
        return {
            "of_a_trial": _figures(handed),
            "of_all": _figures(file for file, _ in self.functions),
            "of_every_call": _figures(self.visited),
            "study_expanded": self.expansions,
            "data_files_hashed": dict(sorted(self.hashed.items())),
            "in_order": list(dict.fromkeys(handed)),
        }


def _figures(files: Iterable[str]) -> dict[str, int]:
    stays = [file for file, _ in groupby(files)]
    return {"files": len(set(stays)), "stays": len(stays), "returns": len(stays) - len(set(stays))}


def _is_handed_a_trial(frame: FrameType) -> bool:
    """Whether an argument is a trial. Known by its name, so that the script can trace other versions of the code."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return any(_holds_a_trial(frame.f_locals.get(name)) for name in names)


def _holds_a_trial(value: object) -> bool:
    if isinstance(value, str):
        return value.startswith(TRIAL_AS_TEXT)
    if isinstance(value, tuple | list):
        return bool(value) and _holds_a_trial(value[0])
    return "TrialSpec" in (type(value).__name__, type(getattr(value, "trial", None)).__name__)


def write_study(folder: Path) -> Path:
    """A study file and its data: eight examples, four to validate on and four problems of the built-in suite."""
    from tasks.readers import Source, read_examples, read_problems
    from tasks.records import Track

    data, track = folder / "data", Track.parse("generation/python")
    data.mkdir()
    for split, read, limit in (
        ("train", read_examples, 8),
        ("validation", read_examples, 4),
        ("test", read_problems, 4),
    ):
        records = read(Source(reader="micro", split=split, limit=limit), track=track, root=data)
        lines = "".join(record.model_dump_json() + "\n" for record in records)
        (data / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    study = folder / "trip.yaml"
    study.write_text(STUDY.format(folder=folder), encoding="utf-8")
    return study


@contextlib.contextmanager
def traced() -> Iterator[Trace]:
    """A trace of this thread and of those that begin meanwhile."""
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def travel(arguments: Sequence[str]) -> Trace:
    """One command of the command line, in this process, without what it prints or remembers of earlier ones' files.

    Raises:
        RuntimeError: if it failed.
    """
    from orchestrator.cli import app
    from tasks.readers import files

    remembered = getattr(files, "_hash_file", None)
    if remembered is not None:
        remembered.cache_clear()
    with traced() as trace, contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            status = app(list(arguments), standalone_mode=False) or 0
        except SystemExit as end:
            status = end.code
    if status:
        raise RuntimeError(f"polytune {' '.join(arguments)} ended with status {status}: {said.getvalue()[-2000:]}")
    return trace


def main() -> None:
    """Trace each command and print what it passed."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for name, value in {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}.items():
        os.environ.setdefault(name, value)
    with tempfile.TemporaryDirectory() as folder:
        study = str(write_study(Path(folder)))
        trial = travel(["run", "--local", "--trial", LABEL, study])
        report = travel(["report", study])
        again = travel(["run", study])
    for name, trace in {
        f"run --local --trial {LABEL}": trial,
        "report": report,
        "run (nothing is due)": again,
        "trip: run --local, then report": trial.then(report),
    }.items():
        print(json.dumps({"command": name, **trace.as_json()}))


if __name__ == "__main__":
    main()
