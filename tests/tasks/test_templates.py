"""Templates of other makers: what they do to dates, answers, indentation and roles, and that none of it is left."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from models.loading import load_tokenizer
from models.locations import ModelError, identified, template_text
from models.spec import ModelSpec
from tasks.prompt_checks import faults_of_prompts
from tasks.prompts import render_example, render_prompt, written_behind
from tasks.records import BUILTIN_TRACKS
from tasks.templates import PLAIN, fitted

TRACK = BUILTIN_TRACKS[0]
# Habits of well-known templates, each in as few words as show it.
TURNS = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] | trim + eos_token }}{% endfor %}"
ASKED = "{% if add_generation_prompt %}{{ 'assistant:\n' }}{% endif %}"
TRIMMING = TURNS.replace(": '", ":\n'") + ASKED
DATED = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{%- endif %}{{ 'Today: ' + date_string + '\n' }}"
)
CLOCK = "{{ strftime_now('%Y-%m-%d') + '\n' }}"
WITHOUT_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
DROPPING = TRIMMING.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")
LLAMA_2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
EMPTY_THOUGHT = (
    "{% for m in messages %}{{ m['role'] + ':\n' }}{% if m['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}"
    "{% endif %}{{ m['content'] + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)


def spaced(kind: str) -> Any:
    """A tokenizer that marks the beginnings of words: as Llama 2's first files had it, or as its later ones."""
    learnt = Tokenizer(BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    words = ["def▁solve(text):", "▁▁▁▁return▁text[::-1]▁total▁=▁0▁for▁x▁in"] * 50
    learnt.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    )
    raw = json.loads(learnt.to_str())
    for byte in range(256):
        raw["model"]["vocab"][f"<0x{byte:02X}>"] = len(raw["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(raw))
    if kind == "legacy":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", name_or_path=kind
    )


@pytest.fixture
def micro() -> Any:
    return load_tokenizer(ModelSpec(name="builtin:micro"))


def with_template(tokenizer: Any, template: str | None, **arguments: Any) -> Any:
    tokenizer.chat_template = None
    tokenizer.chat_template = fitted(tokenizer, template=template, arguments=arguments)
    return tokenizer


@pytest.mark.parametrize(
    "template",
    [TRIMMING, DATED + TRIMMING, CLOCK + TRIMMING, WITHOUT_SYSTEM + TRIMMING, DROPPING, LLAMA_2, EMPTY_THOUGHT, None],
    ids=["trims", "dated", "clock", "no-system-role", "drops-system", "llama-2", "empty-thought", "plain"],
)
@pytest.mark.parametrize("kind", ["bytes", "legacy", "metaspace"])
def test_answers_and_prompts_survive_every_template_under_every_tokenizer(micro: Any, template: str, kind: str) -> None:
    tokenizer = with_template(micro if kind == "bytes" else spaced(kind), template)
    if template == LLAMA_2 and kind == "bytes":
        tokenizer.bos_token = "<|endoftext|>"
    assert faults_of_prompts(tokenizer) == ()


@pytest.mark.parametrize("kind", ["legacy", "metaspace"])
def test_indentation_is_read_back_behind_the_prompt(kind: str) -> None:
    tokenizer = with_template(spaced(kind), None)
    rendered = render_example(tokenizer, track=TRACK, text="x", answer="    total = 0")
    said = rendered.answer_ids[: -rendered.end_tokens]
    assert tokenizer.decode(said) == "   total = 0"
    assert written_behind(tokenizer, rendered.prompt_ids, rendered.answer_ids) == "    total = 0"


def test_date_stands_still(micro: Any) -> None:
    for template, date in ((DATED + TRIMMING, "Today: 26 Jul 2024"), (CLOCK + TRIMMING, "2024-07-26")):
        prompt = render_prompt(with_template(micro, template), track=TRACK, text="x").prompt
        assert prompt.startswith(date)


def test_template_with_a_running_clock_is_found_out(micro: Any) -> None:
    micro.chat_template = CLOCK + TRIMMING
    assert any("differ from day to day" in fault for fault in faults_of_prompts(micro))


def test_date_can_be_given(micro: Any) -> None:
    tokenizer = with_template(micro, DATED + TRIMMING, date_string="1 Jan 2000")
    assert render_prompt(tokenizer, track=TRACK, text="x").prompt.startswith("Today: 1 Jan 2000\n")


@pytest.mark.parametrize("template", [WITHOUT_SYSTEM + TRIMMING, DROPPING], ids=["refused", "dropped"])
def test_system_line_without_a_role_goes_before_the_text(micro: Any, template: str) -> None:
    rendered = render_prompt(with_template(micro, template), track=TRACK, text="add two")
    assert rendered.system == "in the user's turn"
    assert "Write the function in Python.\n\nadd two" in rendered.prompt


def test_empty_thought_is_trained_and_taken_off_or_asked_for_by_an_argument(micro: Any) -> None:
    open_ended = render_example(with_template(micro, EMPTY_THOUGHT), track=TRACK, text="x", answer="y")
    assert (open_ended.lead, open_ended.answer) == ("<think>\n\n</think>\n\n", "<think>\n\n</think>\n\ny<|endoftext|>")
    told = with_template(micro, EMPTY_THOUGHT, enable_thinking=False)
    asked = render_example(told, track=TRACK, text="x", answer="y")
    assert (asked.lead, asked.answer) == ("", "y<|endoftext|>")
    assert asked.prompt == open_ended.prompt + open_ended.lead


def test_base_model_without_a_template_gets_the_plain_one(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(ModelSpec(name=str(tiny_base)))
    tokenizer.chat_template = None
    assert fitted(tokenizer, template=None, arguments={}) == PLAIN
    rendered = render_prompt(with_template(tokenizer, None), track=TRACK, text="add two")
    assert rendered.prompt == "Write the function in Python.\n\nadd two\n\nAnswer:\n"


def test_template_is_given_by_path_or_as_text_and_identified_by_its_text(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text(TRIMMING)
    by_path, by_text = (ModelSpec(name="builtin:micro", chat_template=given) for given in (str(path), TRIMMING))
    assert template_text(by_path) == TRIMMING
    assert identified(by_path) == identified(by_text)
    assert render_prompt(load_tokenizer(by_path), track=TRACK, text="x").prompt.endswith("assistant:\n")


def test_template_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"chat_template of 'builtin:micro' is 'none.jinja', which cannot be read"):
        load_tokenizer(ModelSpec(name="builtin:micro", chat_template="none.jinja"))
