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


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output as it was scored: the extracted program or summary, not the raw completion.

    `parses` is None on tracks that write prose. `prompt` is what the model read.
    """

    text: str
    finish: Literal["stop", "length", "skipped"]
    prompt: str
    reference: str
    parses: bool | None = None


class Health(Record):
    """Shares, 0-1, of a cell's `num_outputs`; `unparseable` is None on tracks that write prose."""

    num_outputs: int
    skipped: float
    empty: float
    truncated: float
    degenerate: float
    unparseable: float | None
    first_character_lost: float
    reference_in_prompt: float


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

    return Health(
        num_outputs=len(outputs),
        skipped=share(lambda output: output.finish == "skipped"),
        empty=share(lambda output: output.finish != "skipped" and not output.text.strip()),
        truncated=share(lambda output: output.finish == "length"),
        degenerate=share(lambda output: is_degenerate(output.text)),
        unparseable=share(_is_unparseable) if are_code == {True} else None,
        first_character_lost=share(lambda output: lost_first_character(output.text, reference=output.reference)),
        reference_in_prompt=share(lambda output: is_in_prompt(output.reference, prompt=output.prompt)),
    )


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
    words = re.findall(r"\w+", reference.casefold())
    if len(words) < PROMPT_WORDS:
        return False
    prompt_words = re.findall(r"\w+", prompt.casefold())
    return f" {' '.join(words)} " in f" {' '.join(prompt_words)} "


def _is_unparseable(output: Output) -> bool:
    return output.parses is False and output.finish != "skipped" and bool(output.text.strip())
