"""Exports of trainings that were really run: two steps of LoRA on a tiny model, judged on three problems."""

import contextlib
import io
import shutil
from pathlib import Path

import pytest
import torch
from small_studies import CODE, commit, lines, make_study, trial_of

from orchestrator.commands.export import write_export
from orchestrator.errors import ArtifactDamaged, PolytuneError, StudyError
from orchestrator.ledger.ledger import Ledger, digests_of
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import read_all_problems
from orchestrator.work.judge import execute
from orchestrator.work.score import cells_of, score_cell
from orchestrator.work.training import Place, TrainingOrder, train_trial

METHODS = {
    "frozen": {"kind": "frozen"},
    "lora": {"kind": "lora"},
    "qlora": {"kind": "qlora"},
    "full": {"kind": "full"},
    "later": {"kind": "lora", "training": {"max_steps": 9}},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Study:
    """A study with its LoRA and QLoRA trials trained, the former evaluated too."""
    study = make_study(
        tmp_path_factory.mktemp("export"),
        models=[str(tiny_base)],
        training={"max_steps": 2, "learning_rate": 0.01},
        methods=METHODS,
        evaluation={"generation": {"max_new_tokens": 16, "max_summary_tokens": 8}, "quality": False},
    )
    for name in ("lora", "qlora"):
        order = TrainingOrder(trial=trial_of(study, name), resources=study.resources)
        failed = train_trial(order, Place(storage=study.storage, root=study.data.root))
        assert failed is None
    _evaluate(study, trial_of(study, "lora"))
    return study


def _evaluate(study: Study, trial: TrialSpec) -> None:
    """Generate, execute and score as workers do, and leave the stages in the ledger."""
    from evaluators.generation.transformers_engine import generate
    from models.loading import load_tokenizer

    ledger = Ledger(Path(study.storage))
    problems = read_all_problems(trial.test, root=Path(study.data.root))
    model, tokenizer = _adapted(trial, ledger), load_tokenizer(trial.model)
    written = generate(model, tokenizer, problems, settings=trial.generation)
    commit(ledger, trial, "generate", files={"completions.jsonl": lines(written)})
    verdicts = execute(problems, written, limits=trial.limits)
    commit(ledger, trial, "execute", files={"verdicts.jsonl": lines(verdicts)}, facts={"isolation": "rlimits"})
    cells = [score_cell(*cell, quality=False).model_dump_json() for cell in cells_of(problems, written)]
    commit(ledger, trial, "score", files={"cells.json": f"[{','.join(cells)}]"})


def _weights(trial: TrialSpec, ledger: Ledger) -> Path:
    record = ledger.records_of(trial)["train"]
    return ledger.folder(record) / str(record.facts["weights"])


def _adapted(trial: TrialSpec, ledger: Ledger) -> torch.nn.Module:
    """The full-precision base with the trial's adapter, unmerged."""
    from models.loading import load_adapter, load_base

    base = load_base(trial.model, precision="fp32", device=torch.device("cpu"))
    model: torch.nn.Module = load_adapter(base, _weights(trial, ledger))
    return model


@pytest.fixture
def ledger(study: Study) -> Ledger:
    return Ledger(Path(study.storage))


def test_exported_adapter_is_the_ledgers_byte_for_byte(study: Study, ledger: Ledger, tmp_path: Path) -> None:
    trial = trial_of(study, "lora")
    folder = write_export(expand(study), trial.label, ledger, to=tmp_path / "given" / "adapter", merge=False)
    given, kept = digests_of(folder), digests_of(_weights(trial, ledger))
    assert given.pop("README.md") != kept.pop("README.md")
    assert given == kept
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= given.keys()
    assert [path.name for path in folder.parent.iterdir()] == ["adapter"]


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_merged_model_is_the_full_precision_base_with_the_adapter(
    name: str, study: Study, ledger: Ledger, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trial = trial_of(study, name)
    folder = write_export(expand(study), trial.label, ledger, to=tmp_path / "merged", merge=True)
    merged = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert merged.dtype == torch.bfloat16, "the base's own precision"
    assert not list(folder.glob("adapter_*"))
    ids = AutoTokenizer.from_pretrained(folder)("def solve(x):", return_tensors="pt").input_ids
    adapted = _adapted(trial, ledger)
    with torch.no_grad():
        wanted, got = adapted(input_ids=ids).logits, merged.float()(input_ids=ids).logits
        with adapted.disable_adapter():  # type: ignore[operator]
            untrained = adapted(input_ids=ids).logits
    # Rounding the weights to bf16 may cost a hundredth; the training moved the logits by far more.
    assert (got - wanted).abs().max() < 0.1 * (untrained - wanted).abs().max()


@pytest.mark.parametrize(("name", "merge"), [("lora", False), ("qlora", False), ("qlora", True)])
def test_code_of_the_card_runs_in_the_exported_folder(
    name: str, merge: bool, study: Study, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_export(expand(study), trial_of(study, name).label, ledger, to=tmp_path / "given", merge=merge)
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue()
    assert ("quantization_config" in code) == (name == "qlora" and not merge)


def test_card_tells_method_data_scores_and_provenance(study: Study, ledger: Ledger, tmp_path: Path) -> None:
    trial = trial_of(study, "lora")
    card = (
        write_export(expand(study), trial.label, ledger, to=tmp_path / "given", merge=False) / "README.md"
    ).read_text()
    record = ledger.records_of(trial)["train"]
    assert card.startswith("---\nlibrary_name: peft\n")
    assert "base_model:" not in card, "a folder of this machine is no model of the hub"
    assert "| lora rank | 8 |" in card
    assert "| learning rate | 0.01 |" in card
    assert f"| {CODE} | train |" in card
    assert str(trial.train[0].identity) in card
    assert f"| {CODE} | small | pass@1 % | " in card
    assert "| 3 of 3 |" in card
    assert record.key in card
    assert record.output_digest in card
    assert record.provenance["host"] not in [cell.strip() for cell in card.split("|")]


def test_card_of_a_trial_without_scores_says_what_is_missing(study: Study, ledger: Ledger, tmp_path: Path) -> None:
    folder = write_export(expand(study), trial_of(study, "qlora").label, ledger, to=tmp_path / "given", merge=False)
    assert "generate waiting, execute waiting, score waiting" in (folder / "README.md").read_text()


def test_folder_with_something_in_it_is_left_alone(study: Study, ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    label = trial_of(study, "lora").label
    with pytest.raises(PolytuneError, match="not empty"):
        write_export(expand(study), label, ledger, to=tmp_path, merge=False)
    with pytest.raises(PolytuneError, match="is a file"):
        write_export(expand(study), label, ledger, to=tmp_path / "mine.txt", merge=False)
    (tmp_path / "empty").mkdir()
    assert (write_export(expand(study), label, ledger, to=tmp_path / "empty", merge=False) / "README.md").exists()


def test_what_cannot_be_exported_is_refused_with_the_reason(study: Study, ledger: Ledger, tmp_path: Path) -> None:
    label = trial_of(study, "lora").label
    with pytest.raises(StudyError, match=f"did you mean {label}"):
        write_export(expand(study), label.replace("/lora", "/lorra"), ledger, to=tmp_path / "x", merge=False)
    with pytest.raises(PolytuneError, match="not trained yet; train it with: polytune run"):
        write_export(expand(study), trial_of(study, "later").label, ledger, to=tmp_path / "x", merge=False)
    with pytest.raises(PolytuneError, match="nothing to export; use"):
        write_export(expand(study), trial_of(study, "frozen").label, ledger, to=tmp_path / "x", merge=False)
    with pytest.raises(PolytuneError, match="no adapter to merge; leave --merge out"):
        write_export(expand(study), trial_of(study, "full").label, ledger, to=tmp_path / "x", merge=True)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_were_changed_by_hand_are_not_given_away(study: Study, ledger: Ledger, tmp_path: Path) -> None:
    trial = trial_of(study, "qlora")
    shutil.copytree(ledger.storage, tmp_path / "runs")
    harmed = Ledger(tmp_path / "runs")
    path = _weights(trial, harmed) / "adapter_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactDamaged, match=r"adapter_model\.safetensors was changed \(sha256 "):
        write_export(expand(study), trial.label, harmed, to=tmp_path / "given", merge=False)
    assert not (tmp_path / "given").exists()
