"""C# on mono: one warm compiler that also judges, and a fresh `mono` for every candidate.

One decision: `mcs.exe` is loaded once and called through its own entry point for callers, which resets
its state (a test compiles a faulty program, then others that would notice). Measured: about 40 ms of
CPU a program against 164 ms for one `mcs` process each.
"""

import os
import subprocess
from functools import partial
from pathlib import Path

from evaluators.languages.braced.compilers import COMPILE_TIMEOUT_S, CompileServer
from evaluators.languages.braced.remote import RemoteJudge
from evaluators.languages.csharp.dotnet import SdkCompiler, find_sdk
from evaluators.languages.csharp.newer import GRAMMAR, is_newer
from evaluators.languages.csharp.stubs import STUBS
from evaluators.languages.csharp.toolchain import NEWER, mono_tools
from evaluators.languages.runtimes import Command, Rejected, RuntimeSupport, shared_libraries
from evaluators.languages.warm import InfrastructureFault, WarmProcess
from tasks.records import CallTests, CodeTests

_HERE = Path(__file__).parent
_LIBRARY, _CODEC, _SIGNATURES, _DRIVER, _BRIDGE, _SERVER = (
    _HERE / name
    for name in (
        *("CompareLogic.cs", "PolytuneCodec.cs", "PolytuneSignatures.cs", "PolytuneDriver.cs"),
        *("PolytuneBridge.cs", "CompileServer.cs"),
    )
)
_REFERENCES = ("-r:System.dll", "-r:System.Core.dll", "-r:System.Numerics.dll")
_OUTSIDE_HEAP_BYTES = 512 * 2**20


def readable_paths() -> tuple[str, ...]:
    """What mono reads while it runs."""
    found = mono_tools()
    if found is None:
        return ()
    mono, library = found[0], Path(found[1]).parent.parent.parent  # mcs.exe lies in lib/mono/4.5
    native = sorted(str(path) for path in library.glob("lib[mM]ono*"))
    sdk = find_sdk()
    more = () if sdk is None else (str(sdk.root),)
    return (str(library / "mono"), mono, *native, "/etc/mono", *shared_libraries(), "/usr/share/zoneinfo", *more)


class CSharpRuntime:
    """Compiles and judges in one warm process, and runs each program in a mono of its own."""

    def __init__(self, tools: Path) -> None:
        """Build driver and server into `tools`, and start the latter."""
        found = mono_tools()
        if found is None:
            raise InfrastructureFault("mono is no longer on PATH")
        self._mono, self._mcs = found
        self._env = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(tools), "MONO_DISABLE_SHARED_AREA": "1"}
        library = self._build(tools / "CompareNETObjects.dll", _LIBRARY)
        self._driver = self._build(tools / "PolytuneDriver.exe", _CODEC, _SIGNATURES, _DRIVER)
        server = self._build(tools / "CompileServer.exe", _CODEC, _BRIDGE, _SERVER)
        subprocess.run(["chmod", "-R", "a+rX", "--", str(tools)], check=True)
        argv = (self._mono, str(server), self._mcs, str(library), str(tools))
        log = tools / "csharp.log"
        newer = partial(is_newer, grammar=GRAMMAR)
        sdk = find_sdk()
        self._sdk: SdkCompiler | None = None
        if sdk is not None:
            driver = (_CODEC, _SIGNATURES, _DRIVER)
            self._sdk = SdkCompiler(sdk, tools=tools, driver=driver, library=_LIBRARY)
        self._server = CompileServer(
            WarmProcess(argv, env=self._env, log=log), rules=STUBS, remedy=NEWER, is_newer=newer
        )

    def _build(self, target: Path, *sources: Path) -> Path:
        kind = "library" if target.suffix == ".dll" else "exe"
        argv = (self._mono, self._mcs, "-nologo", "-noconfig", *_REFERENCES, f"-target:{kind}", f"-out:{target}")
        try:
            done = subprocess.run(
                (*argv, *map(str, sources)), env=self._env, capture_output=True, timeout=COMPILE_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InfrastructureFault(f"could not compile {target.name}: {error}") from error
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace")[-300:]
            raise InfrastructureFault(f"this mono does not compile {target.name}: {said}")
        return target

    def prepare(self, source: str, *, tests: CallTests | CodeTests, apart: bool, memory_mb: int) -> Command | Rejected:
        """Compile the program, with its tests unless they run apart."""
        program = self._server.compile(source, tests=tests)
        if isinstance(program, Rejected):
            if not program.too_old:
                return program
            return self._by_sdk(source, tests=tests, apart=apart, memory_mb=memory_mb, refused=program)
        together = self._server.compile_with(source, tests) if isinstance(tests, CodeTests) and not apart else None
        if isinstance(together, Rejected):
            return together
        return Command(
            argv=(self._mono, str(self._driver)),
            env=(("MONO_GC_PARAMS", f"max-heap-size={memory_mb}m"), ("MONO_DISABLE_SHARED_AREA", "1")),
            data_bytes=memory_mb * 2**20 + _OUTSIDE_HEAP_BYTES,
            program=program,
            tests=together,
        )

    def _by_sdk(
        self, source: str, *, tests: CallTests | CodeTests, apart: bool, memory_mb: int, refused: Rejected
    ) -> Command | Rejected:
        """Compile what mono is too old for with a .NET SDK, where there is one."""
        if self._sdk is None:
            return refused
        program = self._sdk.compile(self._server.whole(source, tests=tests))
        if isinstance(program, Rejected):
            return program
        together = None
        if isinstance(tests, CodeTests) and not apart:
            together = self._sdk.compile(self._server.whole_with(source, tests))
        if isinstance(together, Rejected):
            return together
        return self._sdk.command(program, together, memory_mb=memory_mb)

    def open_judge(self, tests: CodeTests, *, preamble: str) -> RemoteJudge | Rejected:
        """Compile tests against stubs, to be run in the warm process."""
        return self._server.open_judge(tests, preamble=preamble)

    def close(self) -> None:
        """End the warm process."""
        self._server.close()


RUNTIME = RuntimeSupport(readable=readable_paths, needs_proc=True, start=CSharpRuntime)

__all__ = ["RUNTIME", "CSharpRuntime", "readable_paths"]
