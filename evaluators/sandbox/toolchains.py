"""Which languages this machine can run, and what to install for the others.

One decision: tools are looked up on PATH each time, never at import, so that what is reported is
what a run started now would find.
"""

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tasks.records import Language

_REMEDIES = {
    Language.JAVA: "no JDK; install one with: apt-get install default-jdk-headless",
    Language.CSHARP: "no mono with its C# compiler; install it with: apt-get install mono-mcs mono-runtime",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """Whether programs in a language can be run here, with which version, or else the remedy."""

    language: Language
    available: bool
    version: str = ""
    reason: str = ""


def java_home_tool() -> str | None:
    """The `java` that belongs to the `javac` on PATH (a machine may have a newer runtime beside its JDK)."""
    javac = shutil.which("javac")
    if javac is None:
        return None
    java = Path(javac).resolve().with_name("java")
    return str(java) if java.exists() else shutil.which("java")


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


def _found(language: Language) -> bool:
    if language is Language.JAVA:
        return java_home_tool() is not None
    if language is Language.CSHARP:
        return mono_tools() is not None
    return True


def missing_toolchain(language: Language) -> str | None:
    """Why programs in `language` cannot be judged here, with the remedy; None where they can."""
    return None if _found(language) else f"not judged: {_REMEDIES[language]}"


def _version(language: Language) -> str:
    if language is Language.PYTHON:
        return platform.python_version()
    tool = java_home_tool() if language is Language.JAVA else (mono_tools() or ("",))[0]
    try:
        done = subprocess.run(
            [str(tool), "--version"], capture_output=True, text=True, timeout=30, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def toolchains() -> tuple[Toolchain, ...]:
    """The state of every language, for `polytune doctor`. Asks each tool for its version."""
    return tuple(
        Toolchain(language=language, available=True, version=_version(language))
        if _found(language)
        else Toolchain(language=language, available=False, reason=_REMEDIES[language])
        for language in Language
    )


__all__ = ["Toolchain", "java_home_tool", "missing_toolchain", "mono_tools", "toolchains"]
