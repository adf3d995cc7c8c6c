"""Whether quality counts are those of the tools themselves, run by their own command lines.

    python -m benchmarks.quality_parity [--python 500] [--java 200]

pylint: a cold process for each file, in an empty folder, message for message; our answers are taken in
two random orders and, for some, alone. radon: `radon raw`, `hal`, `mi` and `cc`. lizard: `lizard --csv`. PMD:
`pmd check` on whole files and, a fifth, on bare methods as we wrap them. Prints one JSON object.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.snippets import java_files, python_snippets, translation_pairs
from evaluators.quality import FileQuality, Message, analyze
from evaluators.quality.members import make_whole
from evaluators.quality.pmd import CATEGORIES, pmd_home
from tasks.records import Language

_OFF = "--disable=duplicate-code,cyclic-import,import-error"
_ALONE = 20
_RAW = ("loc", "lloc", "sloc", "comments", "multi", "blank")
_HALSTEAD = ("vocabulary", "length", "volume", "difficulty", "effort", "bugs")


def main() -> None:
    """Compare all tools; exits with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=int, default=500)
    parser.add_argument("--java", type=int, default=200)
    chosen = parser.parse_args()
    snippets = python_snippets(chosen.python)
    bare = [java for java, _ in translation_pairs()[: chosen.java // 5]]
    java = [*java_files(chosen.java - len(bare)), *bare]
    found = {**compare_python(snippets), **compare_java(java)}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    raise SystemExit(
        any(value for part in found.values() for name, value in part.items() if name.startswith("differing"))
    )


def compare_python(sources: Sequence[str]) -> dict[str, Any]:
    """pylint, radon and lizard over Python files."""
    orders = [list(range(len(sources))), random.Random(1).sample(range(len(sources)), len(sources))]
    ours: list[dict[int, FileQuality]] = []
    for order in orders:
        report = analyze([sources[index] for index in order], language=Language.PYTHON, workers=2)
        ours.append(dict(zip(order, report.files, strict=True)))
    alone = {
        index: analyze([sources[index]], language=Language.PYTHON).files[0]
        for index in random.Random(2).sample(range(len(sources)), min(_ALONE, len(sources)))
    }
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        files = _write(sources, Path(folder), "solution.py")
        cold = list(pool.map(_pylint, files))
        theirs = {name: _radon(name, Path(folder)) for name in ("raw", "hal", "mi", "cc")}
        sizes = list(pool.map(_lizard, files))
    first = ours[0]
    return {
        "pylint": _verdict(len(sources), lambda i: all(_said(run[i]) == cold[i] for run in ours))
        | {"messages": sum(map(len, cold)), "orders": len(orders), "alone": len(alone)}
        | {"differing_alone": sum(_said(file) != cold[index] for index, file in alone.items())},
        "radon": _verdict(
            len(sources), lambda i: _radon_agrees(first[i], {n: theirs[n][str(files[i])] for n in theirs})
        ),
        "lizard_python": _verdict(len(sources), lambda i: _sizes(first[i]) == sizes[i]),
    }


def compare_java(sources: Sequence[str]) -> dict[str, Any]:
    """PMD and lizard over Java files."""
    ours = analyze(sources, language=Language.JAVA).files
    shuffled = random.Random(1).sample(range(len(sources)), len(sources))
    again = analyze([sources[index] for index in shuffled], language=Language.JAVA).files
    wholes = [make_whole(source, language=Language.JAVA) for source in sources]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        files = _write([whole.text for whole in wholes], Path(folder), "Solution.java")
        reported = _pmd(Path(folder))
        bare = _write(sources, Path(folder, "bare"), "Solution.java")
        sizes = list(pool.map(_lizard, bare))

    def pmd_agrees(index: int) -> bool:
        said = sorted(
            (violation["rule"], line)
            for violation in reported.get(str(files[index].resolve()), ())
            if (line := wholes[index].source_line(violation["beginline"])) is not None
        )
        mine = sorted((message.rule, message.line) for message in ours[index].messages)
        left_out = [item for item in said if item not in mine]
        # By design: what is about the file's name, or in bare methods about the class that is not there.
        allowed = {"TypeNameMismatch"} | (_CONTEXT if wholes[index].wrapped else set())
        return [item for item in said if item[0] not in allowed] == mine and {r for r, _ in left_out} <= allowed

    return {
        "pmd": _verdict(len(sources), pmd_agrees)
        | {
            "messages": sum(len(file.messages) for file in ours),
            "wrapped": sum(whole.wrapped for whole in wholes),
            "differing_by_order": sum(again[place] != ours[index] for place, index in enumerate(shuffled)),
        },
        "lizard_java": _verdict(len(sources), lambda i: _sizes(ours[i]) == sizes[i]),
    }


def _verdict(count: int, agrees: Callable[[int], bool]) -> dict[str, Any]:
    differing = [index for index in range(count) if not agrees(index)]
    return {"files": count, "differing": len(differing), "which": differing[:10]}


def _write(sources: Sequence[str], folder: Path, name: str) -> list[Path]:
    files = [folder / f"{number:05}" / name for number in range(len(sources))]
    for file, source in zip(files, sources, strict=True):
        file.parent.mkdir(parents=True)
        file.write_text(source, encoding="utf-8", newline="")
    return files


def _run(command: Sequence[str], **options: Any) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **options).stdout


def _said(file: FileQuality) -> list[tuple[Any, ...]]:
    def tell(message: Message) -> tuple[Any, ...]:
        return (message.category, message.rule, message.line, message.column, message.text)

    return [tell(message) for message in file.messages if message.tool == "pylint"]


def _pylint(file: Path) -> list[tuple[Any, ...]]:
    said = json.loads(_run([sys.executable, "-m", "pylint", _OFF, "-f", "json", file.name], cwd=file.parent))
    return [(m["type"], m["symbol"], m["line"], m["column"], m["message"]) for m in said]


def _radon(command: str, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_run([sys.executable, "-m", "radon", command, "-j", str(folder)]))
    return found


def _radon_agrees(file: FileQuality, theirs: dict[str, Any]) -> bool:
    ours = {name.removeprefix("radon."): value for name, value in file.counts.items() if name.startswith("radon.")}
    blocks = theirs["cc"] if isinstance(theirs["cc"], list) else []
    worst = max((b["complexity"] for b in blocks if b["type"] in {"function", "method"}), default=None)
    return (
        all(ours[name] == theirs["raw"][name] for name in _RAW)
        and all(abs(ours[f"halstead_{name}"] - theirs["hal"]["total"][name]) < 1e-9 for name in _HALSTEAD)
        and abs(ours["maintainability"] - theirs["mi"]["mi"]) < 1e-9
        and (worst is None or ours["cyclomatic_max"] == worst)
    )


def _lizard(file: Path) -> tuple[int, int]:
    rows = list(csv.reader(_run([sys.executable, "-m", "lizard", "--csv", str(file)]).splitlines()))
    complexities = [int(row[1]) for row in rows]
    return sum(complexities), max(complexities, default=0)


def _sizes(file: FileQuality) -> tuple[float, float]:
    return file.counts["lizard.ccn"], file.counts["lizard.ccn_max"]


def _pmd(folder: Path) -> dict[str, list[dict[str, Any]]]:
    home = pmd_home()
    assert home is not None, "PMD 7 is not installed"
    rules = ",".join(f"category/java/{category}.xml" for category in CATEGORIES)
    # The npm package's files come without their executable bit.
    command = ["sh", str(home / "bin" / "pmd"), "check", "-d", str(folder), "-R", rules, "-f", "json", "--no-cache"]
    found = json.loads(_run([*command, "--no-progress"], stderr=subprocess.DEVNULL))
    assert not found["processingErrors"], found["processingErrors"]
    return {str(Path(file["filename"]).resolve()): file["violations"] for file in found["files"]}


_CONTEXT = {
    *("UnusedPrivateMethod", "UnusedPrivateField", "SingularField", "ImmutableField", "FinalFieldCouldBeStatic"),
    *("CloneMethodMustImplementCloneable", "OverrideBothEqualsAndHashcode", "MethodWithSameNameAsEnclosingClass"),
    *("OverrideBothEqualsAndHashCodeOnComparable", "AbstractClassWithoutAbstractMethod"),
}

if __name__ == "__main__":
    main()
