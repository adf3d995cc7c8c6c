"""One module for each language: what its candidates need to run, and how a program becomes a command.

One decision: Python candidates are forks of a warm interpreter; the other languages' are executed. A
`Runtime` turns a program text into a `Command` or a `Rejected`, and knows nothing of verdicts.
"""

from typing import Protocol

from evaluators.sandbox.languages.outcomes import Command, Rejected
from evaluators.sandbox.languages.remote import RemoteJudge
from evaluators.sandbox.records import Limits
from tasks.records import CallTests, CodeTests


class Runtime(Protocol):
    """An executed language's warm tools, used by one worker at a time."""

    def prepare(self, source: str, *, tests: CallTests | CodeTests, apart: bool, limits: Limits) -> Command | Rejected:
        """Compile the program, with its tests unless they run apart."""

    def open_judge(self, tests: CodeTests, *, preamble: str) -> RemoteJudge | Rejected:
        """Compile tests against stubs, to be run in the warm trusted process; or say why that cannot be.

        Decided from the problem alone, before any program is looked at.
        """

    def close(self) -> None:
        """End the warm processes."""


__all__ = ["Command", "Rejected", "Runtime"]
