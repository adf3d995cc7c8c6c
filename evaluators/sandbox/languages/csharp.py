"""C# on mono: one warm compiler, and a fresh `mono` for every candidate.

One decision: `mcs.exe` is loaded once and called through its own entry point for callers, which resets
its state (a test compiles a faulty program, then others that would notice). Measured: about 40 ms of
CPU a program against 164 ms for one `mcs` process each.
"""

import os
import subprocess
from pathlib import Path

from evaluators.sandbox.languages import Command, Rejected
from evaluators.sandbox.languages.compilers import COMPILE_TIMEOUT_S, compile_source
from evaluators.sandbox.languages.wrapping import wrap
from evaluators.sandbox.records import InfrastructureFault, Limits
from evaluators.sandbox.toolchains import mono_tools
from evaluators.sandbox.warm import WarmProcess
from tasks.records import Language

_SERVER = Path(__file__).with_name("CompileServer.cs")
_DRIVER = Path(__file__).with_name("PolytuneDriver.cs")
_OUTSIDE_HEAP_BYTES = 512 * 2**20


class CSharpRuntime:
    """Compiles in one warm process and runs each program in a mono of its own."""

    def __init__(self, tools: Path) -> None:
        """Build driver and compile server into `tools`, and start the latter."""
        found = mono_tools()
        if found is None:
            raise InfrastructureFault("mono is no longer on PATH")
        self._mono, mcs = found
        self._env = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(tools)}
        server = self._build(_SERVER, mcs=mcs, target=tools / "CompileServer.exe")
        self._driver = self._build(_DRIVER, mcs=mcs, target=tools / "PolytuneDriver.exe")
        argv = (self._mono, str(server), mcs)
        self._server = WarmProcess(argv, env=self._env, log=tools / "csharp-compiler.log")

    def _build(self, source: Path, *, mcs: str, target: Path) -> Path:
        argv = (self._mono, mcs, "-nologo", "-noconfig", "-r:System.dll", "-r:System.Core.dll", f"-out:{target}")
        try:
            done = subprocess.run(
                (*argv, str(source)), env=self._env, capture_output=True, timeout=COMPILE_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InfrastructureFault(f"could not compile {source.name}: {error}") from error
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace")[-300:]
            raise InfrastructureFault(f"this mono does not compile {source.name}: {said}")
        os.chmod(target, 0o755)
        return target

    def prepare(self, source: str, *, folder: Path, mode: str, limits: Limits) -> Command | Rejected:
        """Compile the program into the work folder."""
        path, assembly = folder / "Candidate.cs", folder / "Candidate.dll"
        path.write_text(wrap(source, language=Language.CSHARP), encoding="utf-8", errors="replace", newline="")
        said = compile_source(self._server, path, assembly)
        if isinstance(said, Rejected):
            return said
        return Command(
            argv=(self._mono, str(self._driver), str(assembly)),
            env=(("MONO_GC_PARAMS", f"max-heap-size={limits.memory_mb}m"),),
            data_bytes=limits.memory_mb * 2**20 + _OUTSIDE_HEAP_BYTES,
        )

    def close(self) -> None:
        """End the compiler."""
        self._server.close()


__all__ = ["CSharpRuntime"]
