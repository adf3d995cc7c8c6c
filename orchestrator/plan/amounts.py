"""How many rows a study's data have and how long these are, for a first guess of how long its stages take.

One decision: data are read as a run would read them, each source once and only where a guess is wanted. What lies on
the hub, or is too large to be read for a guess, counts by the study's limits and by figures of usual data.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from models.shapes import Unknown
from orchestrator.study.trial import TrackSource
from tasks.readers import DataError, Source, read_examples, read_problems
from tasks.readers.files import place_of
from tasks.records import Track

# Code and its descriptions, by the tokenizers of code models.
_CHARACTERS_A_TOKEN = 3.3
# What chat templates and instructions put around a prompt.
_TEMPLATE_TOKENS = 30
_LARGEST_BYTES = 32 * 2**20
_USUAL = (150.0, 100.0)
# The built-in suite takes seconds to draw.
_MICRO = (40.0, 40.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one track: how many, None where nothing tells; tokens of a prompt and of an answer, on average."""

    track: str
    count: int | None
    prompt_tokens: float
    answer_tokens: float

    @property
    def tokens(self) -> float:
        """Tokens of an example."""
        return self.prompt_tokens + self.answer_tokens


class Amounts:
    """The rows of sources, each looked at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[bool, str], Rows | Unknown] = {}

    def of(self, sources: Sequence[TrackSource], *, training: bool) -> tuple[Rows, ...] | Unknown:
        """The rows of several sources; unknown where one of them cannot be read."""
        found = [self._rows(source, training=training) for source in sources]
        unknown = next((rows for rows in found if isinstance(rows, Unknown)), None)
        return unknown or tuple(rows for rows in found if isinstance(rows, Rows))

    def _rows(self, source: TrackSource, *, training: bool) -> Rows | Unknown:
        key = (training, source.model_dump_json())
        if key not in self._known:
            self._known[key] = self._look(source, training=training)
        return self._known[key]

    def _look(self, one: TrackSource, *, training: bool) -> Rows | Unknown:
        source, track = one.source, Track.parse(one.track)
        if source.reader == "micro":
            from tasks.micro import size_of

            size = size_of(source.split)
            return _rows_of(one, min(size, source.limit or size), *_MICRO)
        if source.repository is not None or self._size(source) > _LARGEST_BYTES:
            return _rows_of(one, source.limit, *_USUAL)
        try:
            if training:
                pairs = [(e.input, e.output) for e in read_examples(source, track=track, root=self._root)]
            else:
                pairs = [(p.input, p.reference) for p in read_problems(source, track=track, root=self._root)]
        except DataError as error:
            return Unknown(reason=str(error))
        means = (fmean(len(text) for text in column) / _CHARACTERS_A_TOKEN for column in zip(*pairs, strict=True))
        return _rows_of(one, len(pairs), *means)

    def _size(self, source: Source) -> int:
        """Bytes of a source's file, or of all files of its folder."""
        place = place_of(source, root=self._root)
        files: Iterable[Path] = place.rglob("*") if place.is_dir() else (place,)
        return sum(file.stat().st_size for file in files if file.is_file())


def _rows_of(source: TrackSource, count: int | None, prompt: float, answer: float) -> Rows:
    return Rows(track=source.track, count=count, prompt_tokens=prompt + _TEMPLATE_TOKENS, answer_tokens=answer)


def per_row(rows: Sequence[Rows], *, longest: int) -> float:
    """Tokens of an example of several tracks, weighed by their rows; longer ones are left out of trainings."""
    weights = [rows_.count or 1 for rows_ in rows]
    mean = sum(one.tokens * weight for one, weight in zip(rows, weights, strict=True)) / max(1, sum(weights))
    return min(mean, float(longest))


def counted(rows: Sequence[Rows]) -> int | Unknown:
    """How many rows there are of all tracks."""
    counts = [one.count for one in rows if one.count is not None]
    if len(counts) < len(rows):
        return Unknown(reason="nothing tells how many rows the data have before they are read; set data.*_limit")
    return sum(counts)


__all__ = ["Amounts", "Rows", "counted", "per_row"]
