"""What the machine can run, as `polytune doctor` and a study ask for it."""

from pathlib import Path

import pytest

from evaluators import sandbox
from evaluators.sandbox import Toolchain, available_isolation, missing_toolchain, toolchains
from tasks.records import Language


def test_every_language_is_reported_with_a_version_or_a_remedy() -> None:
    found = toolchains()
    assert [toolchain.language for toolchain in found] == [Language.PYTHON, Language.JAVA, Language.CSHARP]
    assert all(t.version if t.available else "apt-get install" in t.reason for t in found)


def test_what_is_absent_is_looked_up_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    python, java, csharp = toolchains()
    assert python.available
    assert java == Toolchain(
        language=Language.JAVA,
        title="JDK",
        available=False,
        absent="no JDK",
        remedy="apt-get install default-jdk-headless",
        reason="no JDK; install one with: apt-get install default-jdk-headless",
    )
    assert not csharp.available
    assert missing_toolchain(Language.PYTHON) is None
    assert missing_toolchain(Language.JAVA) == f"not judged: {java.reason}"


def test_every_class_is_given_or_its_refusal_told() -> None:
    found = available_isolation()
    assert [one.isolation for one in found] == ["strict", "landlock"]
    assert all(one.available != bool(one.refusal) for one in found)


def test_the_public_names_exist() -> None:
    assert all(hasattr(sandbox, name) for name in sandbox.__all__)
