"""Tests of Java and C# run in their language's warm trusted process; this passes lines between it and a candidate.

One decision: the lines cross as they are. The process that compiles and judges speaks the candidate's
own protocol, so nothing is translated on the way.
"""

import json
from collections.abc import Callable

from evaluators.languages.runtimes import EndKind, JudgeEnd
from evaluators.languages.warm import InfrastructureFault, WarmProcess

_SILENCE_S = 60.0

_ENDS: dict[str, EndKind] = {
    "done": "passed",
    "failed": "failed",
    "raised": "raised",
    "memory": "memory",
    "missing": "missing",
    "endless": "endless",
    "unsayable": "unsayable",
}


class RemoteJudge:
    """Compiled tests, ready to be run against a candidate."""

    def __init__(self, server: WarmProcess, name: str) -> None:
        """Name the warm process, and what it calls the tests."""
        self._server, self.name = server, name

    def run(self, ask: Callable[[str], str]) -> JudgeEnd:
        """Run the tests once; `ask` takes the candidate a line and returns its answer.

        Whatever `ask` raises passes through; the warm process then abandons the run.

        Raises:
            InfrastructureFault: if the warm process died or did not come to an end.
        """
        line = self._server.ask(json.dumps(["run", self.name]), timeout_s=_SILENCE_S)
        while True:
            word, _, rest = line.partition(" ")
            if word != "call":
                return _end(word, rest)
            try:
                answer = ask(rest)
            except BaseException:
                self._abandon()
                raise
            line = self._server.ask(answer, timeout_s=_SILENCE_S)

    def _abandon(self) -> None:
        """Tell the warm process that there will be no more answers, and hear its end of the run."""
        line = self._server.ask('["stop"]', timeout_s=_SILENCE_S)
        while line.startswith("call "):
            line = self._server.ask('["stop"]', timeout_s=_SILENCE_S)


def _end(word: str, rest: str) -> JudgeEnd:
    kind = _ENDS.get(word)
    if kind is None:
        raise InfrastructureFault(f"the judge said {word[:40]!r}: {rest[:200]}")
    return JudgeEnd(kind=kind, text=rest)


__all__ = ["RemoteJudge"]
