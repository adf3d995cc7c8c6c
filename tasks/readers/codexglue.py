"""CodeXGLUE's code translation (Java and C#): two files of a split, line n of one translates line n of the other.

One decision: files that differ in their number of lines, or that have an empty line, are refused
rather than cut to the shorter one, since nothing says from which line on the pairs are wrong.

Source: Lu et al. 2021, https://github.com/microsoft/CodeXGLUE, Code-Code/code-to-code-trans/data.
"""

from pathlib import Path

from tasks.readers.files import Fault, content_digest, locate, locate_folder, read_lines, refuse_faults
from tasks.readers.reader import Reader, as_examples, dataset_name
from tasks.readers.source import DataError, Source
from tasks.records import Example, Language, Problem, Track

_FILE_SPLITS = {"train": "train", "validation": "valid", "test": "test"}
_SUFFIXES = {Language.JAVA: "java", Language.CSHARP: "cs"}


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    assert track.source is not None and track.target is not None
    inputs = _side(source, root=root, language=track.source)
    references = _side(source, root=root, language=track.target)
    if len(inputs) != len(references):
        raise DataError(
            f"{source.name}, split {source.split}",
            f"its files must have the same number of lines, {track.source.title} has {len(inputs)} and "
            f"{track.target.title} {len(references)}",
            "fetch both files again",
        )
    dataset = dataset_name("codexglue-translation", split=source.split)
    return tuple(
        Problem(
            id=f"codexglue/{track}/{source.split}/{number}",
            track=str(track),
            dataset=dataset,
            input=text,
            reference=reference,
        )
        for number, (text, reference) in enumerate(zip(inputs, references, strict=True), start=1)
    )


def _examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
    return as_examples(_problems(source, track=track, root=root))


def _side(source: Source, *, root: Path, language: Language) -> tuple[str, ...]:
    path = _file(source, root=root, language=language)
    lines = read_lines(path)
    faults = [
        Fault(place=f"line {number}", said="empty") for number, line in enumerate(lines, start=1) if not line.strip()
    ]
    refuse_faults(path, faults=faults, remedy="each line must hold one function; remove the line from both files")
    return lines


def _file(source: Source, *, root: Path, language: Language) -> Path:
    locate_folder(source, root=root)
    name = f"{_FILE_SPLITS[source.split]}.java-cs.txt.{_SUFFIXES[language]}"
    return locate(source, root=root, name=name)


def _content(source: Source, root: Path) -> str:
    return content_digest((suffix, _file(source, root=root, language=lang)) for lang, suffix in _SUFFIXES.items())


READER = Reader(
    version=1,
    tracks=("translation/java-csharp", "translation/csharp-java"),
    splits=tuple(_FILE_SPLITS),
    examples=_examples,
    problems=_problems,
    content=_content,
    held_out=("test",),
    held_out_because="the test split is what published results are compared on",
)

__all__ = ["READER"]
