"""How fast Java samples are judged: the sandbox beside one `javac` and one `java` a sample, in one run.

The samples are HumanEval-X's own solutions, each in several textually different copies. Both ways take
turns over the same samples, one at a time; the sandbox's own start is not counted, its compilation of a
problem's tests is.

    python benchmarks/execution_java.py --problems 30 --copies 2 --rounds 3
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from evaluators.sandbox import Limits
from evaluators.sandbox.bench import Bench
from evaluators.sandbox.running import run
from tasks.readers import Source, read_problems
from tasks.records import CodeTests, Problem, Track

_DATA = Path(os.environ.get("POLYTUNE_DATA") or Path(__file__).parents[2] / "shared" / "data")
_LIMITS = Limits()


def humaneval_x(data: Path, *, count: int) -> list[Problem]:
    """Problems spread over the data set."""
    source = Source(reader="humaneval-x", path="humaneval_x", split="test")
    problems = read_problems(source, track=Track.parse("generation/java"), root=data)
    return list(problems[:: max(1, len(problems) // count)][:count])


def run_ours(bench: Bench, problems: list[Problem], *, copies: range) -> tuple[float, int]:
    """Judge copies of the solutions; seconds, and how many passed."""
    began, passed = time.perf_counter(), 0
    for copy in copies:
        for problem in problems:
            ran = run(bench, problem, f"{problem.reference}\n// {copy}", limits=_LIMITS)
            passed += ran.ending.kind == "passed"
    return time.perf_counter() - began, passed


def run_plain(problems: list[Problem], *, copies: range) -> tuple[float, int]:
    """Compile and run each sample with its tests, as the data set's own harness does; seconds, and how many passed."""
    began, passed = time.perf_counter(), 0
    for copy in copies:
        for problem in problems:
            assert isinstance(problem.tests, CodeTests)
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "Main.java"
                source.write_text(f"{problem.reference}\n// {copy}\n{problem.tests.code}", encoding="utf-8")
                compiled = subprocess.run(["javac", str(source)], cwd=folder, check=False, capture_output=True)
                ran = subprocess.run(["java", "-cp", folder, "Main"], cwd=folder, check=False, capture_output=True)
                passed += compiled.returncode == 0 and ran.returncode == 0
    return time.perf_counter() - began, passed


def compare(problems: list[Problem], *, copies: int, rounds: int) -> None:
    """Run both ways in turns and print their throughput."""
    ours, plain, passed = list[float](), list[float](), {"ours": 0, "plain": 0}
    with Bench(isolation="strict") as bench:
        run(bench, problems[0], problems[0].reference, limits=_LIMITS)
        for number in range(rounds):
            fresh = range(number * copies, (number + 1) * copies)
            took, passed["ours"] = run_ours(bench, problems, copies=fresh)
            ours.append(took)
            took, passed["plain"] = run_plain(problems, copies=fresh)
            plain.append(took)
            print(f"round {number + 1}: ours, strict {ours[-1]:.2f} s, javac + java {plain[-1]:.2f} s", flush=True)
    samples = len(problems) * copies
    print(f"\n{samples} samples of {len(problems)} problems, one at a time, median of {rounds} rounds\n")
    print("| way | seconds | samples a second | ours is faster by | passed |\n| --- | ---: | ---: | ---: | ---: |")
    for name, seconds, right in (("ours, strict", ours, passed["ours"]), ("javac + java", plain, passed["plain"])):
        middle = statistics.median(seconds)
        print(f"| {name} | {middle:.2f} | {samples / middle:.1f} | {middle / statistics.median(ours):.2f} | {right} |")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_DATA)
    parser.add_argument("--problems", type=int, default=30)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    problems = humaneval_x(arguments.data, count=arguments.problems)
    compare(problems, copies=arguments.copies, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
