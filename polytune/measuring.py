"""Measure code quality, from Python.

One decision: sources are named, files by their paths and texts by the names or the places that they have, so a row is
never told by its place alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polytune.values import in_python

if TYPE_CHECKING:
    import pandas as pd

    from evaluators.quality import Figure, FileQuality
    from orchestrator.files.sources import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What linters and meters found.

    Attributes:
        files: By source: whether it parses, its `counts`, `messages`, and the tools that `failed` on it.
        totals: Each count over the files that parse: mean per file, and per 100 lines where that has a meaning.
        tools: The tools with their versions.
        missing: Tools that are not there, with what installs them.
    """

    files: "Mapping[str, FileQuality]"
    totals: "Mapping[str, Figure]"
    tools: Mapping[str, str]
    missing: Mapping[str, str]

    def frame(self) -> "pd.DataFrame":
        """A row for each source: `source`, `parses`, and a column for each count, absent where it was not measured."""
        import pandas as pd

        names = sorted({name for file in self.files.values() for name in file.counts})
        rows = [{"source": name, "parses": file.parses, **file.counts} for name, file in self.files.items()]
        return pd.DataFrame(rows, columns=["source", "parses", *names])


def quality(sources: "str | Path | Mapping[str, str] | Iterable[str]", *, language: str) -> Quality:
    r"""Lint messages, complexity, size and security, as `polytune quality` finds them.

    Args:
        sources: A file or folder (one string is a path), or texts: in a list, a column, or by name.
        language: `python`, `java` or `csharp`.

    Raises:
        PolytuneError: if the language is unknown, or no source is there.

    >>> found = polytune.quality({"mine": "import os\n\n\ndef f(x):\n    return x\n"}, language="python")
    >>> found.files["mine"].rules["pylint.unused-import"]
    1
    >>> found.totals["radon.lloc"].per_file
    3.0
    """
    from orchestrator.files.sources import check_language, measure

    with in_python():
        check_language(language)
        found = measure(_read(sources, language=language), language=language)
    return Quality(
        files=found.files, totals=found.report.totals(), tools=found.report.tools, missing=found.report.missing
    )


def _read(sources: "str | Path | Mapping[str, str] | Iterable[str]", *, language: str) -> "dict[str, Text]":
    from orchestrator.errors import InputError
    from orchestrator.files.sources import Text, read_sources

    if isinstance(sources, str | Path):
        return read_sources(Path(sources), language=language)
    named = sources.items() if isinstance(sources, Mapping) else ((str(n), text) for n, text in enumerate(sources))
    texts = {}
    for name, text in named:
        if not isinstance(text, str):
            raise InputError(f"source {name}: must be a text, got {text!r}; leave out what has none")
        texts[name] = Text(text=text)
    if not texts:
        raise InputError("no source to measure; give a path, or texts")
    return texts


__all__ = ["Quality", "quality"]
