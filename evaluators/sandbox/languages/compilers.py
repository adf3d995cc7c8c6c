"""What the warm compilers of Java and C# have in common: a question, a deadline, three answers.

One decision: only `error` blames the program. A compiler that crashes, or does not come to an end, is
a fault of the harness: it is started afresh and asked again.
"""

from pathlib import Path

from evaluators.sandbox.languages import Rejected
from evaluators.sandbox.records import InfrastructureFault
from evaluators.sandbox.warm import WarmProcess

COMPILE_TIMEOUT_S = 60.0


def compile_source(server: WarmProcess, source: Path, target: Path) -> str | Rejected:
    """Compile one file; return what the server says of the result, or why the program was refused.

    Raises:
        InfrastructureFault: if the compiler crashed, died or did not answer.
    """
    answer = server.ask(f"{source}\t{target}", timeout_s=COMPILE_TIMEOUT_S)
    kind, _, text = answer.partition(" ")
    if kind == "ok":
        return text
    if kind == "error":
        return Rejected(message=text)
    raise InfrastructureFault(f"the compiler failed: {text or answer}")


__all__ = ["COMPILE_TIMEOUT_S", "compile_source"]
