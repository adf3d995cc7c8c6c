"""Problems into prompts of tokens, and tokens into completions.

One decision: every engine takes its prompts from here and gives its tokens back to here, so that what a model is shown,
what ends an answer and what is left of it never depend on the engine.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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


def stopper(tokenizer: Any, settings: GenerationSettings) -> Callable[[Sequence[int]], bool] | None:
    """Whether an answer's tokens so far hold a stop string; None where none is set."""
    if not settings.stop:
        return None
    window = max(len(stop) for stop in settings.stop) + _MORE_TOKENS

    def stopped(ids: Sequence[int]) -> bool:
        tail = str(tokenizer.decode(list(ids[-window:])))
        return any(stop in tail for stop in settings.stop)

    return stopped


def completed(
    question: Question, ids: Sequence[int], *, stopped: bool, tokenizer: Any, settings: GenerationSettings
) -> Completion:
    """A completion of an answer's tokens, which are without the one that ended it."""
    text = written_behind(tokenizer, question.ids, ids).removeprefix(question.rendered.lead)
    cut = min((at for stop in settings.stop if (at := text.find(stop)) >= 0), default=len(text))
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


__all__ = ["Question", "completed", "context_tokens", "end_tokens", "fits", "questions", "skipped", "stopper"]
