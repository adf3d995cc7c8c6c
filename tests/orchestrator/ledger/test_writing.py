"""What processes that write say of themselves, in a folder and in a bucket, and how that is shown."""

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from small_studies import make_study, problem, trial_of

from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base, ModelShelf
from evaluators.generation.transformers_engine import TransformersGenerator
from models.spec import ModelSpec
from orchestrator.commands.speed import speed_lines
from orchestrator.commands.watch import Watcher
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.progress import TrialProgress, leave_progress, progress_of
from orchestrator.ledger.storage import Store
from orchestrator.ledger.studies import ledger_of
from orchestrator.ledger.writing import Share, Telling, Writing, clear_words, words_folder, words_on
from orchestrator.study.cells import expand
from tasks.records import Completion

SLOTS = 4


def word(process: str, *, at: float = 0.0, **shares: Share) -> Writing:
    return Writing(
        process=process, time=time.time() + at, seconds=10.0, shares=shares, tokens_per_s=200.0,
        slots=64, slots_used=60.5, busy=0.93, busy_of="engine",
    )  # fmt: skip


def leave(store: Store, *words: Writing) -> None:
    for number, one in enumerate(words):
        store.write(f"{words_folder('small')}{number}.json", one.model_dump_json().encode())


def write(model: ModelSpec, store: Store, *, problems: int) -> tuple[list[Writing], Telling]:
    """Let a real engine write; returns all words that were seen meanwhile."""
    engine = TransformersGenerator(
        ModelShelf(), Base(model=model, precision="fp32", device=torch.device("cpu")), slots=SLOTS
    )
    name = f"{words_folder('small')}piece.json"
    seen: dict[float, Writing] = {}
    with Telling(store, name, work=engine.work, there={"key": 3}, every_s=0.1) as telling:
        prompts = [Prompt(problem=problem(number)) for number in range(problems)]
        for _, done in engine.complete(prompts, settings=GenerationSettings(max_new_tokens=48)):
            assert isinstance(done, Completion)
            telling.add("key", tokens=done.new_tokens + 1)
            seen |= {one.time: one for one in words_on(store, "small")}
    return list(seen.values()), telling


def test_process_that_writes_tells_what_it_measured_and_takes_its_word_back(
    model_spec: ModelSpec, ledger: Ledger
) -> None:
    words, telling = write(model_spec, ledger.store, problems=60)
    assert words and telling.made == {"key": 60}
    last = words[-1]
    assert 3 < last.shares["key"].there == 3 + last.shares["key"].made <= 63
    assert last.tokens_per_s > 0 and last.made_per_s > 0
    assert 0 < last.slots_used <= last.slots <= SLOTS
    assert 0 < last.busy <= 1 and last.busy_of == "engine"
    assert words_on(ledger.store, "small") == ()


def test_word_of_a_process_that_is_gone_is_not_heard_and_can_be_cleared(ledger: Ledger) -> None:
    leave(ledger.store, word("a:1"), word("a:2", at=-90))
    ledger.store.write(f"{words_folder('small')}cut.json", b'{"process"')
    assert [one.process for one in words_on(ledger.store, "small")] == ["a:1"]
    clear_words(ledger.store, "small")
    assert ledger.store.entries(words_folder("small")) == []


def under_way(folder: Path, words: Sequence[Writing]) -> tuple[TrialProgress, ...]:
    """Two trials that are written for: 40 completions each, of which whole pieces have given 10 of the first."""
    study = make_study(folder)
    ledger, trials = ledger_of(study), expand(study).trials
    for trial, records in zip(trials, (10, 0), strict=True):
        attempt = ledger.begin(trial.key("generate")).folder
        leave_progress(
            attempt, {"asked": 40, "known": 0, "wanted": 40, "records": records, "seconds": 30.0, "time": 1.0}
        )
    return progress_of(trials, ledger, live_since=1.0, words=words)


def test_generation_is_as_far_as_pieces_and_processes_say_and_takes_what_is_left_at_their_rate(tmp_path: Path) -> None:
    first, second = (trial_of(make_study(tmp_path), method).key("generate") for method in ("frozen", "qlora"))
    words = [
        word("a:1", **{first: Share(there=20, made=20, new_tokens=1000)}),
        word("a:2", **{second: Share(there=5, made=4, new_tokens=100)}),
    ]
    one, two = (progress.stages[-3] for progress in under_way(tmp_path, words))
    assert (one.step, one.steps, one.tokens_per_s, one.seconds_left) == (30, 40, 100.0, 5.0)
    assert (two.step, two.steps, two.tokens_per_s, two.seconds_left) == (5, 40, 10.0, pytest.approx(87.5))
    assert [writer.process for writer in (*one.writers, *two.writers)] == ["a:1", "a:2"]


def test_process_that_writes_for_two_trials_counts_once(tmp_path: Path) -> None:
    keys = [trial_of(make_study(tmp_path), method).key("generate") for method in ("frozen", "qlora")]
    both = word("a:1", **{key: Share(there=10, made=10, new_tokens=500) for key in keys})
    frozen, qlora = under_way(tmp_path, [both])
    assert speed_lines([frozen, qlora]) == [
        "generate: 30/80, 200 tokens/s in 1 process, 60 of 64 slots in use, engine busy 93 %, 25 s left"
    ]
    rows = frozen.as_json()
    assert rows["writers"][0]["slots_used"] == 60.5 and rows["tokens_per_s"] == 50.0


def test_trials_that_write_together_are_one_line_where_there_is_no_terminal(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    keys = [trial.key("generate") for trial in expand(study).trials]
    both = word("a:1", **{key: Share(there=10, made=10, new_tokens=500) for key in keys})
    # Both are at their generation: of the one that is trained nothing else is shown.
    progress = [replace(one, stages=one.stages[-3:]) for one in under_way(tmp_path, [both])]
    console = Console(file=io.StringIO(), width=200)
    watcher = Watcher(expand(study), ledger_of(study), quiet=False, console=console)
    watcher._draw(progress)
    watcher._draw(progress[:1])
    together, alone = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert together.endswith(
        "  2 trials generate: 30/80, 200 tokens/s in 1 process, 60 of 64 slots in use, engine busy 93 %, 25 s left"
    )
    assert alone.endswith(
        "frozen/seed0 generate 20/40, 50 tokens/s, 60 of 64 slots in use, engine busy 93 %, 20 s left"
    )


def test_nothing_is_said_of_speed_before_anything_was_measured(tmp_path: Path) -> None:
    frozen, _ = under_way(tmp_path, ())
    assert (frozen.now.step, frozen.now.tokens_per_s, frozen.now.seconds_left) == (10, None, None)
    assert speed_lines([frozen]) == []
