"""Programs as commands: what a language must offer so that its candidates can be run.

One decision: candidates of a language are forks of this program's own warm interpreter, or are executed. For
the latter a `Runtime` turns a program's text into a `Command` or a `Rejected`, and knows nothing of verdicts.
"""

import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from evaluators.isolation.values import Encoded
from tasks.records import CallTests, CodeTests


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start: an argument vector, extra environment, and memory bounds in bytes.

    `program` is what the started driver reads first, and `tests`, where they run in-process, what is
    handed over with the nonce once the program has been loaded.
    """

    argv: tuple[str, ...]
    program: Encoded
    tests: Encoded = None
    env: tuple[tuple[str, str], ...] = ()
    address_space_bytes: int | None = None
    data_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Refused, by the compiler or as something that cannot be expressed, and the reason.

    `too_old` says that the compiler is older than what the program is written in.
    """

    message: str
    too_old: bool = False


EndKind = Literal["passed", "failed", "raised", "memory", "missing", "endless", "unsayable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeEnd:
    """How tests ended, and what to tell."""

    kind: EndKind
    text: str = ""


class Judge(Protocol):
    """Tests in a trusted process, ready to be run against a candidate."""

    def run(self, ask: Callable[[str], str]) -> JudgeEnd:
        """Run the tests once; `ask` takes the candidate a line and returns its answer."""


class Runtime(Protocol):
    """An executed language's warm tools, used by one worker at a time."""

    def prepare(self, source: str, *, tests: CallTests | CodeTests, apart: bool, memory_mb: int) -> Command | Rejected:
        """Compile the program, with its tests unless they run apart; `memory_mb` bounds its heap."""

    def open_judge(self, tests: CodeTests, *, preamble: str) -> Judge | Rejected:
        """Compile tests against stubs, to be run in the warm trusted process; or say why that cannot be.

        Decided from the problem alone, before any program is looked at.
        """

    def close(self) -> None:
        """End the warm processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSupport:
    """How a language's candidates are run.

    `readable` are the files and folders that they read while they run, that of the language itself first.
    `start` makes the warm tools in a folder of their own; None means that candidates are forks of a warm
    interpreter of the Python that this program runs on. `needs_proc` says that they read `/proc`.
    """

    readable: Callable[[], tuple[str, ...]]
    needs_proc: bool
    start: Callable[[Path], Runtime] | None


def shared_libraries() -> tuple[str, ...]:
    """The folders in which this machine's dynamic linker looks."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = (f"/usr/lib/{multiarch}", f"/lib/{multiarch}") if multiarch else ("/usr/lib", "/lib")
    return (*folders, "/usr/lib64", "/lib64", "/etc/ld.so.cache")


__all__ = ["Command", "EndKind", "Judge", "JudgeEnd", "Rejected", "Runtime", "RuntimeSupport", "shared_libraries"]
