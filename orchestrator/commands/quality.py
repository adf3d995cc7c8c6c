"""`polytune quality`: the evaluators' code quality on anybody's files.

One decision: what cannot be read, parsed or measured stands in the output as such, file by file and tool
by tool; there is no figure that a broken file could lower without its number of files saying so.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.files.sources import SourceQuality

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
    from orchestrator.files.sources import check_language, measure, read_sources

    check_language(language)
    found = measure(read_sources(path, language=language), language=language)
    for name, reason in found.report.missing.items():
        sys.stderr.write(f"polytune: no {name}: {reason}\n")
    if json_:
        sys.stdout.write(json.dumps(_as_json(found), indent=1) + "\n")
    else:
        _print(found)


def _as_json(found: "SourceQuality") -> dict[str, Any]:
    return {
        "tools": dict(found.report.tools),
        "missing": dict(found.report.missing),
        "files": [
            {
                "path": name,
                "parses": row.parses,
                "counts": dict(row.counts),
                "messages": [message.model_dump(mode="json") for message in row.messages],
                "failed": dict(row.failed),
            }
            for name, row in found.files.items()
        ],
        "totals": {
            "files": len(found.files),
            "parses": found.parsing,
            **{name: figure.model_dump(mode="json") for name, figure in found.report.totals().items()},
        },
    }


def _print(found: "SourceQuality") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{found.parsing} of {len(found.files)} files parse", title_justify="left")
    for title in ("count", "per file", "per 100 lines", "files"):
        table.add_column(title, justify="left" if title == "count" else "right")
    for name, figure in found.report.totals().items():
        rate = "" if figure.per_100_lines is None else f"{figure.per_100_lines:.2f}"
        table.add_row(name, f"{figure.per_file:.2f}", rate, str(figure.files))
    console.print(table)
    rules = Counter(rule for row in found.files.values() for rule, count in row.rules.items() for _ in range(count))
    for rule, count in rules.most_common(_SHOWN_RULES):
        console.print(f"{count:6}  {rule}", highlight=False)
    for file, row in found.files.items():
        if not row.parses:
            console.print(f"{file}: {row.failed.get('reading', 'does not parse')}", highlight=False, markup=False)
        else:
            for reason in dict.fromkeys(row.failed.values()):
                tools = ", ".join(tool for tool, why in row.failed.items() if why == reason)
                console.print(f"{file}: not measured by {tools}: {reason}", highlight=False, markup=False)
    console.print(", ".join(f"{name} {version}" for name, version in found.report.tools.items()), highlight=False)
