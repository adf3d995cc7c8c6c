"""Study files: every fault at once with its line, `--set` changes, and studies by name."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.errors import StudyError
from orchestrator.ledger.studies import load_named
from orchestrator.study.file import load_study, read_study
from orchestrator.study.plainform import stored_form
from orchestrator.study.schema import Study

STUDIES = Path(__file__).resolve().parents[3] / "studies"
TEXT = """\
study: small
models: [builtin:micro]
tasks:
  generation/python: {train: micro, test: micro}
training:
  learning_rate: 0.001
  max_steps: 4
methods:
  frozen: {kind: frozen}
  qlora:
    kind: qlora
    lora: {rank: 2}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def said_of(path: Path, text: str | None = None, *, changes: Sequence[str] = ()) -> list[str]:
    """What a person is told of a study file at fault: the count, then each fault."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(path, changes=changes)
    first, *faults = str(caught.value).splitlines()
    assert first.startswith(f"{caught.value.source}: {len(faults)} fault")
    return [fault.strip() for fault in faults]


@pytest.mark.parametrize("name", sorted(path.name for path in STUDIES.glob("*.yaml")))
def test_every_study_of_the_project_loads(name: str) -> None:
    study = load_study(STUDIES / name)
    assert study.study == Path(name).stem
    assert study.question.text


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("training:", "trainin:", 5, "trainin: unknown key; did you mean training?"),
        ("learning_rate", "learing_rate", 6, "learing_rate: unknown key; did you mean learning_rate?"),
        ("{rank: 2}", "{ranks: 2}", 12, "methods.qlora.lora.ranks: unknown key; did you mean rank?"),
        ("kind: qlora", "knd: qlora", 11, "methods.qlora.knd: unknown key; did you mean kind?"),
        ("test: micro}", "test: micro, tset: micro}", 4, "tset: unknown key; did you mean test?"),
        ("test: micro}", "test: {reader: micro, splitt: test}}", 4, "splitt: unknown key; did you mean split?"),
        (
            "test: micro}",
            "test: {path: a.csv, columns: {test: b}}}",
            4,
            "test.columns.test: unknown key; did you mean tests?",
        ),
        ("[builtin:micro]", "[{name: a/b, revison: c}]", 2, "models.0.revison: unknown key; did you mean revision?"),
        ("study: small", "study: small\nresources: {micro_tokns: 2}", 2, "did you mean micro_tokens?"),
        ("study: small", "study: small\nevaluation: {limits: {cpu: 2}}", 2, "did you mean cpu_s?"),
        ("study: small", "study: small\nzzz: 2", 2, "zzz: unknown key; known here: data, evaluation"),
    ],
)
def test_typo_is_named_with_its_line_and_the_nearest_key(
    path: Path, right: str, wrong: str, line: int, said: str
) -> None:
    faults = said_of(path, TEXT.replace(right, wrong, 1))
    (found,) = [fault for fault in faults if said in fault]
    assert found.startswith(f"line {line}, ")


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("max_steps: 4", "max_steps: few", 7, "got 'few'"),
        ("max_steps: 4", "max_steps: 0", 7, "greater than or equal to 1, got 0"),
        ("kind: qlora", "kind: qlor", 11, "got 'qlor'"),
        ("[builtin:micro]", "builtin:micro", 2, "models: "),
        ("[builtin:micro]", "[7]", 2, "models.0: "),
        ("{train: micro, test: micro}", "micro", 4, "tasks.generation/python: "),
        ("train: micro", "train: 5", 4, "tasks.generation/python.train: "),
        ("train: micro", "train: nothing", 4, "got 'nothing'"),
        ("lora: {rank: 2}", "lora: 2", 12, "methods.qlora.lora: "),
        ("training:\n  learning_rate: 0.001\n  max_steps: 4", "training: fast", 5, "methods.qlora.training: "),
        ("study: small", "study: [small]", 1, "study: "),
    ],
)
def test_value_of_a_wrong_type_is_named_with_its_line(path: Path, right: str, wrong: str, line: int, said: str) -> None:
    faults = said_of(path, TEXT.replace(right, wrong, 1))
    (found,) = [fault for fault in faults if said in fault]
    assert found.startswith(f"line {line}, ")


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        (
            "max_steps: 4",
            "max_steps: 4\n  max_length: 4096",
            8,
            "examples of 4096 tokens are longer than the context of builtin:micro, 1024 tokens; set at most 1024",
        ),
        (
            "max_steps: 4",
            "max_steps: 4\n  packing: true",
            8,
            "training.packing: is no setting any more: rows hold as many whole examples as fit resources.micro_tokens",
        ),
        (
            "kind: qlora",
            "kind: full",
            11,
            "full fine-tuning cannot train quantised weights, and the name org/coder-7b-bnb-4bit says bnb-4bit; "
            "name the full-precision model, or use kind: qlora",
        ),
        ("generation/python", "translation/java", 4, "needs two different languages, as in translation/java-csharp"),
        ("generation/python", "translation/java-java", 4, "needs two different languages"),
    ],
)
def test_settings_that_conflict_are_refused_before_anything_is_loaded(
    path: Path, right: str, wrong: str, line: int, said: str
) -> None:
    text = TEXT.replace(right, wrong, 1)
    if "full" in wrong:
        text = text.replace("    lora: {rank: 2}\n", "").replace("[builtin:micro]", "[org/coder-7b-bnb-4bit]")
    (found,) = said_of(path, text)
    assert found.startswith(f"line {line}, ") and said in found


def test_model_whose_config_says_that_it_is_quantised_is_not_trained_in_full(path: Path, tmp_path: Path) -> None:
    model = tmp_path / "base"
    model.mkdir()
    (model / "config.json").write_text(
        '{"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true}}'
    )
    text = TEXT.replace("[builtin:micro]", f"[{model}]").replace("kind: qlora", "kind: full")
    found = said_of(path, text.replace("    lora: {rank: 2}\n", ""))
    assert any(f"{model}/config.json says bitsandbytes" in fault for fault in found)


def test_stored_study_with_settings_that_are_none_any_more_is_read_and_says_what_took_their_place(path: Path) -> None:
    path.write_text(TEXT, encoding="utf-8")
    stored = stored_form(load_study(path))
    stored["methods"]["qlora"]["training"]["packing"] = True
    stored["resources"] = {"micro_batch": 2}
    study = read_study(json.dumps(stored), source="small", as_json=True)
    assert study.model_dump() == load_study(path).model_dump()
    assert [told.split(" is no setting")[0] for told in study.replaced] == [
        "methods.qlora.training.packing",
        "resources.micro_batch",
    ]
    assert "resources.micro_tokens" in study.replaced[1]


def test_all_faults_of_a_file_are_told_at_once(path: Path) -> None:
    text = TEXT.replace("max_steps: 4", "max_steps: few").replace("rank: 2", "rnk: 2").replace("study: small", "")
    text = text.replace("generation/python", "generation/cobol")
    faults = said_of(path, text)
    assert len(faults) == 4
    for said in ("got 'few'", "did you mean rank?", "study: required and missing", "unknown track 'generation/cobol'"):
        assert any(said in fault for fault in faults), said


def test_fault_in_a_shared_block_is_told_once_for_each_method_with_the_block_s_line(path: Path) -> None:
    text = TEXT.replace("learning_rate", "learing_rate") + "  full: {kind: full}\n"
    faults = said_of(path, text)
    assert [fault.split(":")[0] for fault in faults] == [
        "line 6, methods.qlora.training.learing_rate",
        "line 6, methods.full.training.learing_rate",
    ]


def test_setting_written_twice_is_a_fault(path: Path) -> None:
    (found,) = said_of(path, TEXT + "  qlora: {kind: full}\n")
    assert found.startswith("line 13, methods.qlora: ") and "line 10" in found


def test_missing_file_is_told_with_the_nearest_name(path: Path) -> None:
    (found,) = said_of(path.with_name("smal.yaml"))
    assert found == f"no such file; did you mean {path}?"


def test_missing_file_with_no_near_name_asks_for_one(tmp_path: Path) -> None:
    (found,) = said_of(tmp_path / "nowhere" / "x.yaml")
    assert found == "no such file; give the path of a study file"


def test_folder_is_no_study(tmp_path: Path) -> None:
    (found,) = said_of(tmp_path)
    assert found.startswith("cannot be read: ")


def test_text_in_another_encoding_is_no_study(path: Path) -> None:
    path.write_bytes("study: käse\n".encode("latin-1"))
    (found,) = said_of(path)
    assert found.startswith("cannot be read: ")


def test_what_is_no_yaml_is_told_with_its_line(path: Path) -> None:
    (found,) = said_of(path, TEXT.replace("[builtin:micro]", "[builtin:micro"))
    assert found.startswith("line 3, no YAML: ")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "small\n"])
def test_what_is_no_mapping_is_no_study(path: Path, text: str) -> None:
    (found,) = said_of(path, text)
    assert found == "a study is a mapping of settings, and this is none"


def test_changes_reach_nested_settings(path: Path) -> None:
    changes = ["training.max_steps=9", "methods.qlora.lora.rank=5", "seeds=[1, 2]", "data.root=../data", "storage=out"]
    study = load_study(path, changes=changes)
    qlora = study.methods["qlora"]
    assert qlora.training and qlora.lora
    assert (qlora.training.max_steps, qlora.lora.rank) == (9, 5)
    assert (study.seeds, study.data.root, study.storage) == ((1, 2), "../data", "out")


def test_change_makes_the_blocks_that_the_file_leaves_out(path: Path) -> None:
    study = load_study(path, changes=["evaluation.generation.max_new_tokens=7", "resources.trial_cpus=2"])
    assert (study.evaluation.generation.max_new_tokens, study.resources.trial_cpus) == (7, 2)


def test_value_of_a_change_may_hold_equals_signs_and_mappings(path: Path) -> None:
    study = load_study(path, changes=["question=a=b", "methods.full={kind: full}"])
    assert study.question.text == "a=b"
    assert study.methods["full"].training is not None


def test_later_change_wins(path: Path) -> None:
    assert load_study(path, changes=["seeds=[1]", "seeds=[2]"]).seeds == (2,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.max_steps", "a change reads KEY=VALUE"),
        ("=5", "a change reads KEY=VALUE"),
        ("seeds=[1", "the value cannot be read: no YAML"),
        ("study.name=x", "study holds no settings to change"),
        ("models.0.name=x", "models holds no settings to change"),
        ("data.rot=x", "did you mean root?"),
        ("training.max_steps=few", "got 'few'"),
    ],
)
def test_change_at_fault_is_told(path: Path, change: str, said: str) -> None:
    (found,) = said_of(path, changes=[change])
    assert said in found


@pytest.fixture
def stored(path: Path, tmp_path: Path) -> Study:
    """A study whose resolved form lies in the ledger below `tmp_path`/runs, under its name."""
    study = load_study(path, changes=["data.test_limit=5"])
    folder = tmp_path / "runs" / "studies" / study.study
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(study.model_dump_json(indent=1), encoding="utf-8")
    return study


def test_study_that_was_run_is_found_by_its_name(stored: Study, tmp_path: Path) -> None:
    storage = f"{tmp_path}/runs"
    assert load_named(f"{storage}/small") == stored.model_copy(update={"storage": storage})


def test_study_found_by_name_takes_changes(stored: Study, tmp_path: Path) -> None:
    found = load_named(f"{tmp_path}/runs/small", changes=["seeds=[7]", "methods.qlora.training.max_steps=2"])
    training = found.methods["qlora"].training
    assert found.seeds == (7,) and training and training.max_steps == 2


@pytest.mark.parametrize("change", ["training.max_steps=2", "lora.rank=3", "data.test_limit=1"])
def test_change_that_a_resolved_study_would_ignore_is_refused(stored: Study, tmp_path: Path, change: str) -> None:
    with pytest.raises(StudyError, match="give the study file"):
        load_named(f"{tmp_path}/runs/small", changes=[change])


def test_unknown_name_is_told_with_the_nearest(stored: Study, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no study of that name was run here; did you mean small\?"):
        load_named(f"{tmp_path}/runs/smal")


def test_unknown_name_where_nothing_was_run_asks_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="give the path of a study file"):
        load_named(f"{tmp_path}/small")
