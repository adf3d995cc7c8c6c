"""Which isolation classes this machine gives, and why it refuses a stronger one.

One decision: a class is tried as a run would try it, never guessed from versions or settings.
"""

from dataclasses import dataclass

from evaluators.languages.warm import InfrastructureFault
from evaluators.sandbox.bench import Bench
from evaluators.sandbox.records import IsolationClass, IsolationError
from tasks.records import Language

_CLASSES: tuple[IsolationClass, ...] = ("strict", "landlock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether a class can be given here in full, and else what was refused."""

    isolation: IsolationClass
    available: bool
    refusal: str = ""


def available_isolation() -> tuple[Availability, ...]:
    """Each class that confines, the strongest first; takes about a second."""
    return tuple(_tried(isolation) for isolation in _CLASSES)


def _tried(isolation: IsolationClass) -> Availability:
    try:
        with Bench(isolation=isolation) as bench:
            bench.isolation_class(Language.PYTHON)
    except IsolationError as error:
        return Availability(isolation=isolation, available=False, refusal=error.refusal)
    except InfrastructureFault as fault:
        return Availability(isolation=isolation, available=False, refusal=str(fault))
    return Availability(isolation=isolation, available=True)


__all__ = ["Availability", "available_isolation"]
