"""`polytune doctor`: what this machine can do, and the exact command that mends what it cannot.

One decision: `examine` returns plain records and changes nothing. Each check looks at the thing itself
(an import, a tool on PATH, a namespace) rather than at what a package list promises, and a check that
stumbles reports that as its finding, so one broken library hides no other.
"""

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.commands.options import JsonOption
from orchestrator.commands.output import print_json
from orchestrator.work.delivery import PACKAGES
from tasks.records import Record

if TYPE_CHECKING:
    from evaluators.sandbox import Availability

EPILOG = "Example: polytune doctor --json"
_OLDEST_PYTHON = (3, 11)
# The dependencies with torch's CUDA libraries take about 8 GiB; checkpoints and a hub model come on top.
_ROOM_GIB = 10.0
_MEMORY_GIB = 4.0
_NO_GPP = "trials of kind full will read: not run: no g++"


class Check(Record):
    """One finding: what was looked at, its state, what that means and, unless it is ok, the remedy.

    `limited` works with the loss that `detail` names; `missing` is not there. What is optional says so
    in `detail`.
    """

    name: str
    state: Literal["ok", "missing", "limited"]
    detail: str
    remedy: str = ""


def doctor(json_: JsonOption = False) -> None:
    """Say what this machine can do: GPUs, compilers, analyzers, isolation."""
    checks = examine()
    if json_:
        print_json([check.model_dump(mode="json") for check in checks])
    else:
        _print_checks(checks)


def examine() -> tuple[Check, ...]:
    """Every check, in a fixed order. Takes some seconds: libraries are imported, tools asked for versions."""
    return (
        *_guarded("python", _python),
        *_guarded("packages", _packages),
        *_guarded("machine", _machine),
        *_guarded("torch", _torch),
        *_guarded("bitsandbytes", _bitsandbytes),
        *_guarded("deepspeed", _deepspeed),
        *_guarded("ray", lambda: (_package("ray", use="nothing runs without it"),)),
        *_guarded("mlflow", lambda: (_package("mlflow", use="tracking waits; `polytune track` catches up later"),)),
        *_guarded("languages", _languages),
        *_guarded("isolation", _isolation),
        *_guarded("analyzers", _analyzers),
        *_guarded("optional", _optional),
    )


def _guarded(name: str, look: Callable[[], tuple[Check, ...]]) -> tuple[Check, ...]:
    """A check's findings, or its failure as the finding."""
    try:
        return look()
    except Exception as error:  # whatever a broken installation raises on import is the finding
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        return (Check(name=name, state="missing", detail=f"cannot be examined: {cause}", remedy=_reinstall()),)


def _reinstall() -> str:
    """The command that installs the project from its own root."""
    return f"{sys.executable} -m pip install --editable {Path(__file__).resolve().parents[2]}"


def install_command(package: str) -> str:
    """The pip command for a package in the version range that this project asks for."""
    try:
        requirements = importlib.metadata.requires("polytune") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    named = [r for r in requirements if re.match(r"[\w.-]+", r)[0].lower() == package]  # type: ignore[index]
    return f"{sys.executable} -m pip install '{named[0] if named else package}'"


def _package(name: str, *, use: str) -> Check:
    """Whether a package is installed; `use` says what is lost without it."""
    if importlib.util.find_spec(name) is None:
        return Check(name=name, state="missing", detail=f"not installed; {use}", remedy=install_command(name))
    return Check(name=name, state="ok", detail=importlib.metadata.version(name))


def _python() -> tuple[Check, ...]:
    found = platform.python_version()
    if sys.version_info >= _OLDEST_PYTHON:
        return (Check(name="python", state="ok", detail=found),)
    return (Check(name="python", state="missing", detail=f"{found}, below 3.11", remedy="apt-get install python3.11"),)


def _packages() -> tuple[Check, ...]:
    """The package names are generic, so another project's `tasks` may shadow ours."""
    return (check_roots({name: _root_of(name) for name in PACKAGES}),)


def _root_of(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).resolve().parent.parent if spec is not None and spec.origin else None


def check_roots(roots: dict[str, Path | None]) -> Check:
    """Whether the packages, by the folder that each is imported from, come from one place."""
    if len(set(roots.values())) == 1 and None not in roots.values():
        return Check(name="packages", state="ok", detail=f"{', '.join(roots)} from {next(iter(roots.values()))}")
    places = ", ".join(f"{name} from {root or 'nowhere'}" for name, root in roots.items())
    return Check(name="packages", state="missing", detail=f"not from one root: {places}", remedy=_reinstall())


def _machine() -> tuple[Check, ...]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return (
        Check(name="cores", state="ok", detail=f"{len(os.sched_getaffinity(0))} usable by this process"),
        check_size("memory", memory, least=_MEMORY_GIB, remedy="use a machine with more memory, or a smaller model"),
        check_size("disk", free, least=_ROOM_GIB, remedy="free some space, or set storage to another disk"),
    )


def check_size(name: str, found: float, *, least: float, remedy: str) -> Check:
    """Whether there is room, in GiB."""
    if found >= least:
        return Check(name=name, state="ok", detail=f"{found:.1f} GiB")
    detail = f"{found:.1f} GiB; below {least:.0f} GiB work may fail"
    return Check(name=name, state="limited", detail=detail, remedy=remedy)


def _torch() -> tuple[Check, ...]:
    if importlib.util.find_spec("torch") is None:
        return (_package("torch", use="nothing can be trained"),)
    import torch

    found = Check(name="torch", state="ok", detail=torch.__version__)
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        named = [f"{device.name} ({device.total_memory / 2**30:.0f} GiB)" for device in devices]
        return (found, Check(name="gpu", state="ok", detail=", ".join(named)))
    return (found, _no_gpu(built_for_cuda=torch.version.cuda is not None))


def _no_gpu(*, built_for_cuda: bool) -> Check:
    detail = "no CUDA GPU is seen; trains on CPU, which suits builtin:micro and models below 1 B parameters"
    remedy = "run on a GPU machine: polytune submit --help"
    if Path("/dev/nvidiactl").exists() and built_for_cuda:
        detail, remedy = f"{detail}; a driver is there, which torch cannot use", "nvidia-smi"
    elif Path("/dev/nvidiactl").exists():
        index = "https://download.pytorch.org/whl/cu130"
        detail = f"{detail}; a driver is there, but torch is a build for CPUs"
        remedy = f"{install_command('torch')} --force-reinstall --index-url {index}"
    return Check(name="gpu", state="limited", detail=detail, remedy=remedy)


def _bitsandbytes() -> tuple[Check, ...]:
    found = _package("bitsandbytes", use="trials of kind qlora and 8-bit optimizers fail")
    if found.state == "ok":
        logging.disable(logging.WARNING)  # it warns of kernels that it can do without
        try:
            importlib.import_module("bitsandbytes")  # loads its native library, which is what fails in practice
        finally:
            logging.disable(logging.NOTSET)
    return (found,)


def _deepspeed() -> tuple[Check, ...]:
    return (_package("deepspeed", use="trials of kind full fail"), *check_compilers())


def check_compilers() -> tuple[Check, Check]:
    """g++ and ninja, with which DeepSpeed compiles an operator at its first use."""
    gpp, beside = shutil.which("g++"), Path(sys.executable).parent
    ninja = shutil.which("ninja") or shutil.which("ninja", path=str(beside))
    return (
        Check(name="g++", state="ok", detail=gpp)
        if gpp
        else Check(name="g++", state="missing", detail=_NO_GPP, remedy="apt-get install g++"),
        Check(name="ninja", state="ok", detail=ninja)
        if ninja
        else Check(name="ninja", state="missing", detail="trials of kind full fail", remedy=install_command("ninja")),
    )


def _languages() -> tuple[Check, ...]:
    from evaluators.sandbox import toolchains

    return tuple(
        Check(name=tool.title, state="ok", detail=tool.version)
        if tool.available
        else Check(
            name=tool.title,
            state="missing",
            detail=f"{tool.absent}; {tool.language.title} completions stay unjudged",
            remedy=tool.remedy,
        )
        for tool in toolchains()
    )


def _isolation() -> tuple[Check, ...]:
    from evaluators.sandbox import available_isolation

    return (check_isolation(available_isolation()),)


def check_isolation(found: "tuple[Availability, ...]") -> Check:
    """Which classes confine generated code here, and what a stronger one was refused for."""
    given = ", ".join(one.isolation for one in found if one.available)
    refused = "; ".join(f"{one.isolation} is refused: {one.refusal}" for one in found if not one.available)
    if not refused:
        return Check(name="isolation", state="ok", detail=given)
    if not given:
        detail = f"{refused}; generated code is not run unless --isolation none asks for it by name"
        return Check(name="isolation", state="missing", detail=detail, remedy="run on Linux 5.13 or later")
    remedy = "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=15000"
    return Check(name="isolation", state="limited", detail=f"{given}; {refused}", remedy=remedy)


def _analyzers() -> tuple[Check, ...]:
    return tuple(
        _package(name, use=f"{lost} are not counted, and reports say so")
        for name, lost in (
            ("pylint", "lint messages of Python"),
            ("radon", "maintainability and complexity of Python"),
            ("complexipy", "cognitive complexity of Python"),
            ("bandit", "security issues of Python"),
            ("lizard", "size and complexity of Java and C#"),
        )
    )


def _pmd() -> Check:
    from evaluators.quality.outcome import MissingTool
    from evaluators.quality.pmd import pmd_home, pmd_version

    try:
        return Check(name="pmd", state="ok", detail=f"{pmd_version()} in {pmd_home()}")
    except MissingTool as error:
        lost = f"optional; {error.absent}: PMD's rules for Java are not counted, and reports say so"
        return Check(name="pmd", state="missing", detail=lost, remedy=error.remedy)


def _optional() -> tuple[Check, ...]:
    return (
        _pmd(),
        _tool(
            "chromium",
            ("chromium", "chromium-browser", "google-chrome"),
            use="the report is one HTML page for any browser; only pictures of it need one here",
            remedy="apt-get install chromium",
        ),
        _wordnet(),
        _boto3(),
        _vllm(),
    )


def _wordnet() -> Check:
    from evaluators.similarity.meteor import find_wordnet
    from evaluators.similarity.scored import MissingError

    try:
        find_wordnet()
    except MissingError:
        lost = "optional; without it there is no meteor, only meteor_exact_stem"
        return Check(name="wordnet", state="missing", detail=lost, remedy="apt-get install wordnet-base")
    return Check(name="wordnet", state="ok", detail="METEOR's synonyms")


def _tool(name: str, commands: tuple[str, ...], *, use: str, remedy: str) -> Check:
    found = next((path for command in commands if (path := shutil.which(command))), None)
    if found:
        return Check(name=name, state="ok", detail=found)
    return Check(name=name, state="missing", detail=f"optional; without it {use}", remedy=remedy)


def _boto3() -> Check:
    if importlib.util.find_spec("boto3") is not None:
        return Check(name="boto3", state="ok", detail=importlib.metadata.version("boto3"))
    lost = "optional; without it `ray up` and `polytune submit` cannot reach AWS"
    return Check(name="boto3", state="missing", detail=lost, remedy=install_command("boto3"))


def _vllm() -> Check:
    from evaluators.generation.engines import absent_vllm, vllm_version

    absent = absent_vllm(quantised=False) or absent_vllm(quantised=True)
    if not absent:
        return Check(name="vllm", state="ok", detail=f"{vllm_version()}, for generation.engine: vllm on GPUs")
    why = absent.partition(":")[0]
    lost = f"optional; {why}, so completions are written by generation.engine: transformers"
    return Check(name="vllm", state="missing", detail=lost, remedy=f"{_reinstall()}[vllm]")


def _print_checks(checks: Sequence[Check]) -> None:
    """What this machine can do, worst news in red."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("what", "state", "detail", "remedy"):
        table.add_column(column, overflow="fold")
    styles = {"ok": "green", "limited": "yellow", "missing": "red"}
    for check in checks:
        # Plain text: details may hold brackets, which rich would read as markup.
        state = Text(check.state, style=styles[check.state])
        table.add_row(Text(check.name), state, Text(check.detail), Text(check.remedy))
    Console().print(table)


__all__ = [
    "Check",
    "check_compilers",
    "check_isolation",
    "check_roots",
    "check_size",
    "doctor",
    "examine",
    "install_command",
]
