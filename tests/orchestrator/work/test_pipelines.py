"""What the pipelines decide before Ray is asked for anything."""

from pathlib import Path

import pytest

from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.work.pieces import JudgingJob, run_execution
from tasks.records import Completion, Problem

pytestmark = pytest.mark.ray

STUDY = """
study: pairs
models: [builtin:micro]
tasks: {translation/java-csharp: {test: micro}}
methods: {frozen: {kind: frozen}}
"""


@pytest.fixture
def untestable(tmp_path: Path) -> JudgingJob:
    path = tmp_path / "pairs.yaml"
    path.write_text(STUDY, encoding="utf-8")
    (trial,) = expand(load_study(path)).trials
    track = "translation/java-csharp"
    problem = Problem(id="p", track=track, dataset="codexglue-translation", input="int f();", reference="int F();")
    completion = Completion(
        problem_id="p",
        track=track,
        dataset=problem.dataset,
        text="int F();",
        finish="stop",
        prompt_tokens=1,
        new_tokens=1,
    )
    return JudgingJob(key="k", trial=trial, problems=(problem,), completions=(completion,))


def test_trial_without_tests_is_done_at_once_with_no_verdict(untestable: JudgingJob) -> None:
    assert list(run_execution([untestable])) == [("k", ())]
