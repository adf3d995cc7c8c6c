"""A .NET SDK is found by what lies beside its `dotnet`; the program that stands for its compiler here is mono's."""

import os
from pathlib import Path

import pytest

from evaluators.languages.csharp.dotnet import SdkCompiler, find_sdk
from evaluators.languages.csharp.runtime import readable_paths
from evaluators.languages.csharp.toolchain import TOOLCHAIN, mono_tools
from evaluators.languages.runtimes import Rejected

SOURCE = "public class S { public static int F(int x) { return x + 1; } }"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An SDK's folders, with a `dotnet` that hands what it is to compile to mono's compiler."""
    folder = tmp_path / "dotnet"
    for version in ("8.0.100", "10.0.100", "9.0.300"):
        touch(folder / "sdk" / version / "Roslyn/bincore/csc.dll")
    touch(folder / "sdk/11.0.1/Roslyn/nothing")
    for version in ("8.0.1", "10.0.0"):
        touch(folder / "packs/Microsoft.NETCore.App.Ref" / version / f"ref/net{version[:-2]}/System.Runtime.dll")
        touch(folder / "shared/Microsoft.NETCore.App" / version / "System.Private.CoreLib.dll")
    host = folder / "dotnet"
    host.write_text(
        '#!/bin/sh\nshift 2\nfor a; do case "$a" in -nostdlib|-noconfig|-utf8output|-r:*System.Runtime.dll) ;; '
        '*) set -- "$@" "$a";; esac; shift; done\n'
        'exec mcs -r:System.Core.dll -r:System.Numerics.dll -r:Microsoft.CSharp.dll "$@"\n',
        encoding="utf-8",
    )
    host.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_the_newest_whole_version_of_each_part_is_taken(root: Path) -> None:
    sdk = find_sdk()
    assert sdk is not None
    assert sdk.compiler == root / "sdk/10.0.100/Roslyn/bincore/csc.dll"
    assert (sdk.references.name, sdk.runtime, sdk.root) == ("net10.0", "10.0.0", root)


@pytest.mark.parametrize("absent", ["sdk", "packs", "shared"])
def test_a_runtime_without_a_compiler_is_no_sdk(root: Path, absent: str) -> None:
    (root / absent).rename(root / "elsewhere")
    assert find_sdk() is None


def test_candidates_may_read_the_sdk_and_doctor_names_it(root: Path) -> None:
    if mono_tools() is None:
        pytest.skip(TOOLCHAIN.reason)
    assert str(root) in readable_paths()
    assert "for C# since 7: dotnet" in TOOLCHAIN.version()


def test_without_an_sdk_doctor_says_what_is_not_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_sdk() is None
    assert TOOLCHAIN.version().endswith("no .NET SDK, so programs in C# since 7 are not judged")


def test_a_program_is_compiled_and_a_refusal_names_its_line(root: Path, tmp_path: Path) -> None:
    if mono_tools() is None:
        pytest.skip(TOOLCHAIN.reason)
    sdk = find_sdk()
    assert sdk is not None
    folder = Path(__file__).parents[3] / "evaluators/languages/csharp"
    driver = [folder / f"{name}.cs" for name in ("PolytuneCodec", "PolytuneSignatures", "PolytuneDriver")]
    compiler = SdkCompiler(sdk, tools=tmp_path, driver=driver, library=folder / "CompareLogic.cs")
    program = compiler.compile(SOURCE)
    assert isinstance(program, dict), program
    refused = compiler.compile(f"\n{SOURCE.replace('x + 1', 'y')}")
    assert isinstance(refused, Rejected) and refused.message.startswith("line 2: CS0103")
    command = compiler.command(program, None, memory_mb=64)
    assert command.argv == (str(root / "dotnet"), "exec", str(tmp_path / "dotnet/PolytuneDriver.dll"))
    assert ("DOTNET_GCHeapHardLimit", "0x4000000") in command.env
    assert (tmp_path / "dotnet/PolytuneDriver.runtimeconfig.json").exists()
