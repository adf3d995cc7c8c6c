"""The health of a cell's outputs: shares of what makes a score beside them meaningless.

One decision: every share is of all outputs of the cell, so shares can be compared between cells and
no denominator hides a failure. An output that is skipped or empty counts in that share alone, not as
unparseable as well.
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evaluators.contamination import Contamination
from evaluators.extraction import CHAT_MARK
from tasks.records import Record

DEGENERATE_RATIO = 0.15
"""An output that zlib shrinks below this share of its size repeats itself.

Of 9,792 references with 200 characters or more (CodeXGLUE translation, HumanEval, MBPP, HumanEval-X,
MBXP) none falls below 0.18, white space squeezed; a statement written twenty times does.
"""
DEGENERATE_LENGTH = 200
"""Characters below which zlib's own overhead decides the ratio."""

MATCH_LENGTH = 8
"""Characters that must agree with the reference from its second on, to say that the first was lost."""

PROMPT_WORDS = 3
"""A reference of fewer words is found in many a prompt by chance."""


_PLEASANTRY = re.compile(
    r"^\W*(?:sure[,!.]|certainly[,!.]|of course[,!.]|here(?:'s| is| are) (?:the|a|an|your|my)\b"
    r"|i hope (?:this|that)\b|let me know\b|as an ai\b|please note that\b)",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output as it was scored: the extracted program or summary, not the raw completion.

    `parses` is None on tracks that write prose. `prompt` is what the model read, `preamble` what of it
    an answer may repeat, `raw` the completion as the model wrote it. `contamination` is what the
    problem shares with the training data; None if there are none, or they could not be read.
    """

    text: str
    finish: Literal["stop", "answered", "length", "skipped"]
    prompt: str
    reference: str
    parses: bool | None = None
    preamble: str = ""
    raw: str = ""
    contamination: Contamination | None = None


class Health(Record):
    """Shares, 0-1, of a cell's `num_outputs`.

    `unparseable` is None on tracks that write prose, `training_overlap` and `training_duplicate` are
    where there are no training data.
    """

    num_outputs: int
    skipped: float
    empty: float
    truncated: float
    degenerate: float
    unparseable: float | None
    first_character_lost: float
    reference_in_prompt: float
    prompt_echoed: float
    chat_leftovers: float
    training_overlap: float | None
    training_duplicate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    highest: float
    meaning: str


LIMITS: Mapping[str, _Limit] = {
    "skipped": _Limit(highest=0.0, meaning="were skipped, their prompts being too long for the model"),
    "empty": _Limit(highest=0.01, meaning="are empty"),
    "truncated": _Limit(highest=0.05, meaning="were cut off at the limit of new tokens"),
    "degenerate": _Limit(highest=0.01, meaning="repeat themselves over and over"),
    "unparseable": _Limit(highest=0.1, meaning="do not parse, and have no quality counts"),
    "first_character_lost": _Limit(
        highest=0.01, meaning="lack the reference's first character: do training and generation share a chat template?"
    ),
    "reference_in_prompt": _Limit(highest=0.01, meaning="had their reference in the prompt, so copying it scores"),
    "prompt_echoed": _Limit(highest=0.01, meaning="repeat what the model was given to read"),
    "chat_leftovers": _Limit(highest=0.01, meaning="hold left-overs of a chat: marks of its template, or pleasantries"),
    "training_overlap": _Limit(
        highest=0.05, meaning="are asked for a reference that shares a run of 13 words with the training data"
    ),
    "training_duplicate": _Limit(highest=0.0, meaning="answer problems that are in the training data themselves"),
}
"""The highest share of each fault that passes without a warning, and how a warning words it."""


def check(outputs: Sequence[Output]) -> Health:
    """Count the faults of one cell's outputs.

    Raises:
        ValueError: if there are no outputs, or some say whether they parse and others do not.
    """
    if not outputs:
        raise ValueError("health needs at least one output, got none")
    are_code = {output.parses is not None for output in outputs}
    if len(are_code) > 1:
        raise ValueError("outputs of code and of prose have no health in common; check each track apart")

    def share(has_fault: Callable[[Output], bool]) -> float:
        return sum(map(has_fault, outputs)) / len(outputs)

    known = [output.contamination for output in outputs if output.contamination is not None]
    return Health(
        num_outputs=len(outputs),
        skipped=share(lambda output: output.finish == "skipped"),
        empty=share(lambda output: output.finish != "skipped" and not output.text.strip()),
        truncated=share(lambda output: output.finish == "length"),
        degenerate=share(lambda output: is_degenerate(output.text)),
        unparseable=share(_is_unparseable) if are_code == {True} else None,
        first_character_lost=share(lambda output: lost_first_character(output.text, reference=output.reference)),
        reference_in_prompt=share(lambda output: is_in_prompt(output.reference, prompt=output.prompt)),
        prompt_echoed=share(_echoes_prompt),
        chat_leftovers=share(lambda output: has_chat_leftovers(output.text, raw=output.raw)),
        training_overlap=_share_of_known([found.overlaps for found in known]),
        training_duplicate=_share_of_known([found.duplicate for found in known]),
    )


def _share_of_known(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def warnings(health: Health) -> tuple[str, ...]:
    """One sentence for each share above its limit, in the order of `LIMITS`."""
    sentences = []
    for name, limit in LIMITS.items():
        value = getattr(health, name)
        if value is not None and value > limit.highest:
            count = round(value * health.num_outputs)
            sentences.append(
                f"{count} of {health.num_outputs} outputs ({value:.1%}) {limit.meaning}"
                f" (warned of above {limit.highest:.0%})."
            )
    return tuple(sentences)


def is_degenerate(text: str) -> bool:
    """Whether `text` says the same over and over, by how far zlib shrinks it, white space squeezed."""
    data = " ".join(text.split()).encode("utf-8", errors="replace")
    return len(data) >= DEGENERATE_LENGTH and len(zlib.compress(data, 9)) < DEGENERATE_RATIO * len(data)


def lost_first_character(text: str, *, reference: str) -> bool:
    """Whether `text` starts as the reference does from its second character on.

    The whole reference, its first `MATCH_LENGTH` characters or its first word must agree, and the
    text must not start as the reference itself does.
    """
    start, expected = text.lstrip(), reference.lstrip()
    if len(expected) < 3 or start.startswith(expected[:MATCH_LENGTH]):
        return False
    rest = expected[1:]
    if start.rstrip() == rest.rstrip():
        return True
    if len(rest) >= MATCH_LENGTH and start.startswith(rest[:MATCH_LENGTH]):
        return True
    first, expected_first = (re.match(r"\w*", code) for code in (start, expected))
    assert first is not None and expected_first is not None
    return len(expected_first[0]) >= 3 and first[0] == expected_first[0][1:]


def is_in_prompt(reference: str, *, prompt: str) -> bool:
    """Whether the reference's words stand in the prompt in a row; case and punctuation do not count."""
    return _count_words(reference) >= PROMPT_WORDS and _holds(prompt, reference)


def has_chat_leftovers(text: str, *, raw: str = "") -> bool:
    """Whether a completion has marks of a chat template, or what is left of it pleasantries or a fence."""
    return bool(CHAT_MARK.search(raw) or _PLEASANTRY.search(text) or _FENCE.search(text))


def echoes_prompt(raw: str, *, prompt: str, reference: str, preamble: str = "") -> bool:
    """Whether the whole prompt stands in what the model wrote, and had no business there.

    It has where the answer must hold it, as the reference does (a method that reads alike in Java and
    C#), or may hold it, as a program may repeat its own preamble.
    """
    if _count_words(prompt) < PROMPT_WORDS or not _holds(raw, prompt):
        return False
    return not _holds(reference, prompt) and not _holds(preamble, prompt)


def _echoes_prompt(output: Output) -> bool:
    return echoes_prompt(output.raw, prompt=output.prompt, reference=output.reference, preamble=output.preamble)


def _count_words(text: str) -> int:
    return len(re.findall(r"\w+", text))


def _holds(text: str, part: str) -> bool:
    """Whether the words of `part` stand in `text` in a row; case and punctuation do not count."""
    words, part_words = (re.findall(r"\w+", code.casefold()) for code in (text, part))
    return f" {' '.join(part_words)} " in f" {' '.join(words)} "


def _is_unparseable(output: Output) -> bool:
    return output.parses is False and output.finish != "skipped" and bool(output.text.strip())
