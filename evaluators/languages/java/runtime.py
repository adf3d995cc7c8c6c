"""Java: one warm compiler that also judges, and a small fresh virtual machine for every candidate.

One decision: the machine is tuned for a short life and few threads. Measured, CPU of one sample from start to
answer on a busy machine: 119 ms without class-data sharing, 90-94 ms with it and these flags, 83 ms with the
JDK's defaults, which start more threads; an archive of the driver's own classes as well would save 15 ms. The
interpreter alone would save 18 ms and cost long programs a multiple. No `/proc` is needed where the launcher
is told where its libraries lie.
"""

import functools
import os
import subprocess
from pathlib import Path

from evaluators.languages.braced.compilers import COMPILE_TIMEOUT_S, CompileServer
from evaluators.languages.braced.remote import RemoteJudge
from evaluators.languages.java.stubs import STUBS
from evaluators.languages.java.toolchain import NEWER, java_home_tool
from evaluators.languages.runtimes import Command, Rejected, RuntimeSupport, shared_libraries
from evaluators.languages.warm import InfrastructureFault, WarmProcess
from tasks.records import CallTests, CodeTests

_HERE = Path(__file__).parent
_SOURCES = (
    *sorted(_HERE.glob("javatuples/*.java")),
    _HERE / "PolytuneCodec.java",
    _HERE / "PolytuneSignatures.java",
    _HERE / "PolytuneDriver.java",
    _HERE / "PolytuneBridge.java",
    _HERE / "CompileServer.java",
)
_SHORT_LIVED = ("-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
_CANDIDATE = (
    *_SHORT_LIVED,
    "-XX:ActiveProcessorCount=1",  # few threads, whatever the machine
    "-XX:ErrorFile=/dev/null",
    "-Dfile.encoding=UTF-8",
)
_COMPILER_HEAP = "-Xmx512m"
_OUTSIDE_HEAP_BYTES = 512 * 2**20


@functools.cache
def _readable(java: str) -> tuple[str, ...]:
    home = Path(java).parent.parent
    known = [str(home), *shared_libraries(), "/usr/share/zoneinfo"]
    links = (Path(folder) / name for folder, names, files in os.walk(home) for name in (*names, *files))
    led = {str(link.resolve()) for link in links if link.is_symlink() and link.exists()}
    for path in sorted(led):  # Debian keeps a JDK's settings under /etc
        if not any(path == other or path.startswith(f"{other}/") for other in known):
            known.append(path)
    return tuple(known)


def readable_paths() -> tuple[str, ...]:
    """What a virtual machine reads while it runs: the JDK, what its links lead to, and shared libraries."""
    java = java_home_tool()
    return () if java is None else _readable(java)


class JavaRuntime:
    """Compiles and judges in one warm process, and runs each program in a virtual machine of its own."""

    def __init__(self, tools: Path) -> None:
        """Compile driver and server into `tools`, and start the latter."""
        java = java_home_tool()
        if java is None:
            raise InfrastructureFault("the JDK is no longer on PATH")
        self._java, self._tools = java, tools
        env = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(tools)}
        self._build(env)
        classes = (str(tools / "library"), str(tools / "ours"))
        argv = (java, *_SHORT_LIVED, _COMPILER_HEAP, "-cp", os.pathsep.join(classes), "CompileServer", *classes)
        self._server = CompileServer(WarmProcess(argv, env=env, log=tools / "java.log"), rules=STUBS, remedy=NEWER)

    def _build(self, env: dict[str, str]) -> None:
        javac, ours = str(Path(self._java).with_name("javac")), self._tools / "ours"
        argv = (javac, "-J-XX:TieredStopAtLevel=1", "-proc:none", "-nowarn", "-d", str(ours), *map(str, _SOURCES))
        try:
            done = subprocess.run(argv, env=env, capture_output=True, timeout=COMPILE_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InfrastructureFault(f"could not compile the driver: {error}") from error
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace")[-300:]
            raise InfrastructureFault(f"this JDK does not compile the driver: {said}")
        (self._tools / "library").mkdir()
        (ours / "org").rename(self._tools / "library" / "org")  # what programs may be compiled against
        subprocess.run(["chmod", "-R", "a+rX", "--", str(self._tools)], check=True)

    def prepare(self, source: str, *, tests: CallTests | CodeTests, apart: bool, memory_mb: int) -> Command | Rejected:
        """Compile the program, with its tests unless they run apart."""
        program = self._server.compile(source, tests=tests)
        if isinstance(program, Rejected):
            return program
        together = self._server.compile_with(source, tests) if isinstance(tests, CodeTests) and not apart else None
        if isinstance(together, Rejected):
            return together
        class_path = f"{self._tools / 'library'}{os.pathsep}{self._tools / 'ours'}"
        return Command(
            argv=(self._java, *_CANDIDATE, f"-Xmx{memory_mb}m", "-cp", class_path, "PolytuneDriver"),
            env=(("LD_LIBRARY_PATH", str(Path(self._java).parent.parent / "lib")),),
            data_bytes=memory_mb * 2**20 + _OUTSIDE_HEAP_BYTES,
            program=program,
            tests=together,
        )

    def open_judge(self, tests: CodeTests, *, preamble: str) -> RemoteJudge | Rejected:
        """Compile tests against stubs, to be run in the warm process."""
        return self._server.open_judge(tests, preamble=preamble)

    def close(self) -> None:
        """End the warm process."""
        self._server.close()


RUNTIME = RuntimeSupport(readable=readable_paths, needs_proc=False, start=JavaRuntime)

__all__ = ["RUNTIME", "JavaRuntime", "readable_paths"]
