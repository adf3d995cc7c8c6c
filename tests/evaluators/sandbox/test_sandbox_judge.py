"""What `execute` promises for a whole batch: order, sharing, refusals, retries, and absent tools."""

import os
from pathlib import Path
from typing import Any

import pytest

from evaluators.sandbox import Limits, Program, execute
from tasks.records import UnjudgedReason, reason_in_words

RIGHT = "def solve(numbers): return sum(numbers)"
JAVA = "static int solve(List<Integer> numbers) { return 3; }"


def test_verdicts_come_in_the_order_of_the_programs_with_their_samples(bricks: Any) -> None:
    problems = [bricks.problem(id="a"), bricks.problem(id="b")]
    sources = [("b", 1, "def solve(numbers): return 0"), ("a", 0, RIGHT), ("b", 0, RIGHT), ("a", 7, "?")]
    programs = [Program(problem_id=p, sample=n, source=source) for p, n, source in sources]
    found = execute(problems, programs, limits=bricks.quick, workers=2)
    assert [(v.task_id, v.sample, v.verdict) for v in found] == [
        ("b", 1, "wrong_answer"),
        ("a", 0, "passed"),
        ("b", 0, "passed"),
        ("a", 7, "compile_error"),
    ]


def test_equal_programs_of_one_problem_are_run_once(bricks: Any) -> None:
    tests = bricks.calls({}, "int", [([], -1)])
    source = "import time\nnow = time.time_ns()\ndef solve(): return now"
    programs = [Program(problem_id="p", sample=n, source=source) for n in range(3)]
    first, *others = execute([bricks.problem(tests)], programs, limits=bricks.quick)
    assert [v.sample for v in others] == [1, 2]
    assert {v.detail for v in others} == {first.detail}
    assert {v.cpu_s for v in others} == {first.cpu_s}


def test_nothing_to_do_is_no_verdicts(bricks: Any) -> None:
    assert execute([bricks.problem()], [], limits=Limits()) == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": "other"}, "'p', which is not among"),
        ({"tests": None}, "has no tests"),
        ({"track": "summarization/python"}, "writes no code"),
    ],
)
def test_what_cannot_be_executed_at_all_is_refused(bricks: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        execute([bricks.problem(**fields)], [Program(problem_id="p", source=RIGHT)], limits=Limits())


def test_no_workers_is_refused(bricks: Any) -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        execute([bricks.problem()], [], limits=Limits(), workers=0)


@pytest.mark.parametrize(
    ("track", "said"),
    [
        ("generation/java", "not judged: no JDK; install one with: apt-get install default-jdk-headless"),
        ("translation/java-csharp", "not judged: no mono with its C# compiler; install it with: apt-get install"),
    ],
)
def test_without_a_toolchain_programs_are_unjudged(
    bricks: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, track: str, said: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = bricks.judge(JAVA, track=track)
    assert (found.verdict, found.strength) == ("unjudged", "none")
    assert found.reason is reason_in_words(found.detail) is UnjudgedReason.TOOLCHAIN_MISSING
    assert found.detail.startswith(said)


def fake_jdk(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a `java` that is `script` before everything on PATH; it notes each start in the returned file."""
    starts = folder / "starts"
    for name in ("java", "javac"):
        (folder / name).write_text(f"#!/bin/sh\necho start >> {starts}\n{script}\n")
        (folder / name).chmod(0o755)
    folder.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return starts


def test_a_harness_that_fails_is_tried_twice_and_blames_nobody(
    bricks: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starts = fake_jdk(tmp_path, monkeypatch, "echo broken >&2; exit 1")
    found = bricks.judge(JAVA, track="generation/java")
    assert (found.verdict, found.strength) == ("unjudged", "none")
    assert found.reason is reason_in_words(found.detail) is UnjudgedReason.HARNESS_FAULT
    assert "failed twice" in found.detail
    assert "broken" in found.detail
    assert starts.read_text() == "start\n" * 2
