"""What the warm processes of Java and C# have in common: they compile, and they judge.

One decision: only `error` blames the program. A compiler that crashes, or does not come to an end, is
a fault of the harness: it is started afresh and asked again. Tests are compiled once for all programs
of their problem.
"""

import json
from collections.abc import Callable

from evaluators.isolation.values import Encoded
from evaluators.languages.braced.remote import RemoteJudge
from evaluators.languages.braced.stubs import StubRules, closing_braces, stub_source
from evaluators.languages.braced.wrapping import wrap
from evaluators.languages.runtimes import Rejected
from evaluators.languages.warm import InfrastructureFault, WarmProcess
from tasks.records import CallTests, CodeTests

COMPILE_TIMEOUT_S = 60.0
_MOST_JUDGES = 256


class CompileServer:
    """A language's warm process; `CompileServer.java` and `.cs` say what it is asked."""

    def __init__(
        self, server: WarmProcess, *, rules: StubRules, remedy: str, is_newer: Callable[[str, str], bool] | None = None
    ) -> None:
        """Take over a process that was just started.

        `is_newer` says of a refused program and the compiler's message whether the compiler is too old for it,
        where the compiler does not say so itself; `remedy` is what to install then.
        """
        self._server, self._rules, self._remedy, self._is_newer = server, rules, remedy, is_newer
        self._judges: dict[tuple[str, str], RemoteJudge | Rejected] = {}
        self._opened = 0

    def _ask(self, *request: str) -> str | Rejected:
        """Ask; return what the server says of the result, or why the program was refused.

        Raises:
            InfrastructureFault: if the compiler crashed, died or did not answer.
        """
        answer = self._server.ask(json.dumps(request), timeout_s=COMPILE_TIMEOUT_S)
        kind, _, text = answer.partition(" ")
        if kind == "ok":
            return text
        if kind == "error":
            return Rejected(message=text)
        if kind == "old":
            return self._too_old(text)
        raise InfrastructureFault(f"the compiler failed: {text or answer}")

    def _too_old(self, message: str) -> Rejected:
        return Rejected(message=f"{message}; {self._remedy}", too_old=True)

    def compile(self, source: str, *, tests: CallTests | CodeTests) -> Encoded | Rejected:
        """Compile a program alone; what tests in its class would close is closed."""
        return self._compiled(self._closed(source, tests))

    def compile_with(self, source: str, tests: CodeTests) -> Encoded | Rejected:
        """Compile a program together with the tests that follow it."""
        return self._compiled(f"{source}\n{tests.code}")

    def _closed(self, source: str, tests: CallTests | CodeTests) -> str:
        if isinstance(tests, CodeTests):
            return f"{source}\n{'}' * closing_braces(tests.code, rules=self._rules.wrapping)}"
        return source

    def whole(self, source: str, *, tests: CallTests | CodeTests) -> str:
        """The file that `compile` compiles."""
        return wrap(self._closed(source, tests), rules=self._rules.wrapping)

    def whole_with(self, source: str, tests: CodeTests) -> str:
        """The file that `compile_with` compiles."""
        return wrap(f"{source}\n{tests.code}", rules=self._rules.wrapping)

    def _compiled(self, source: str) -> Encoded | Rejected:
        said = self._ask("compile", wrap(source, rules=self._rules.wrapping))
        if isinstance(said, Rejected):
            newer = not said.too_old and self._is_newer is not None and self._is_newer(source, said.message)
            return self._too_old(said.message) if newer else said
        compiled: Encoded = json.loads(said)
        return compiled

    def open_judge(self, tests: CodeTests, *, preamble: str) -> RemoteJudge | Rejected:
        """Compile tests against stubs, or say why they cannot be."""
        key = (preamble, tests.code)
        if key not in self._judges:
            if len(self._judges) >= _MOST_JUDGES:
                self._forget()
            self._judges[key] = self._new_judge(tests, preamble=preamble)
        return self._judges[key]

    def _new_judge(self, tests: CodeTests, *, preamble: str) -> RemoteJudge | Rejected:
        stub = stub_source(preamble, tests.code, rules=self._rules)
        if isinstance(stub, Rejected):
            return stub
        self._opened += 1
        name = str(self._opened)
        said = self._ask("judge", name, wrap(stub, rules=self._rules.wrapping))
        return said if isinstance(said, Rejected) else RemoteJudge(self._server, name)

    def _forget(self) -> None:
        for judge in self._judges.values():
            if isinstance(judge, RemoteJudge):
                self._ask("drop", judge.name)
        self._judges.clear()

    def close(self) -> None:
        """End the process."""
        self._server.close()


__all__ = ["COMPILE_TIMEOUT_S", "CompileServer"]
