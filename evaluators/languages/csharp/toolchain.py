"""The mono, with its C# compiler, that C# programs need.

One decision: tools are looked up on PATH each time, never at import, so that what is reported is what a run
started now would find.
"""

import re
import shutil
from pathlib import Path

from evaluators.languages.support import Toolchain
from evaluators.languages.versions import asked_version


def mono_tools() -> tuple[str, str] | None:
    """The `mono` on PATH and the `mcs.exe` that the `mcs` on PATH would run on it; None if one is absent."""
    mono, mcs = shutil.which("mono"), shutil.which("mcs")
    if mono is None or mcs is None:
        return None
    named = re.findall(r"\S+/mcs\.exe", Path(mcs).read_bytes()[:10_000].decode("utf-8", "replace"))
    installed = Path(mono).resolve().parent.parent / "lib" / "mono" / "4.5" / "mcs.exe"
    for path in (*(Path(name) for name in named), installed):
        if path.exists():
            return str(Path(mono).resolve()), str(path)
    return None


NEWER = "a .NET SDK on PATH (https://dotnet.microsoft.com/download) compiles it"
"""What to say of a program that mono's compiler is too old for."""


def _versions() -> str:
    """Mono's version, and what compiles the programs that it is too old for."""
    mono, sdk = asked_version((mono_tools() or (None,))[0]), shutil.which("dotnet")
    if sdk is None:
        return f"{mono}; no .NET SDK, so programs in C# since 7 are not judged"
    return f"{mono}; for C# since 7: dotnet {asked_version(sdk)}"


TOOLCHAIN = Toolchain(
    title="mono",
    absent="no mono with its C# compiler",
    advice="install it with",
    remedy="apt-get install mono-mcs mono-runtime",
    is_present=lambda: mono_tools() is not None,
    version=_versions,
)

__all__ = ["NEWER", "TOOLCHAIN", "mono_tools"]
