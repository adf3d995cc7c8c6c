"""Java: one warm compiler, and a small fresh virtual machine for every candidate.

One decision: the machine is tuned for a life of 50 ms. Measured on two busy cores: `java` with its
defaults 44 ms for a hello, 54 ms with streams; an archive of the application's own classes saved
nothing on top of the JDK's own.
"""

import os
from pathlib import Path

from evaluators.sandbox.languages import Command, Rejected
from evaluators.sandbox.languages.compilers import compile_source
from evaluators.sandbox.languages.wrapping import wrap
from evaluators.sandbox.records import InfrastructureFault, Limits
from evaluators.sandbox.toolchains import java_home_tool
from evaluators.sandbox.warm import WarmProcess
from tasks.records import Language

_SERVER = Path(__file__).with_name("CompileServer.java")
_DRIVER = Path(__file__).with_name("PolytuneDriver.java")
_SHORT_LIVED = ("-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
_CANDIDATE = (
    *_SHORT_LIVED,
    "-XX:ActiveProcessorCount=1",  # few threads, whatever the machine
    "-XX:ErrorFile=/dev/null",
    "-Dfile.encoding=UTF-8",
)
_COMPILER_HEAP = "-Xmx512m"
_OUTSIDE_HEAP_BYTES = 512 * 2**20


class JavaRuntime:
    """Compiles in one warm process and runs each program in a virtual machine of its own."""

    def __init__(self, tools: Path) -> None:
        """Start the compiler, and have it compile the driver into `tools`."""
        java = java_home_tool()
        if java is None:
            raise InfrastructureFault("the JDK is no longer on PATH")
        self._java, self._tools = java, tools
        env = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(tools)}
        argv = (java, *_SHORT_LIVED, _COMPILER_HEAP, str(_SERVER))
        self._server = WarmProcess(argv, env=env, log=tools / "java-compiler.log")
        try:
            built = compile_source(self._server, _DRIVER, tools)
            if isinstance(built, Rejected):
                raise InfrastructureFault(f"this JDK does not compile the driver: {built.message}")
        except InfrastructureFault:
            self.close()
            raise
        os.chmod(tools / "PolytuneDriver.class", 0o644)

    def prepare(self, source: str, *, folder: Path, mode: str, limits: Limits) -> Command | Rejected:
        """Compile the program into the work folder."""
        path = folder / "Candidate.java"
        path.write_text(wrap(source, language=Language.JAVA), encoding="utf-8", errors="replace", newline="")
        classes = compile_source(self._server, path, folder)
        if isinstance(classes, Rejected):
            return classes
        heap = f"-Xmx{limits.memory_mb}m"
        class_path = f"{self._tools}{os.pathsep}{folder}"
        return Command(
            argv=(self._java, *_CANDIDATE, heap, "-cp", class_path, "PolytuneDriver", *classes.split(",")),
            data_bytes=limits.memory_mb * 2**20 + _OUTSIDE_HEAP_BYTES,
        )

    def close(self) -> None:
        """End the compiler."""
        self._server.close()


__all__ = ["JavaRuntime"]
