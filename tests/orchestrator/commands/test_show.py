"""What is shown is what is fed: compared with the tensors of training and the prompts of generation."""

import json
from pathlib import Path

import pytest
from small_studies import CODE, PROSE, make_study, trial_of

from orchestrator.commands.show import Shown, shown
from orchestrator.errors import StudyError
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.work.data import read_all_examples, read_all_problems
from tasks.records import Example

LORA = {"lora": {"kind": "lora"}}


@pytest.fixture
def study(tmp_path: Path, tiny_base: Path) -> Study:
    return make_study(tmp_path, models=[str(tiny_base)])


def by_role(items: tuple[Shown, ...], role: str) -> list[Shown]:
    return [item for item in items if item.role == role]


def test_tokens_and_mask_are_those_of_the_batch(study: Study) -> None:
    from models.loading import load_tokenizer
    from trainers.batches.rows import encode, lay_flat

    trial = trial_of(study, "qlora")
    assert trial.training is not None
    tokenizer = load_tokenizer(trial.model)
    examples = read_all_examples(trial.train, root=Path(study.data.root))
    encoded = encode(examples, tokenizer, settings=trial.training).examples
    row = lay_flat(encoded, keys=range(len(encoded)), tracks=trial.tracks, pad=tokenizer.pad_token_id)
    losing = set((row.before_N + 1).tolist())
    items = by_role(shown(expand(study), trial.label, None), "train")
    assert [item.track for item in items] == [CODE, CODE, PROSE, PROSE]
    for item, (start, end) in zip(items, row.segments.bounds(), strict=False):
        assert [token.id for token in item.tokens] == row.ids_1T[0, start:end].tolist()
        assert list(item.loss_mask) == [place in losing for place in range(start, end)]


def test_answer_alone_carries_loss_and_its_text_can_be_read(study: Study) -> None:
    item = shown(expand(study), None, CODE)[0]
    assert "".join(token.text for token in item.tokens) == item.prompt + item.answer
    assert sum(item.loss_mask) == item.answer_tokens
    assert len(item.tokens) == item.prompt_tokens + item.answer_tokens
    assert not any(item.loss_mask[: item.prompt_tokens])


def test_loss_over_the_sequence_spares_only_the_first_token(tmp_path: Path, tiny_base: Path) -> None:
    training = {"max_steps": 1, "loss": "sequence"}
    item = shown(expand(make_study(tmp_path, models=[str(tiny_base)], training=training)), None, CODE)[0]
    assert list(item.loss_mask) == [False] + [True] * (len(item.tokens) - 1)


def test_test_problem_is_shown_as_generation_prompts_it(study: Study) -> None:
    from models.loading import load_tokenizer
    from tasks.prompts import render_prompt

    trial = trial_of(study, "qlora")
    problem = read_all_problems(trial.test, root=Path(study.data.root))[0]
    rendered = render_prompt(load_tokenizer(trial.model), track=problem.parsed_track, text=problem.input)
    (item,) = by_role(shown(expand(study), None, CODE), "test")
    assert (item.id, item.prompt) == (problem.id, rendered.prompt)
    assert tuple(token.id for token in item.tokens) == rendered.prompt_ids
    assert not any(item.loss_mask)


def test_note_tells_how_many_examples_and_tokens_a_training_has(tmp_path: Path, tiny_base: Path) -> None:
    fit = shown(expand(make_study(tmp_path, models=[str(tiny_base)])), None, None)[0].fit
    assert fit is not None
    assert (fit.examples, fit.too_long) == (4, 0)
    assert fit.longest < fit.tokens
    assert 0 < fit.loss_tokens < fit.tokens
    assert str(fit).startswith(f"4 training examples of up to {fit.longest} tokens; ")


def test_example_that_is_too_long_is_shown_as_left_out(tmp_path: Path, tiny_base: Path) -> None:
    study = make_study(tmp_path, models=[str(tiny_base)])
    long = Example(id="train/long", track=CODE, input="say it", output="word " * 600)
    path = tmp_path / "data" / "train.jsonl"
    path.write_text(f"{long.model_dump_json()}\n{path.read_text()}")
    first, second, _ = shown(expand(study), None, CODE)
    assert (first.id, first.left_out, any(first.loss_mask)) == ("train/long", True, False)
    assert "LEFT OUT" in first.note
    assert not second.left_out
    assert first.fit is not None
    assert (first.fit.examples, first.fit.too_long) == (4, 1)


def test_frozen_model_is_shown_its_problems_alone(study: Study) -> None:
    items = shown(expand(study), trial_of(study, "frozen").label, PROSE, count=3)
    assert [item.role for item in items] == ["test"] * 3
    assert all(item.fit is None and item.answer == "" for item in items)


def test_shown_is_plain_data(study: Study) -> None:
    plain = json.loads(json.dumps([item.as_json() for item in shown(expand(study), None, None)]))
    assert plain[0]["fit"]["tokens"] > 0
    assert plain[0]["tokens"][-1]["loss"] is True


def test_unknown_trial_and_track_are_told_with_the_nearest(study: Study) -> None:
    label = trial_of(study, "qlora").label
    with pytest.raises(StudyError, match=f"did you mean {label}"):
        shown(expand(study), label.replace("qlora", "qlorra"), None)
    with pytest.raises(StudyError, match=f"did you mean {CODE}"):
        shown(expand(study), label, "generation/pyton")
