"""What an engine of generation does: prompts in, each with its adapter or none, completions out as they are done.

One decision: an adapter is said prompt by prompt. An engine that serves several at once may mix them; one
that cannot takes them in turn; and whoever asks need not know which it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evaluators.generation.settings import GenerationSettings
from models.locations import ModelError
from tasks.records import Completion, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A problem, the folder of the adapter that is to answer it (None: the base itself), and which samples are wanted.

    No samples named are all that the settings ask for.
    """

    problem: Problem
    adapter: Path | None = None
    samples: tuple[int, ...] = ()


class Generator(Protocol):
    """One base, loaded or served, with whatever adapters its prompts name."""

    def complete(
        self, prompts: Sequence[Prompt], *, settings: GenerationSettings
    ) -> Iterator[tuple[Prompt, Completion | ModelError]]:
        """The completions of each prompt with the prompt that they answer, in any order.

        A prompt whose adapter is damaged, of another base or without effect comes with that error instead, and the
        others are answered.
        """
