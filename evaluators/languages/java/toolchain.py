"""The JDK that Java programs need.

One decision: tools are looked up on PATH each time, never at import, so that what is reported is what a run
started now would find.
"""

import shutil
from pathlib import Path

from evaluators.languages.support import Toolchain
from evaluators.languages.versions import asked_version


def java_home_tool() -> str | None:
    """The `java` that belongs to the `javac` on PATH (a machine may have a newer runtime beside its JDK)."""
    javac = shutil.which("javac")
    if javac is None:
        return None
    java = Path(javac).resolve().with_name("java")
    return str(java) if java.exists() else shutil.which("java")


NEWER = "a newer JDK compiles it"
"""What to say of a program that this JDK is too old for."""

TOOLCHAIN = Toolchain(
    title="JDK",
    absent="no JDK",
    advice="install one with",
    remedy="apt-get install default-jdk-headless",
    is_present=lambda: java_home_tool() is not None,
    version=lambda: asked_version(java_home_tool()),
)

__all__ = ["NEWER", "TOOLCHAIN", "java_home_tool"]
