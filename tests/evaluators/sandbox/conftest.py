"""What the sandbox's tests share: problems made of few words, and a way to judge one program.

One decision: everything runs for real; where a toolchain or data is absent, the test says so and skips.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluators.sandbox import Limits, Program, execute, missing_toolchain
from tasks.records import CallTests, Case, CodeTests, Language, Parameter, Problem, ValueType, Verdict

QUICK = Limits(cpu_s=1, wall_s=10, memory_mb=256, output_bytes=100_000)


def calls(parameters: dict[str, ValueType], returns: ValueType, cases: list[tuple[list[object], object]]) -> CallTests:
    """Tests of a function `solve`."""
    return CallTests(
        entry_point="solve",
        parameters=tuple(Parameter(name=name, type=kind) for name, kind in parameters.items()),
        returns=returns,
        cases=tuple(Case.model_validate({"arguments": given, "expected": expected}) for given, expected in cases),
    )


SUM = calls({"numbers": "list[int]"}, "int", [([[1, 2]], 3), ([[]], 0), ([[5, -7, 9]], 7)])


def problem(tests: CallTests | CodeTests | None = SUM, *, track: str = "generation/python", id: str = "p") -> Problem:
    """A problem that is nothing but its tests."""
    return Problem(id=id, track=track, dataset="test", input="", reference="", tests=tests)


def judge_all(
    sources: dict[str, str], *, tests: CallTests | CodeTests = SUM, track: str = "generation/python", workers: int = 1
) -> dict[str, Verdict]:
    """Judge programs by name, in one call."""
    programs = [Program(problem_id="p", source=source) for source in sources.values()]
    verdicts = execute([problem(tests, track=track)], programs, limits=QUICK, workers=workers)
    return dict(zip(sources, verdicts, strict=True))


def judge_problem(problem: Problem, sources: dict[str, str]) -> dict[str, Verdict]:
    """Judge programs for one whole problem by name."""
    programs = [Program(problem_id=problem.id, source=source) for source in sources.values()]
    return dict(zip(sources, execute([problem], programs, limits=QUICK), strict=True))


def judge(source: str, *, tests: CallTests | CodeTests = SUM, track: str = "generation/python") -> Verdict:
    """Judge one program."""
    return judge_all({"it": source}, tests=tests, track=track)["it"]


def require_toolchain(language: Language) -> None:
    """Skip, visibly, where programs in the language cannot be run."""
    reason = missing_toolchain(language)
    if reason is not None:
        pytest.skip(reason)


def real_data(relative: str) -> Path:
    """A file of the data sets that lie beside the checkout; skips, visibly, where it is absent."""
    root = Path(os.environ.get("POLYTUNE_DATA") or Path(__file__).parents[4] / "shared" / "data")
    if not (root / relative).exists():
        pytest.skip(f"no {relative} below {root}; set POLYTUNE_DATA to the data sets' folder")
    return root / relative


class Bricks:
    """The functions above, as one fixture (test folders are not packages)."""

    calls = staticmethod(calls)
    problem = staticmethod(problem)
    judge: Callable[..., Verdict] = staticmethod(judge)
    judge_all = staticmethod(judge_all)
    judge_problem = staticmethod(judge_problem)
    require_toolchain = staticmethod(require_toolchain)
    real_data = staticmethod(real_data)
    quick = QUICK


@pytest.fixture(scope="session")
def bricks() -> type[Bricks]:
    """Problems, judging and skipping for the sandbox's tests."""
    return Bricks
