"""`polytune init`: a commented study to start from, which runs as it is.

One decision: what is written is short and true; every other setting has a default that `polytune schema` tells of.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: polytune init --model Qwen/Qwen2.5-Coder-0.5B-Instruct --data pairs.jsonl"

_STUDY = """\
# A study: models x methods x tasks. `polytune plan {file}` shows what would run, `polytune run {file}` runs it.
study: {name}
question: >
  {question}

# A hub id (pin it: {{name: org/model, revision: COMMIT}}), a local folder, or builtin:micro, which needs no network.
models: [{model}]

# A task in a language: generation/LANGUAGE, translation/LANGUAGE-LANGUAGE, summarization/LANGUAGE.
# `train` and `test` name data: `micro` is built in, a path is a file of your own (docs/data.md).
tasks:
{tasks}
# The ways to adapt the model. Each has defaults; `training:` here or in a method changes them.
methods:
  frozen: {{kind: frozen}}                          # the model as it is
{methods}"""
_GROUPINGS = """\
  qlora-together: {kind: qlora, grouping: together}  # one 4-bit adapter for all tasks
  qlora-apart: {kind: qlora, grouping: apart}        # one for each task
"""
_ONE_ADAPTER = "  qlora: {kind: qlora, grouping: together}          # a 4-bit adapter\n"
_BUILT_IN = "  generation/python: {train: micro, test: micro}\n  summarization/python: {train: micro, test: micro}\n"
_OWN = """\
  {track}:
    train: {data}
    test: {test}
"""


def init(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The study file to write.")] = Path("study.yaml"),
    model: Annotated[str, typer.Option("--model", help="A hub id, a folder, or builtin:micro.")] = "builtin:micro",
    data: Annotated[str | None, typer.Option("--data", help="A file or folder of your own to train on.")] = None,
    test: Annotated[str | None, typer.Option("--test", help="A file of your own with problems to test on.")] = None,
    track: Annotated[str, typer.Option("--track", help="What your data is for.")] = "generation/python",
) -> None:
    """Write a commented study that runs as it is: on the built-in model and tasks, or on your own."""
    from orchestrator.commands.output import warn
    from orchestrator.errors import PolytuneError
    from tasks.readers import DataError
    from tasks.records import Track

    Track.parse(track)
    if to.exists():
        raise PolytuneError(f"{to} is there already, and nothing is overwritten; name another file")
    if test is not None and data is None:
        raise PolytuneError("--test needs --data, the file to train on")
    to.write_text(_study(to, model=model, data=data, test=test, track=track), encoding="utf-8")
    try:
        told = _expected(to)
    except (PolytuneError, DataError):
        warn(f"{to} is written, and cannot run before this is mended")
        raise
    if data is not None and test is None:
        warn(f"{to} is tested on the built-in problems of {track}; name your own with test: FILE")
    sys.stdout.write(f"Written: {to}\n{told[:1].upper()}{told[1:]}\nNext: polytune plan {to}\n")


def _study(to: Path, *, model: str, data: str | None, test: str | None, track: str) -> str:
    """A study's text. Of one track, one adapter for all and one for each would be the same."""
    if data is None:
        question, tasks, methods = "Is one adapter for all tasks as good as one for each?", _BUILT_IN, _GROUPINGS
    else:
        question, methods = "Does QLoRA on this data beat the model as it came?", _ONE_ADAPTER
        tasks = _OWN.format(track=track, data=data, test=test or "micro")
    return _STUDY.format(file=to, name=_name(to), question=question, model=model, tasks=tasks, methods=methods)


def _expected(study: Path) -> str:
    """How long a run of a study takes and how much disk, which finds its faults too."""
    from orchestrator.plan.expected import expected
    from orchestrator.plan.machine import this_machine
    from orchestrator.run.opening import open_study
    from orchestrator.run.planning import plan_study

    cells, ledger = open_study(study)
    planned, _ = plan_study(cells, ledger)
    resources = cells.study.resources
    return expected(planned, resources, this_machine(resources)) or "nothing is due: the storage has it all"


def _name(path: Path) -> str:
    """A study's name from its file's."""
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in path.stem)
    return letters.strip("-") or "study"


__all__ = ["EPILOG", "init"]
