"""What the sandbox is asked: a program and the limits that it runs under.

One decision: a program is already the whole text in its track's target language. Extraction and the
joining with a problem's preamble happened before, so that nothing here guesses what a model meant.
"""

from dataclasses import dataclass

from pydantic import Field

from tasks.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One candidate: the full program text written for `problem_id`, and which sample it is."""

    problem_id: str
    source: str
    sample: int = 0


class Limits(Record):
    """What one candidate process may use.

    `cpu_s` decides timeouts, since it does not depend on how busy the machine is; `wall_s` is the
    net for programs that sleep. `memory_mb` bounds the address space (Python) or the heap (Java,
    C#), and `output_bytes` each file that a candidate writes, its standard output included.
    """

    cpu_s: float = Field(default=5.0, gt=0)
    wall_s: float = Field(default=20.0, gt=0)
    memory_mb: int = Field(default=1024, ge=64)
    output_bytes: int = Field(default=1_000_000, ge=4096)


class InfrastructureFault(Exception):
    """The harness failed (a warm process died, a driver did not start): never the candidate's fault."""


__all__ = ["InfrastructureFault", "Limits", "Program"]
