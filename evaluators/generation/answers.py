"""Problems into prompts of tokens, and tokens into completions.

One decision: every engine takes its prompts from here and gives its tokens back to here, so that what a model is shown,
what ends an answer and what is left of it never depend on the engine.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evaluators.extraction import answer_end, ends_at_last_line
from evaluators.generation.choosing import draws, seed_of
from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from models.folders import context_of
from tasks.prompts import Rendered, render_prompt, written_behind
from tasks.records import Completion, Problem

# Tokens looked at for a stop string: each of its characters may be a token, and a letter may begin before it.
_MORE_TOKENS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """A problem as a model is shown it, and which sample of its answer is meant."""

    problem: Problem
    rendered: Rendered
    sample: int
    limit: int

    @property
    def ids(self) -> tuple[int, ...]:
        """The prompt's tokens."""
        return self.rendered.prompt_ids

    def draws(self, settings: GenerationSettings) -> tuple[float, ...]:
        """The numbers by which the answer's tokens are drawn; none for greedy decoding."""
        if settings.temperature == 0:
            return ()
        return draws(settings.seed, self.problem.id, self.sample, count=self.limit)

    def seed(self, settings: GenerationSettings) -> int | None:
        """What an engine that draws by itself is seeded with; None for greedy decoding."""
        return None if settings.temperature == 0 else seed_of(settings.seed, self.problem.id, self.sample)


def questions(tokenizer: Any, prompts: Iterable[Prompt], settings: GenerationSettings) -> Iterator[Question]:
    """The samples that prompts want, as the model is shown them."""
    for prompt in prompts:
        problem = prompt.problem
        rendered = render_prompt(tokenizer, track=problem.parsed_track, text=problem.input)
        for sample in prompt.samples or range(settings.samples):
            yield Question(problem=problem, rendered=rendered, sample=sample, limit=settings.limit(problem))


def fits(question: Question, context: int | None) -> bool:
    """Whether a model's context holds the prompt and all tokens that the answer may have."""
    return bool(question.ids) and (context is None or len(question.ids) + question.limit <= context)


def context_tokens(model: Any) -> int | None:
    """The most tokens that a model reads; None where nothing bounds it."""
    return context_of(model.config.get_text_config().to_dict())


def skipped(question: Question) -> Completion:
    """What becomes of a prompt that is not asked, since it does not fit or says nothing."""
    return _completion(question, text="", finish="skipped", new_tokens=0)


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a turn: the tokenizer's, and those that the model declares."""
    declared = getattr(model.generation_config, "eos_token_id", None)
    listed = declared if isinstance(declared, list) else [declared]
    return frozenset({tokenizer.eos_token_id, *(end for end in listed if end is not None)})


class Stopper:
    """Tells whether an answer is over by its text, given its tokens so far: one model's, for all its answers.

    A stop string is looked for after each token, the end of an answer at each line's end alone.
    """

    def __init__(self, tokenizer: Any, settings: GenerationSettings) -> None:
        self._tokenizer, self._settings = tokenizer, settings
        self._window = max((len(stop) for stop in settings.stop), default=0) + _MORE_TOKENS
        self._has_line_end: dict[int, bool] = {}

    def of(self, question: Question) -> Callable[[Sequence[int]], bool] | None:
        """Whether the answer to a question is over; None where only its tokens tell."""
        if not self._settings.stop and not self._settings.stop_at_answer:
            return None

        def stopped(ids: Sequence[int]) -> bool:
            return self._holds_stop(ids) or (self._settings.stop_at_answer and self._is_answered(question, ids))

        return stopped

    def _holds_stop(self, ids: Sequence[int]) -> bool:
        if not self._settings.stop:
            return False
        tail = str(self._tokenizer.decode(list(ids[-self._window :])))
        return any(stop in tail for stop in self._settings.stop)

    def _is_answered(self, question: Question, ids: Sequence[int]) -> bool:
        last = ids[-1]
        if last not in self._has_line_end:
            self._has_line_end[last] = "\n" in str(self._tokenizer.decode([last]))
        return self._has_line_end[last] and ends_at_last_line(
            written(question, ids, tokenizer=self._tokenizer), problem=question.problem
        )


def written(question: Question, ids: Sequence[int], *, tokenizer: Any) -> str:
    """The text of an answer's tokens."""
    return written_behind(tokenizer, question.ids, ids).removeprefix(question.rendered.lead)


def completed(
    question: Question, ids: Sequence[int], *, stopped: bool, tokenizer: Any, settings: GenerationSettings
) -> Completion:
    """A completion of an answer's tokens, which are without the one that ended it.

    Its text is cut where it ends by the settings, also for an engine that wrote further than that.
    """
    text = written(question, ids, tokenizer=tokenizer)
    cut = min((at for stop in settings.stop if (at := text.find(stop)) >= 0), default=len(text))
    answered = answer_end(text[:cut], problem=question.problem) if settings.stop_at_answer else None
    if answered is not None:
        return _completion(question, text=text[:answered], finish="answered", new_tokens=len(ids))
    finish = "stop" if stopped or cut < len(text) else "length"
    return _completion(question, text=text[:cut], finish=finish, new_tokens=len(ids))


def _completion(question: Question, *, text: str, finish: Any, new_tokens: int) -> Completion:
    return Completion(
        problem_id=question.problem.id,
        track=question.problem.track,
        dataset=question.problem.dataset,
        sample=question.sample,
        text=text,
        finish=finish,
        prompt_tokens=len(question.ids),
        new_tokens=new_tokens,
    )


__all__ = [
    "Question",
    "Stopper",
    "completed",
    "context_tokens",
    "end_tokens",
    "fits",
    "questions",
    "skipped",
    "written",
]
