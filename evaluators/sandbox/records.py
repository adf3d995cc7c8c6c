"""What the sandbox is asked: a program, the limits and the isolation class that it runs under.

One decision: a program is already the whole text in its track's target language. Extraction and the
joining with a problem's preamble happened before, so that nothing here guesses what a model meant.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from tasks.records import Settings

IsolationClass = Literal["strict", "landlock", "none"]
Isolation = Literal["auto", "strict", "landlock", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One candidate: the full program text written for `problem_id`, and which sample it is."""

    problem_id: str
    source: str
    sample: int = 0


class Limits(Settings):
    """What one generated program may use while it is run."""

    cpu_s: float = Field(default=5.0, gt=0, examples=[10])
    """Seconds of CPU time. They decide time-outs, since they do not depend on how busy the machine is."""

    wall_s: float = Field(default=20.0, gt=0, examples=[60])
    """Seconds of wall time, the net for programs that sleep, counted without the time spent waiting for a processor."""

    memory_mb: int = Field(default=1024, ge=64, examples=[2048])
    """MiB of address space (Python) or heap (Java, C#), and of resident memory of all of the program's processes."""

    output_bytes: int = Field(default=1_000_000, ge=4096, examples=[100_000])
    """Bytes of each file that the program writes, its standard output included, and of each value that it returns."""


class IsolationError(ValueError):
    """An isolation class that this machine cannot give in full."""

    def __init__(self, wanted: str, refusal: str) -> None:
        super().__init__(wanted, refusal)
        self.wanted, self.refusal = wanted, refusal

    def __str__(self) -> str:
        if self.wanted == "strict":
            remedy = "allow unprivileged user namespaces, or take --isolation auto or landlock"
        else:
            remedy = "run on Linux 5.13 or later, or ask for --isolation none by name where the programs are trusted"
        return f"isolation {self.wanted} cannot be given here: {self.refusal}; {remedy}"


__all__ = ["Isolation", "IsolationClass", "IsolationError", "Limits", "Program"]
