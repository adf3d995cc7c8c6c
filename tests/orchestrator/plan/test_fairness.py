"""What `plan` says of methods that are not compared on equal terms: a line each, and none for a fair study."""

from pathlib import Path
from typing import Any

from small_studies import make_study, opened

from orchestrator.plan.fairness import fairness
from orchestrator.run.planning import plan_study

EPOCHS = {"epochs": 2, "learning_rate": 1e-4}
LORA = {"kind": "lora", "training": {"learning_rate": 1e-3}}
FULL = {"kind": "full"}
SEARCH = {"algorithm": "random", "num_trials": 4, "space": {"training.weight_decay": {"uniform": [0.0, 0.1]}}}


def notes(tmp_path: Path, methods: dict[str, Any], **training: Any) -> tuple[str, ...]:
    study = make_study(tmp_path, methods=methods, training=EPOCHS | training)
    cells, _ = opened(study)
    return fairness(cells.trials, study.methods)


def test_methods_on_equal_terms_give_no_note(tmp_path: Path) -> None:
    apart = LORA | {"grouping": "apart"}
    assert notes(tmp_path, {"frozen": {"kind": "frozen"}, "lora": LORA, "apart": apart, "full": FULL}) == ()


def test_rate_that_adapters_share_with_full_fine_tuning_is_named(tmp_path: Path) -> None:
    assert notes(tmp_path, {"lora": {"kind": "lora"}, "rslora": {"kind": "lora"}, "full": FULL}) == (
        "lora and rslora learn at 0.0001 and full at 0.0001, but adapters do best at about 10 times the rate of full "
        "fine-tuning (Schulman et al. 2025): set learning_rate in each method's own training, or search for it",
    )


def test_answers_over_4_bits_beside_whole_weights_are_named_unless_lora_tells_them_apart(tmp_path: Path) -> None:
    qlora = LORA | {"kind": "qlora"}
    assert notes(tmp_path, {"frozen": {"kind": "frozen"}, "qlora": qlora, "full": FULL}) == (
        "qlora answers over weights in 4 bits and frozen and full over whole ones, so a difference may be one of "
        "precision; a method of kind lora would tell the two apart",
    )
    assert notes(tmp_path, {"qlora": qlora, "lora": LORA, "full": FULL}) == ()
    (beside,) = notes(tmp_path, {"frozen": {"kind": "frozen"}, "qlora": qlora})
    assert beside.startswith("qlora answers over weights in 4 bits and frozen over whole ones")
    assert notes(tmp_path, {"one": qlora, "two": qlora}) == ()


def test_large_batches_of_an_adapter_are_named_and_those_of_full_fine_tuning_are_not(tmp_path: Path) -> None:
    assert notes(tmp_path, {"lora": LORA, "full": FULL}, batch_size=64) == (
        "lora trains an adapter on batches of 64 examples, and adapters lose more than full fine-tuning as batches "
        "grow, whatever their rank (Schulman et al. 2025); try 32 examples or fewer",
    )


def test_adapters_of_attention_alone_are_named(tmp_path: Path) -> None:
    assert notes(tmp_path, {"lora": LORA | {"lora": {"targets": ["q_proj", "v_proj"]}}}) == (
        "lora adapts attention alone (q_proj, v_proj), which does worse than adapting all projections even at an equal "
        "number of weights (Schulman et al. 2025); add gate_proj, up_proj, down_proj",
    )


def test_unequal_epochs_and_equal_steps_of_groups_are_unequal_budgets(tmp_path: Path) -> None:
    longer = LORA | {"training": {"learning_rate": 1e-3, "epochs": 3}}
    assert notes(tmp_path, {"short": LORA, "long": longer}) == (
        "short sees 2 epochs and long 3, so a difference may be one of budgets; give both the same epochs",
    )
    steps = LORA | {"training": {"learning_rate": 1e-3, "max_steps": 10}}
    assert notes(tmp_path, {"together": steps, "apart": steps | {"grouping": "apart"}}) == (
        "together sees 160 examples and apart 320, so a difference may be one of budgets; give both the same epochs",
    )


def test_budgets_that_nothing_compares_are_named(tmp_path: Path) -> None:
    steps = LORA | {"training": {"learning_rate": 1e-3, "max_steps": 10}}
    assert notes(tmp_path, {"epochs": LORA, "steps": steps}) == (
        "epochs counts its training in epochs and steps in examples, so nothing says that they see as much; give both "
        "epochs, or both max_steps with batches in one unit",
    )


def test_methods_that_leave_out_other_examples_are_named(tmp_path: Path) -> None:
    shorter = LORA | {"training": {"learning_rate": 1e-3, "max_length": 256}}
    assert notes(tmp_path, {"lora": LORA, "short": shorter}) == (
        "methods leave out examples above different lengths (lora 512, short 256 tokens), so they see different data; "
        "give all the same max_length",
    )


def test_search_of_one_method_alone_is_named(tmp_path: Path) -> None:
    methods = {"tuned": LORA | {"search": SEARCH}, "plain": LORA}
    assert notes(tmp_path, methods, validate_every=2) == (
        "settings of tuned are searched for and those of plain are not, which favours what is searched; give each "
        "method a search of the same budget",
    )


def test_searches_of_different_budgets_are_named(tmp_path: Path) -> None:
    methods = {"few": LORA | {"search": SEARCH}, "many": LORA | {"search": SEARCH | {"num_trials": 9}}}
    assert notes(tmp_path, methods, validate_every=2) == (
        "searches have different budgets (trainings: few 4 of 2 epochs, many 9 of 2 epochs), which favours the "
        "largest; give each the same num_trials, seeds and length of training",
    )


def test_rate_that_is_searched_for_is_nothing_to_warn_of(tmp_path: Path) -> None:
    rates = {"training.learning_rate": {"log_uniform": [1e-5, 1e-3]}}
    search = {"search": SEARCH | {"space": rates}}
    training = {"epochs": 2, "validate_every": 2}
    study = make_study(tmp_path, methods={"lora": {"kind": "lora"} | search, "full": FULL | search}, training=training)
    cells, _ = opened(study)
    assert fairness(cells.trials, study.methods) == ()


def test_plan_shows_the_notes(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods={"lora": {"kind": "lora"}, "full": FULL}, training=EPOCHS)
    _, said = plan_study(*opened(study))
    assert [note for note in said if note.startswith("lora learns at 0.0001 and full at 0.0001")]


def test_settings_of_adapters_that_cost_are_named(tmp_path: Path) -> None:
    dora = LORA | {"lora": {"use_dora": True, "dropout": 0.0}}
    assert notes(tmp_path, {"dora": dora, "pissa": LORA | {"lora": {"init": "pissa", "rank": 8}}}) == (
        "dora: lora.use_dora is computed by peft itself: slower, with more memory a token",
        "pissa: lora.init: pissa is saved as an adapter of rank 16, twice lora.rank",
    )
