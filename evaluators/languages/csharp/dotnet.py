"""A .NET SDK, where there is one: it compiles and runs what mono's compiler is too old for.

One decision: it is asked only for what mono cannot judge, so that a machine with an SDK judges more programs than
one without, and no program differently. No SDK could be installed where this was written, so nothing here has been
run against one; the README says so.
"""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.isolation.values import Encoded
from evaluators.languages.runtimes import Command, Rejected
from evaluators.languages.warm import InfrastructureFault

_TIMEOUT_S = 60.0
_ERROR = re.compile(r"\((\d+),\d+\): error (.*)")
_OUTSIDE_HEAP_BYTES = 1024 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """An SDK's host, compiler, reference assemblies and the version of the runtime that runs the result."""

    host: Path
    compiler: Path
    references: Path
    runtime: str

    @property
    def root(self) -> Path:
        """The folder of all of it."""
        return self.host.parent


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", path.name)))


def _newest(folder: Path, within: str) -> Path | None:
    """Of the versions in a folder, the newest that has what is looked for within it."""
    found = [next(iter(sorted(version.glob(within))), None) for version in sorted(folder.glob("*"), key=_numbers)]
    whole = [path for path in found if path is not None]
    return whole[-1] if whole else None


def find_sdk() -> Sdk | None:
    """The SDK of the `dotnet` on PATH; None if there is none, or a runtime alone."""
    host = shutil.which("dotnet")
    if host is None:
        return None
    real = Path(host).resolve()
    compiler = _newest(real.parent / "sdk", "Roslyn/bincore/csc.dll")
    references = _newest(real.parent / "packs" / "Microsoft.NETCore.App.Ref", "ref/net*/System.Runtime.dll")
    runtime = _newest(real.parent / "shared" / "Microsoft.NETCore.App", "System.Private.CoreLib.dll")
    if compiler is None or references is None or runtime is None:
        return None
    return Sdk(host=real, compiler=compiler, references=references.parent, runtime=runtime.parent.name)


class SdkCompiler:
    """Compiles with an SDK, and says how the result is run; the driver is built when first needed."""

    def __init__(self, sdk: Sdk, *, tools: Path, driver: Sequence[Path], library: Path) -> None:
        """Take `tools`, a folder that candidates read, the driver's sources, and that of what programs may use."""
        self._sdk, self._tools, self._sources, self._library_source = sdk, tools / "dotnet", driver, library
        self._env = {
            "PATH": os.defpath,
            "HOME": str(tools),
            "DOTNET_ROOT": str(sdk.root),
            "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
            "DOTNET_NOLOGO": "1",
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        }

    @property
    def _driver(self) -> Path:
        return self._tools / "PolytuneDriver.dll"

    @property
    def _library(self) -> Path:
        return self._tools / "CompareNETObjects.dll"

    def _compile(self, target: Path, *options: str) -> str | None:
        """Compile into `target`; None, or what the compiler said."""
        references = [f"-r:{path}" for path in sorted(self._sdk.references.glob("*.dll"))]
        argv = [str(self._sdk.host), "exec", str(self._sdk.compiler), "-nologo", "-nostdlib", "-noconfig"]
        argv += ["-langversion:latest", "-utf8output", "-warn:0", f"-out:{target}", *references, *options]
        try:
            done = subprocess.run(argv, env=self._env, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InfrastructureFault(f"the SDK's compiler failed: {error}") from error
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode != 0 and "error CS" not in said:
            raise InfrastructureFault(f"the SDK's compiler failed: {said[-300:]}")
        return None if done.returncode == 0 else said

    def _build(self) -> None:
        if self._driver.exists():
            return
        self._tools.mkdir(mode=0o755, exist_ok=True)
        framework = {"name": "Microsoft.NETCore.App", "version": self._sdk.runtime}
        config = {"runtimeOptions": {"framework": framework}}
        self._driver.with_suffix(".runtimeconfig.json").write_text(json.dumps(config), encoding="utf-8")
        for target, kind, sources in (
            (self._library, "library", [self._library_source]),
            (self._driver, "exe", list(self._sources)),
        ):
            said = self._compile(target, f"-target:{kind}", *map(str, sources))
            if said is not None:
                raise InfrastructureFault(f"the SDK does not compile {target.name}: {said[-300:]}")
        subprocess.run(["chmod", "-R", "a+rX", "--", str(self._tools)], check=True)

    def compile(self, source: str) -> Encoded | Rejected:
        """Compile a whole program, to what the driver loads."""
        self._build()
        path, target = self._tools / "Candidate.cs", self._tools / "Candidate.dll"
        path.write_text(source, encoding="utf-8", errors="replace")
        said = self._compile(target, "-target:library", "-d:DEBUG", f"-r:{self._library}", str(path))
        if said is None:
            content = base64.b64encode(target.read_bytes()).decode("ascii")
            target.unlink()
            return {"Candidate": content}
        first = _ERROR.search(said)
        return Rejected(message=f"line {first[1]}: {first[2].strip()}" if first else said.strip()[:300])

    def command(self, program: Encoded, tests: Encoded, *, memory_mb: int) -> Command:
        """How a compiled program is run."""
        heap = hex(memory_mb * 2**20)
        return Command(
            argv=(str(self._sdk.host), "exec", str(self._driver)),
            env=(
                ("DOTNET_ROOT", str(self._sdk.root)),
                ("DOTNET_GCHeapHardLimit", heap),
                ("DOTNET_gcServer", "0"),
                ("DOTNET_EnableDiagnostics", "0"),
                ("DOTNET_EnableWriteXorExecute", "0"),
                ("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1"),
            ),
            data_bytes=memory_mb * 2**20 + _OUTSIDE_HEAP_BYTES,
            program=program,
            tests=tests,
        )


__all__ = ["Sdk", "SdkCompiler", "find_sdk"]
