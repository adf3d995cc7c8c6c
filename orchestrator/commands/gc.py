"""`polytune gc`: what no study needs any more, listed, and removed when asked.

One decision: it lists unless it is told to delete; what is deleted took hours to make.
"""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.ledger.garbage import Garbage

EPILOG = "Example: polytune gc runs --delete"


def gc(
    storage: Annotated[
        str, typer.Argument(metavar="STORAGE", help="A ledger's folder, or its s3:// or gs:// address.")
    ] = "runs",
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is listed.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """List stages and completions that no study names, and failed, damaged and superseded attempts.

    --delete removes them.
    """
    from orchestrator.ledger.garbage import find_garbage, remove
    from orchestrator.ledger.ledger import Ledger

    ledger = Ledger(storage)
    found = remove(ledger) if delete else find_garbage(ledger)
    if json_:
        sys.stdout.write(json.dumps(_as_json(found, deleted=delete), indent=1) + "\n")
        return
    for item in found:
        was = f" ({item.what})" if item.what else ""
        sys.stdout.write(f"{_name(item)}{was}: {item.why}, {_size(item.size_bytes)}\n")
    total = f"{len(found)} {'item' if len(found) == 1 else 'items'}, {_size(sum(item.size_bytes for item in found))}"
    end = "removed" if delete else "nothing was removed; --delete removes them" if found else "nothing to remove"
    sys.stdout.write(f"{total}: {end}\n")


def _name(item: "Garbage") -> str:
    if item.chunks:
        return f"{item.chunks} {'chunk' if item.chunks == 1 else 'chunks'} of completions {item.key[:12]}"
    return f"attempt {item.attempt[:12]} of {item.key[:12]}" if item.attempt else f"stage {item.key[:12]}"


def _as_json(found: "tuple[Garbage, ...]", *, deleted: bool) -> dict[str, Any]:
    kept = ("key", "attempt", "what", "why", "size_bytes", "chunks", "names")
    items = [{name: getattr(item, name) for name in kept} for item in found]
    return {"deleted": deleted, "size_bytes": sum(item.size_bytes for item in found), "items": items}


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"
