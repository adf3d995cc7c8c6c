"""A study's completions by vLLM, as pieces are written: by its double, on the tiny base and adapters of a step."""

from pathlib import Path
from typing import Any

from test_completions_kept import generate, items_in_chunks, study_of, train, written

from evaluators.generation.engines import VLLM_VERSIONS
from orchestrator.ledger.ledger import Ledger
from orchestrator.study.cells import expand
from orchestrator.work import generate as body
from tests.evaluators.generation.vllm_double import installed

METHODS = {"frozen": {"kind": "frozen"}, "one": {"kind": "lora"}, "two": {"kind": "lora", "lora": {"rank": 4}}}


def test_trials_of_a_study_are_written_by_one_engine_of_vllm_as_by_transformers(
    tmp_path: Path, tiny_base: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(body, "_VLLM_SHELVES", {})

    def study(engine: str) -> Any:
        return study_of(
            tmp_path,
            model=str(tiny_base),
            methods=METHODS,
            evaluation={"quality": False, "generation": {"max_new_tokens": 8, "engine": engine}},
            resources={"generation_batch": 8, "micro_tokens": 1024, "generator_gpus": 0.5},
        )

    theirs, ours = study("transformers"), study("vllm")
    train(theirs, "one", "two")
    asked = {method: {"known": 0, "asked": 6} for method in METHODS}
    assert generate(theirs) == asked
    with installed(f"{VLLM_VERSIONS[-1]}.0", tmp_path / "site") as double:
        assert generate(ours) == asked
        assert generate(ours) == {}
    assert len(items_in_chunks(ours)) == 2 * 18 and set(items_in_chunks(ours).values()) == {1}
    for mine, other in zip(expand(ours).trials, expand(theirs).trials, strict=True):
        assert written(ours, mine) == written(theirs, other)
        facts = Ledger(ours.storage).records_of(mine)["generate"].facts
        assert facts["engine"] == f"vllm {VLLM_VERSIONS[-1]}.0"
        assert facts["proof"]["alone_differs"] == 0  # type: ignore[index, call-overload]
        assert "engine" not in Ledger(ours.storage).records_of(other)["generate"].facts
    # The base is asked first with no adapters at hand, and once more by an engine that takes them.
    assert len(double.made) <= 2
