"""`polytune quality`: the evaluators' code quality on anybody's files.

One decision: what cannot be read, parsed or measured stands in the output as such, file by file and tool
by tool; there is no figure that a broken file could lower without its number of files saying so.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evaluators.quality import FileQuality, QualityReport

_SHOWN_RULES = 10
EPILOG = "Example: polytune quality src/ --language java --json"


def quality(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A source file, or a folder of them.")],
    language: Annotated[str, typer.Option("--language", metavar="L", help="python, java or csharp.")],
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Measure code quality: lint messages, complexity, size and security, file by file.

    Python is read by pylint, radon, complexipy and bandit, Java by PMD 7, C# by mono's compiler, all by lizard.

    A tool that is not installed is named, with the command that installs it.

    Figures are means over the files that parse; how many these are stands beside each.
    """
    from evaluators.quality import analyze, default_folder
    from tasks.records import Language

    files = _list_files(path, language)
    read = {file: _read(file) for file in files}
    texts = [text for text, _ in read.values() if text is not None]
    report = analyze(
        texts,
        language=Language(language),
        cache=default_folder(),
        workers=len(os.sched_getaffinity(0)),
        whole_files=True,
    )
    rows = _rows(read, iter(report.files))
    for name, reason in report.missing.items():
        sys.stderr.write(f"polytune: no {name}: {reason}\n")
    if json_:
        sys.stdout.write(json.dumps(_as_json(report, rows), indent=1) + "\n")
    else:
        _print(report, rows)


def _list_files(path: Path, language: str) -> list[Path]:
    """The files to measure, a folder's in the order of their names.

    Raises:
        PolytuneError: if the language is unknown, or there is no such file.
    """
    from evaluators.languages import LANGUAGES
    from orchestrator.errors import PolytuneError

    suffixes = {str(known): support.suffix for known, support in LANGUAGES.items()}
    if language not in suffixes:
        raise PolytuneError(f"no language {language!r}; --language is one of {', '.join(suffixes)}")
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise PolytuneError(f"{path} is not there; name a source file, or a folder of source files")
    suffix = suffixes[language]
    hidden = [part for part in path.rglob(f"*{suffix}") if part.is_file()]
    found = sorted(file for file in hidden if not any(p.startswith(".") for p in file.relative_to(path).parts))
    if not found:
        others = Counter(file.suffix for file in path.rglob("*") if file.is_file() and file.suffix in suffixes.values())
        held = ", ".join(f"{count} {name}" for name, count in others.most_common()) or "no source file"
        raise PolytuneError(f"{path} holds no {language} file ({suffix}), but {held}")
    return found


def _read(file: Path) -> tuple[str | None, str]:
    """A file's text, or None and why it has none."""
    try:
        # Line ends as they are: a tool counts lines by itself.
        return file.read_bytes().decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"


def _rows(read: dict[Path, tuple[str | None, str]], measured: "Any") -> "list[tuple[Path, FileQuality]]":
    from evaluators.quality import FileQuality

    return [
        (file, FileQuality(parses=False, failed={"reading": reason}) if text is None else next(measured))
        for file, (text, reason) in read.items()
    ]


def _as_json(report: "QualityReport", rows: "Sequence[tuple[Path, FileQuality]]") -> dict[str, Any]:
    return {
        "tools": dict(report.tools),
        "missing": dict(report.missing),
        "files": [
            {
                "path": str(file),
                "parses": row.parses,
                "counts": dict(row.counts),
                "messages": [message.model_dump(mode="json") for message in row.messages],
                "failed": dict(row.failed),
            }
            for file, row in rows
        ],
        "totals": {
            "files": len(rows),
            "parses": sum(row.parses for _, row in rows),
            **{name: figure.model_dump(mode="json") for name, figure in report.totals().items()},
        },
    }


def _print(report: "QualityReport", rows: "Sequence[tuple[Path, FileQuality]]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    parsing = sum(row.parses for _, row in rows)
    table = Table(title=f"{parsing} of {len(rows)} files parse", title_justify="left")
    for title in ("count", "per file", "per 100 lines", "files"):
        table.add_column(title, justify="left" if title == "count" else "right")
    for name, figure in report.totals().items():
        rate = "" if figure.per_100_lines is None else f"{figure.per_100_lines:.2f}"
        table.add_row(name, f"{figure.per_file:.2f}", rate, str(figure.files))
    console.print(table)
    rules = Counter(rule for _, row in rows for rule, count in row.rules.items() for _ in range(count))
    for rule, count in rules.most_common(_SHOWN_RULES):
        console.print(f"{count:6}  {rule}", highlight=False)
    for file, row in rows:
        if not row.parses:
            console.print(f"{file}: {row.failed.get('reading', 'does not parse')}", highlight=False, markup=False)
        else:
            for reason in dict.fromkeys(row.failed.values()):
                tools = ", ".join(tool for tool, why in row.failed.items() if why == reason)
                console.print(f"{file}: not measured by {tools}: {reason}", highlight=False, markup=False)
    console.print(", ".join(f"{name} {version}" for name, version in report.tools.items()), highlight=False)
