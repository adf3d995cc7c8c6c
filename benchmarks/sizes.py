"""How large the code is: lengths of functions, and files with their lines, by room.

    python benchmarks/sizes.py

Prints a JSON line for each package and each room in it, and one for all. Lines of a function are those from `def` to
its end, docstring included.
"""

import argparse
import ast
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A module: its path below the root, its lines, and the lengths of its functions by name."""

    path: Path
    lines: int
    functions: tuple[tuple[int, str], ...]


def packages() -> tuple[str, ...]:
    """The project's packages: folders of the root with an `__init__.py`."""
    return tuple(sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))


def read(path: Path) -> File:
    """Measure a module."""
    text = path.read_text(encoding="utf-8")
    functions = (
        ((node.end_lineno or node.lineno) - node.lineno + 1, node.name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return File(path=path.relative_to(ROOT), lines=len(text.splitlines()), functions=tuple(functions))


def rooms(files: Sequence[File]) -> Iterator[tuple[str, list[File]]]:
    """All files, those of each package, and those of each folder of it that holds Python."""
    yield "all", list(files)
    for package in packages():
        own = [file for file in files if file.path.parts[0] == package]
        yield package, own
        for room in sorted({file.path.parts[1] for file in own if len(file.path.parts) > 2}):
            yield f"{package}/{room}", [file for file in own if file.path.parts[1] == room]


def measured(files: Iterable[File]) -> dict[str, int | float | str]:
    """Figures of some files. The 90th percentile is the length that 9 functions of 10 do not exceed."""
    files = list(files)
    functions = sorted((length, f"{file.path}:{name}") for file in files for length, name in file.functions)
    lengths = [length for length, _ in functions]
    longest_file = max(files, key=lambda file: file.lines)
    figures: dict[str, int | float | str] = {
        "files": len(files),
        "lines": sum(file.lines for file in files),
        "longest_file_lines": longest_file.lines,
        "longest_file": str(longest_file.path),
        "functions": len(functions),
    }
    if not lengths:
        return figures
    return figures | {
        "median": median(lengths),
        "p90": lengths[math.ceil(0.9 * len(lengths)) - 1],
        "longest": lengths[-1],
        "longest_function": functions[-1][1],
    }


def main() -> None:
    """Measure every room."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files = [read(path) for package in packages() for path in sorted((ROOT / package).rglob("*.py"))]
    for room, own in rooms(files):
        print(json.dumps({"room": room, **measured(own)}))


if __name__ == "__main__":
    main()
