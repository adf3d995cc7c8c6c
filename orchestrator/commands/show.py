"""`polytune show`: what the model really sees: rendered prompts and answers, tokens, loss mask, batches.

One decision: nothing is rendered here. Text, tokens and mask come from the functions that training and
generation call, so what is shown cannot differ from what is fed.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orchestrator.commands.options import JsonOption, SetOption, StudyArg, TrialOption, opened
from orchestrator.commands.output import print_json
from orchestrator.errors import Fault, StudyError
from orchestrator.study.cells import Cells, find_trial, no_such
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import read_all_examples, read_all_problems
from tasks.prompts import render_example, render_prompt
from tasks.records import Example

if TYPE_CHECKING:
    from trainers.spec import TrainingSettings


EPILOG = "Example: polytune show studies/quickstart.yaml --track generation/python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token: its id, its text as decoded alone, and whether the loss is taken on predicting it."""

    id: int
    text: str
    loss: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What becomes of a trial's training examples under `max_length`.

    Attributes:
        examples: those that fit, over all tracks of the trial.
        too_long: those left out.
        longest: tokens of the longest that fits.
        tokens: tokens of all examples that fit.
        loss_tokens: those of them that carry loss.
    """

    examples: int
    too_long: int
    longest: int
    tokens: int
    loss_tokens: int

    def __str__(self) -> str:
        left_out = f", {self.too_long} longer and left out," if self.too_long else ""
        return (
            f"{self.examples} training examples{left_out} of up to {self.longest} tokens; "
            f"{self.loss_tokens:,} of {self.tokens:,} tokens carry loss"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One training example, or one test problem, as a trial's model sees it.

    A problem has no answer and no loss. `left_out` is True for an example that is longer than
    `max_length`. `fit` is None for a model that is not trained.
    """

    trial: str
    model: str
    track: str
    id: str
    role: Literal["train", "test"]
    prompt: str
    answer: str
    prompt_tokens: int
    answer_tokens: int
    tokens: tuple[Token, ...]
    left_out: bool
    fit: Fit | None

    @property
    def loss_mask(self) -> tuple[bool, ...]:
        """Whether each token carries loss."""
        return tuple(token.loss for token in self.tokens)

    @property
    def note(self) -> str:
        """One or two lines that say what is underlined, and how the trial's data fits."""
        if self.role == "test":
            return f"{self.trial}: a test problem, {self.prompt_tokens} prompt tokens; the model writes from here on"
        lost = "; longer than max_length, so it is LEFT OUT of training" if self.left_out else ""
        counts = f"{self.prompt_tokens} prompt + {self.answer_tokens} answer tokens, {sum(self.loss_mask)} carry loss"
        return f"{self.trial}: {counts}{lost}\n{self.fit}"

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


def show(
    study: StudyArg,
    set_: SetOption = None,
    trial: TrialOption = None,
    track: Annotated[str | None, typer.Option("--track", help="Only this track.")] = None,
    json_: JsonOption = False,
) -> None:
    """Show rendered prompts, tokens and loss mask: what the model really sees."""
    examples = shown(opened(study, set_)[0], trial, track)
    if json_:
        print_json([example.as_json() for example in examples])
    else:
        _print_shown(examples)


def shown(cells: Cells, trial_label: str | None, track: str | None, *, count: int = 2) -> tuple[Shown, ...]:
    """The first `count` training examples and the first test problem of each track of a trial.

    Without a label it is the study's first trial that is trained, or the first of all. A trial that is
    not trained shows `count` test problems.

    Raises:
        StudyError: if the study has no such trial, or the trial no such track.
        DataError, ModelError: if data or tokenizer cannot be read.
    """
    trial = _trial(cells, trial_label)
    tracks = _tracks(cells.study, trial, track)
    # Imported after the names are checked: a mistyped label need not wait for torch.
    from models.loading import load_tokenizer

    tokenizer, root = load_tokenizer(trial.model), Path(cells.study.data.root)
    examples = read_all_examples(trial.train, root=root)
    fit = _fit(trial, examples, tokenizer)
    return tuple(
        item
        for name in tracks
        for item in (
            *_examples(trial, [e for e in examples if e.track == name][:count], tokenizer, fit=fit),
            *_problems(trial, name, tokenizer, root=root, count=1 if trial.training else count),
        )
    )


def _trial(cells: Cells, label: str | None) -> TrialSpec:
    if label is not None:
        return find_trial(cells, label)
    return next((trial for trial in cells.trials if trial.training), cells.trials[0])


def _tracks(study: Study, trial: TrialSpec, track: str | None) -> tuple[str, ...]:
    if track is None:
        return trial.tracks
    if track not in trial.tracks:
        where = f"track {track!r} of trial {trial.label}"
        raise StudyError(study.study, (Fault(where=where, message=no_such(track, trial.tracks)),))
    return (track,)


def _fit(trial: TrialSpec, examples: Sequence[Example], tokenizer: Any) -> Fit | None:
    """How many of a trial's examples are trained on, worked out by training's own function."""
    from trainers.batches.rows import encode

    if trial.training is None:
        return None
    encoded = encode(examples, tokenizer, settings=trial.training)
    return Fit(
        examples=len(encoded.examples),
        too_long=sum(encoded.too_long.values()),
        longest=max((len(example.ids) for example in encoded.examples), default=0),
        tokens=sum(len(example.ids) for example in encoded.examples),
        loss_tokens=sum(len(example.ids) - example.loss_from for example in encoded.examples),
    )


def _examples(trial: TrialSpec, examples: Sequence[Example], tokenizer: Any, *, fit: Fit | None) -> Iterator[Shown]:
    if trial.training is None:
        return
    for example in examples:
        rendered = render_example(tokenizer, track=example.parsed_track, text=example.input, answer=example.output)
        ids = (*rendered.prompt_ids, *rendered.answer_ids)
        loss_from = _loss_from(example, tokenizer, settings=trial.training)
        yield Shown(
            trial=trial.label,
            model=trial.model.name,
            track=example.track,
            id=example.id,
            role="train",
            prompt=rendered.prompt,
            answer=rendered.answer,
            prompt_tokens=len(rendered.prompt_ids),
            answer_tokens=len(rendered.answer_ids),
            tokens=_tokens(ids, tokenizer, loss_from=len(ids) if loss_from is None else loss_from),
            left_out=loss_from is None,
            fit=fit,
        )


def _loss_from(example: Example, tokenizer: Any, *, settings: "TrainingSettings") -> int | None:
    """Where training takes the loss from; None for an example that it leaves out."""
    from trainers.batches.rows import encode

    encoded = encode((example,), tokenizer, settings=settings).examples
    return encoded[0].loss_from if encoded else None


def _problems(trial: TrialSpec, track: str, tokenizer: Any, *, root: Path, count: int) -> Iterator[Shown]:
    sources = [source for source in trial.test if source.track == track]
    for problem in read_all_problems(sources, root=root)[:count]:
        rendered = render_prompt(tokenizer, track=problem.parsed_track, text=problem.input)
        yield Shown(
            trial=trial.label,
            model=trial.model.name,
            track=track,
            id=problem.id,
            role="test",
            prompt=rendered.prompt,
            answer="",
            prompt_tokens=len(rendered.prompt_ids),
            answer_tokens=0,
            tokens=_tokens(rendered.prompt_ids, tokenizer, loss_from=len(rendered.prompt_ids)),
            left_out=False,
            fit=None,
        )


def _tokens(ids: Sequence[int], tokenizer: Any, *, loss_from: int) -> tuple[Token, ...]:
    return tuple(Token(id=id_, text=tokenizer.decode([id_]), loss=index >= loss_from) for index, id_ in enumerate(ids))


def _print_shown(examples: Sequence[Shown]) -> None:
    """Prompts and answers as a model sees them; tokens that carry loss are underlined."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for example in examples:
        console.rule(Text(f"{example.track}  {example.id}"), align="left")
        text = Text()
        for token in example.tokens:
            text.append(token.text, style="bold underline" if token.loss else "dim")
        console.print(text)
        console.print(Text(example.note, style="dim"))


__all__ = ["Fit", "Shown", "Token", "show", "shown"]
