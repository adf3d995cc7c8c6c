"""What preparing a program gives: a command to start, or a refusal of the compiler's.

One decision: these two records stand apart from the runtimes that make them, so that the modules of the
languages can share them.
"""

from dataclasses import dataclass

from evaluators.isolation.values import Encoded


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
    """Refused, by the compiler or as something that cannot be expressed, and the reason."""

    message: str


__all__ = ["Command", "Rejected"]
