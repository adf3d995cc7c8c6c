"""Source files to measure: which they are, what of them can be read, and a row for each.

One decision: what cannot be read, parsed or measured is a row as well, with the reason.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import InputError

if TYPE_CHECKING:
    from evaluators.quality import FileQuality, QualityReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A source's text, or None and why it has none."""

    text: str | None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceQuality:
    """What was found in each source, by its name; `report` has what is of all: tools, what is missing, totals."""

    files: Mapping[str, "FileQuality"]
    report: "QualityReport"

    @property
    def parsing(self) -> int:
        """How many parse."""
        return sum(file.parses for file in self.files.values())


def check_language(language: str) -> None:
    """Refuse a language that is none.

    Raises:
        InputError: with the languages there are.
    """
    if language not in _suffixes():
        raise InputError(f"no language {language!r}; --language is one of {', '.join(_suffixes())}")


def _suffixes() -> dict[str, str]:
    from evaluators.languages import LANGUAGES

    return {str(language): support.suffix for language, support in LANGUAGES.items()}


def read_sources(path: Path, *, language: str) -> dict[str, Text]:
    """The texts of a file, or of a folder's files in the order of their names, those below hidden folders left out.

    Raises:
        InputError: if there is no such file, or the folder has none of the language.
    """
    return {str(file): _read(file) for file in _list_files(path, language)}


def _list_files(path: Path, language: str) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path} is not there; name a source file, or a folder of source files")
    suffixes = _suffixes()
    suffix = suffixes[language]
    hidden = [part for part in path.rglob(f"*{suffix}") if part.is_file()]
    found = sorted(file for file in hidden if not any(p.startswith(".") for p in file.relative_to(path).parts))
    if not found:
        others = Counter(file.suffix for file in path.rglob("*") if file.is_file() and file.suffix in suffixes.values())
        held = ", ".join(f"{count} {name}" for name, count in others.most_common()) or "no source file"
        raise InputError(f"{path} holds no {language} file ({suffix}), but {held}")
    return found


def _read(file: Path) -> Text:
    try:
        # Line ends as they are: a tool counts lines by itself.
        return Text(text=file.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Text(text=None, fault=f"not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}")
    except OSError as error:
        return Text(text=None, fault=f"cannot be read: {error.strerror}")


def measure(sources: Mapping[str, Text], *, language: str) -> SourceQuality:
    """Measure sources by the tools of their language, as one batch."""
    from evaluators.quality import FileQuality, analyze, default_folder
    from tasks.records import Language

    texts = [source.text for source in sources.values() if source.text is not None]
    cores = len(os.sched_getaffinity(0))
    report = analyze(texts, language=Language(language), cache=default_folder(), workers=cores, whole_files=True)
    measured = iter(report.files)
    return SourceQuality(
        files={
            name: FileQuality(parses=False, failed={"reading": source.fault}) if source.text is None else next(measured)
            for name, source in sources.items()
        },
        report=report,
    )


__all__ = ["SourceQuality", "Text", "check_language", "measure", "read_sources"]
