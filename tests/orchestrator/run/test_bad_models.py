"""A model that cannot be asked, or an adapter that cannot be read, fails its own trial by name; the rest is done.

Stages run in this process, so no Ray is started.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_completions_kept import METHODS, study_of, train

from orchestrator.ledger.artifacts import completions_of
from orchestrator.ledger.ledger import Ledger
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.pipelines import PIPELINES
from orchestrator.run.planning import store_study
from orchestrator.run.state import Listener, StudyRun
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study


def generate(
    study: Study, *, before: Callable[[Ledger], None] = lambda ledger: None
) -> tuple[dict[str, str], set[str]]:
    """Run what generation is due: the causes of what failed, and what was done, by model and method."""
    ledger, cells = Ledger(study.storage), expand(study)
    with ledger.lease(study.study) as lease:
        run = StudyRun(cells, ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        store_study(cells, ledger)
        run.done.look()
        due = run.done.due("generate")
        before(ledger)
        PIPELINES["generate"](run, due, in_process=True)
    failed, done = {}, set()
    for trial in due:
        name = f"{Path(trial.model.name).name} {trial.method_name}"
        failure = ledger.last_failure(trial.key("generate"))
        record = ledger.records_of(trial).get("generate")
        if failure is not None:
            failed[name] = failure[0].cause
        if record is not None:
            assert len(completions_of(ledger, record)) == 6
            done.add(name)
    return failed, done


def test_model_whose_tokenizer_has_no_end_token_fails_alone(tmp_path: Path, tiny_base: Path) -> None:
    endless = shutil.copytree(tiny_base, tmp_path / "endless")
    settings = json.loads((endless / "tokenizer_config.json").read_text())
    # Qwen2's own class would put one in.
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": None}
    (endless / "tokenizer_config.json").write_text(json.dumps(settings))
    (endless / "special_tokens_map.json").unlink(missing_ok=True)
    whole = shutil.copytree(tiny_base, tmp_path / "whole")
    study = study_of(tmp_path / "study", model=str(whole), models=[str(endless), str(whole)])
    failed, done = generate(study)
    print(failed)
    assert list(failed) == ["endless frozen"]
    assert "has no end-of-text token" in failed["endless frozen"]
    assert done == {"whole frozen"}


@pytest.mark.parametrize(
    ("fault", "told"),
    [("cut", "cut short|cannot be read|changed"), ("rank", "says rank 3|changed|cut short")],
)
def test_adapter_that_is_not_what_was_trained_fails_its_trial_alone(
    tmp_path: Path, tiny_base: Path, fault: str, told: str
) -> None:
    study = study_of(tmp_path, model=str(tiny_base), methods=METHODS)
    train(study, "one", "two")

    def harm(ledger: Ledger) -> None:
        """Behind the look at what is done, as a disk does it."""
        trial = next(trial for trial in expand(study).trials if trial.method_name == "one")
        (folder,) = {
            path.parent for path in ledger.folder(ledger.records_of(trial)["train"]).rglob("adapter_config.json")
        }
        if fault == "cut":
            file = folder / "adapter_model.safetensors"
            file.write_bytes(file.read_bytes()[:1000])
        else:
            settings = json.loads((folder / "adapter_config.json").read_text())
            (folder / "adapter_config.json").write_text(json.dumps({**settings, "r": 3}))

    failed, done = generate(study, before=harm)
    print(failed)
    base = tiny_base.name
    assert list(failed) == [f"{base} one"]
    assert re.search(told, failed[f"{base} one"])
    assert done == {f"{base} frozen", f"{base} two"}
