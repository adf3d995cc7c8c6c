"""A study's outputs as compressed chunks of text, and an index that filters without opening them.

One decision: a line of a chunk is one item as JSON. A browser opens one chunk to show an item, and searches all outputs
by reading lines; what filters look at (verdicts, quality messages) is in the index, a byte and a number an output.

    index       JSON: names, places, ids, and where each chunk begins
    states      a byte an output, item by item: the verdict's number, and flags
    rulesets    four bytes an output, little-endian: which set of quality messages
    chunks      lines of `{p: prompt, r: reference, o: texts, d: details, c: outputs}`, an output being
                `[text, detail, scores, rules]`: places in the lists before, scores in the order of the place's
                metrics, rules as pairs of place and count; 0 where an arm has none
"""

import json
import math
import sys
import zlib
from array import array
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, get_args

from orchestrator.report.evidence import Place
from orchestrator.report.samples import Item, Output, Samples
from orchestrator.report.where import STATES, name_columns
from tasks.prompts import system_line
from tasks.records import Track, VerdictName

VERDICTS: tuple[str, ...] = ("", *get_args(VerdictName))
"""Verdicts by number; 0 is none."""
EMPTY, CUT, UNSCORED, UNRECORDED = 16, 32, 64, 128
"""Flags beside the verdict's number: nothing written, cut off, not measured yet, text not recorded."""
ABSENT = 255
_CHUNK_BYTES = 256 * 1024
"""Of text: few enough to open at once, enough to compress."""
_LEVEL = 6
_PARTS = "codebleu_"
"""What CodeBLEU is the mean of stands in the tables and the CSV files."""
_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """All parts, each compressed and in base64; `num_items` of 0 says that there is nothing to show."""

    index: str
    states: str
    rulesets: str
    chunks: tuple[str, ...]
    num_items: int

    @property
    def size(self) -> int:
        """Characters of all parts together."""
        return sum(len(part) for part in (self.index, self.states, self.rulesets, *self.chunks))


@dataclass(slots=True, kw_only=True)
class _Packer:
    """What is gathered while items pass by."""

    titles: tuple[str, ...]
    rules: dict[str, int] = field(default_factory=dict)
    rulesets: dict[tuple[int, ...], int] = field(default_factory=lambda: {(): 0})
    states: bytearray = field(default_factory=bytearray)
    ruleset_of: "array[int]" = field(default_factory=lambda: array("I"))
    places: dict[Place, dict[str, int]] = field(default_factory=dict)
    items: list[list[Any]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def line(self, item: Item) -> bytes:
        """Take an item into the index; returns its line."""
        metrics = self.places.setdefault(item.place, {})
        self.items.append([list(self.places).index(item.place), item.problem_id, item.sample])
        texts: dict[str | None, int] = {}
        details: dict[str, int] = {"": 0}
        outputs = [self._output(item.outputs.get(title), texts, details, metrics) for title in self.titles]
        asked = item.asked
        content = {
            "p": asked and asked.prompt,
            "r": asked and asked.reference,
            "o": list(texts),
            "d": list(details),
            "c": outputs,
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        # A lone surrogate, which UTF-8 cannot say, becomes the JSON escape of itself.
        return text.encode("utf-8", errors="backslashreplace") + b"\n"

    def _output(
        self, output: Output | None, texts: dict[str | None, int], details: dict[str, int], metrics: dict[str, int]
    ) -> list[Any] | int:
        if output is None:
            self.states.append(ABSENT)
            self.ruleset_of.append(0)
            return 0
        self.states.append(_state(output))
        counts = {self.rules.setdefault(name, len(self.rules)): count for name, count in output.messages.items()}
        self.ruleset_of.append(self.rulesets.setdefault(tuple(sorted(counts)), len(self.rulesets)))
        for name in output.scores:
            if not name.startswith(_PARTS):
                metrics.setdefault(name, len(metrics))
        return [
            texts.setdefault(output.text, len(texts)),
            details.setdefault(output.detail, len(details)),
            [_short(output.scores.get(name)) for name in metrics],
            [_short(part) for pair in counts.items() for part in pair],
        ]


def _state(output: Output) -> int:
    verdict = VERDICTS.index(output.verdict or "")
    flags = (output.empty, EMPTY), (output.finish == "length", CUT), (not output.scored, UNSCORED)
    return verdict + sum(flag for holds, flag in flags if holds) + (UNRECORDED if output.text is None else 0)


def _short(value: float | None) -> float | None:
    """To one decimal, and without one where it is zero; what is no number is left out, as JSON has no word for it."""
    if value is None or not math.isfinite(value):
        return None
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded


def pack(samples: Samples) -> Packed:
    """Pack all items; two threads compress while lines are made."""
    packer = _Packer(titles=tuple(arm.title for arm in samples.arms))
    with ThreadPoolExecutor(_THREADS) as threads:
        futures: list[Future[str]] = []
        for lines in _batches(packer, samples):
            futures.append(threads.submit(_compress, lines))
        chunks = tuple(future.result() for future in futures)
    index = json.dumps(_index(packer, samples), ensure_ascii=False, separators=(",", ":"))
    return Packed(
        index=_compress([index.encode("utf-8", errors="backslashreplace")]),
        states=_compress([bytes(packer.states)]),
        rulesets=_compress([_little_endian(packer.ruleset_of)]),
        chunks=chunks,
        num_items=len(packer.items),
    )


def _batches(packer: _Packer, samples: Samples) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    size = 0
    for number, item in enumerate(samples.items()):
        if not lines:
            packer.starts.append(number)
        lines.append(packer.line(item))
        size += len(lines[-1])
        if size >= _CHUNK_BYTES:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines


def _compress(parts: Sequence[bytes]) -> str:
    return b64encode(zlib.compress(b"".join(parts), _LEVEL)).decode("ascii")


def _little_endian(numbers: "array[int]") -> bytes:
    copy = array("I", numbers)
    assert copy.itemsize == 4
    if sys.byteorder == "big":
        copy.byteswap()
    return copy.tobytes()


def _index(packer: _Packer, samples: Samples) -> dict[str, Any]:
    titles = packer.titles
    return {
        "study": samples.evidence.results.study,
        "arms": [{"title": arm.title, "kind": arm.kind} for arm in samples.arms],
        "names": [
            [" ".join(words), sorted(titles.index(title) for title in meant)]
            for words, meant in name_columns(samples.evidence).items()
        ],
        "states": STATES,
        "verdicts": VERDICTS,
        "places": [
            {
                "track": place.track,
                "title": place.title,
                "role": system_line(Track.parse(place.track)),
                "metrics": list(metrics),
                "arms": [arm.trial_for(place.track) is not None for arm in samples.arms],
            }
            for place, metrics in packer.places.items()
        ],
        "items": packer.items,
        "starts": packer.starts,
        "rules": list(packer.rules),
        "rulesets": list(packer.rulesets),
        "gaps": samples.gaps,
    }


__all__ = ["ABSENT", "CUT", "EMPTY", "UNRECORDED", "UNSCORED", "VERDICTS", "Packed", "pack"]
