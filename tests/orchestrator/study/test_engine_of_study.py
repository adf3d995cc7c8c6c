"""Which engine writes a study: what it changes of keys, what is refused, and what `auto` comes to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from small_studies import make_study, opened, raw_study, trial_of

from evaluators.generation.settings import ENGINE_VERSIONS, EngineName
from orchestrator.commands.doctor import examine
from orchestrator.errors import StudyError
from orchestrator.ledger.completions import owner_of
from orchestrator.run.opening import open_study
from orchestrator.run.planning import plan_study, store_study
from orchestrator.study.cells import expand
from orchestrator.study.engines import decided
from orchestrator.study.file import load_study
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from tests.evaluators.generation.vllm_double import installed

GPUS = {"generator_gpus": 0.5}
LORA = {"frozen": {"kind": "frozen"}, "lora": {"kind": "lora"}}


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[None]:
    with installed("0.30.0", tmp_path / "site"):
        yield


def study_by(folder: Path, engine: str, **changes: Any) -> Study:
    """A study with an engine, on half a GPU unless a change says otherwise."""
    generation = {"engine": engine, **changes.pop("generation", {})}
    usual = {"methods": LORA, "resources": GPUS, "evaluation": {"quality": False, "generation": generation}}
    return make_study(folder, **usual | changes)


def written(folder: Path, engine: str, **changes: Any) -> Path:
    """The file of such a study."""
    study = study_by(folder, engine, **changes)
    path = folder / "study.yaml"
    plain = raw_study(
        data={"root": study.data.root},
        storage=study.storage,
        methods=changes.get("methods", LORA),
        resources=changes.get("resources", GPUS),
        evaluation={"quality": False, "generation": {"engine": engine}},
    )
    path.write_text(json.dumps(plain), encoding="utf-8")
    return path


def test_engine_is_in_the_keys_of_what_is_written_and_of_nothing_before(tmp_path: Path) -> None:
    for method in LORA:
        usual, other = (trial_of(study_by(tmp_path, engine), method) for engine in ("transformers", "vllm"))
        for stage in usual.stages:
            assert (usual.key(stage) == other.key(stage)) is (stage == StageName.TRAIN)
        assert usual.key(StageName.GENERATE) == trial_of(make_study(tmp_path, methods=LORA), method).key("generate")
        assert "engine_version" not in usual.identity(StageName.GENERATE)
        assert other.identity(StageName.GENERATE)["engine_version"] == ENGINE_VERSIONS["vllm"]
    trial = trial_of(study_by(tmp_path, "vllm"), "frozen")
    assert owner_of(trial, None, device="cuda").engine == "vllm"


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"resources": {}}, "resources.generator_gpus", "vLLM writes on GPUs"),
        ({"methods": {"m": {"kind": "lora", "lora": {"use_dora": True}}}}, "methods.m.lora", "adapters with DoRA"),
        (
            {"methods": {"m": {"kind": "lora", "lora": {"rank_pattern": {"q_proj": 4}}}}},
            "methods.m.lora",
            "differ from layer to layer",
        ),
        (
            {"methods": {"m": {"kind": "lora", "lora": {"init": "pissa", "rank": 300}}}},
            "methods.m.lora",
            "adapters of rank 600",
        ),
    ],
)
def test_what_vllm_cannot_do_is_refused_by_the_setting_to_change(
    changes: dict[str, Any], where: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError) as refused:
        load_study(written(tmp_path, "vllm", **changes))
    (fault,) = refused.value.faults
    assert fault.where == where
    assert message in fault.message
    assert "use generation.engine: transformers" in fault.message
    load_study(written(tmp_path, "transformers", **changes))
    load_study(written(tmp_path, "auto", **changes))


def test_temperature_that_vllm_refuses_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vLLM takes at most 2"):
        study_by(tmp_path, "vllm", generation={"temperature": 2.5})
    study_by(tmp_path, "transformers", generation={"temperature": 2.5})


def test_plan_refuses_vllm_where_it_is_not_installed_unless_a_cluster_has_it(tmp_path: Path) -> None:
    cells, ledger = opened(study_by(tmp_path, "vllm"))
    with pytest.raises(StudyError, match=r"vLLM is not installed here: pip install 'polytune\[vllm\]'"):
        plan_study(cells, ledger)
    elsewhere, ledger = opened(study_by(tmp_path, "vllm", resources={**GPUS, "address": "head:6379"}))
    plan_study(elsewhere, ledger)


@pytest.mark.usefixtures("vllm")
def test_plan_says_what_vllm_does_not_prove(tmp_path: Path) -> None:
    _, notes = plan_study(*opened(study_by(tmp_path, "vllm")))
    assert [note for note in notes if "vLLM writes all completions" in note]
    _, others = plan_study(*opened(study_by(tmp_path, "transformers")))
    assert not [note for note in others if "vLLM" in note]


@pytest.mark.usefixtures("vllm")
def test_auto_is_vllm_where_it_can_write_all_of_a_study(tmp_path: Path) -> None:
    study = decided(study_by(tmp_path, "auto"), before=None)
    assert study.evaluation.generation.engine == "vllm"
    assert study.engine_note == "generation.engine: auto is vllm"
    assert {trial.generation.engine for trial in expand(study).trials} == {"vllm"}


@pytest.mark.usefixtures("vllm")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"resources": {}}, "resources.generator_gpus is 0"),
        ({"generation": {"temperature": 2.5}}, "more than vLLM takes"),
        ({"models": ["org/base-3B"]}, "the family of org/base-3B is not known before it is loaded"),
        ({"methods": {"m": {"kind": "lora", "lora": {"use_dora": True}}}}, "since of m vLLM does not take"),
    ],
)
def test_auto_is_transformers_where_vllm_cannot_and_says_why(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    study = decided(study_by(tmp_path, "auto", **changes), before=None)
    assert study.evaluation.generation.engine == "transformers"
    assert why in study.engine_note


def test_auto_is_decided_once_and_stays_what_the_study_was_run_with(tmp_path: Path) -> None:
    path = written(tmp_path, "auto")
    first, ledger = open_study(path)
    assert {trial.generation.engine for trial in first.trials} == {"transformers"}
    assert "vLLM is not installed here" in first.study.engine_note
    store_study(first, ledger)
    with installed("0.30.0", tmp_path / "site"):
        again, _ = open_study(path)
        assert again.trials == first.trials
        assert again.study.engine_note == ("generation.engine: auto is transformers, as it was when the study was run")
        by_name, _ = open_study(f"{ledger.address}/small")
        assert by_name.trials == first.trials
        anew, other = open_study(path, storage=tmp_path / "elsewhere")
        assert {trial.generation.engine for trial in anew.trials} == {"vllm"}
        store_study(anew, other)
    kept, _ = open_study(path, storage=tmp_path / "elsewhere")
    assert kept.trials == anew.trials


def test_study_that_was_run_before_there_was_a_choice_stays_with_transformers(tmp_path: Path) -> None:
    cells, ledger = opened(study_by(tmp_path, "transformers"))
    store_study(cells, ledger)
    stored = json.loads(ledger.read_study_file("small", "study.json") or "")
    del stored["evaluation"]["generation"]["engine"]
    ledger.write_study_file("small", "study.json", json.dumps(stored))
    with installed("0.30.0", tmp_path / "site"):
        again, _ = open_study(written(tmp_path, "auto"))
    assert again.trials == cells.trials


def test_doctor_names_vllm_with_its_remedy(tmp_path: Path) -> None:
    (absent,) = (check for check in examine() if check.name == "vllm")
    assert absent.state == "missing"
    assert absent.detail.startswith("optional; vLLM is not installed here")
    assert absent.remedy.endswith("[vllm]")
    with installed("0.29.0", tmp_path / "site"):
        (found,) = (check for check in examine() if check.name == "vllm")
    assert (found.state, found.detail) == ("ok", "0.29.0, for generation.engine: vllm on GPUs")
    with installed("0.30.0", tmp_path / "newer"):
        told = tmp_path / "newer" / "vllm-0.30.0.dist-info" / "METADATA"
        told.write_text(told.read_text().replace("0.30.0", "0.33.0"))
        (other,) = (check for check in examine() if check.name == "vllm")
    assert "vLLM 0.33.0 is installed, and 0.29 or 0.30 is wanted" in other.detail


def test_completions_of_every_engine_have_owners_of_their_own(tmp_path: Path) -> None:
    assert set(ENGINE_VERSIONS) == set(get_args(EngineName))
    owners = [owner_of(trial_of(study_by(tmp_path, e), "frozen"), None, device="cuda") for e in ENGINE_VERSIONS]
    assert len({owner.digest for owner in owners}) == len(ENGINE_VERSIONS)
