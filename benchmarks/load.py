"""Whether verdicts depend on how busy the machine is: the sandbox and evalplus, idle and under load, in one run.

Judges the same samples (correct, wrong, and correct after half the limit of CPU time) twice: as the
machine is, and beside four times as many busy loops as there are cores; prints how many verdicts differ.

    python benchmarks/load.py --samples 1000 --harness-venv DIR
"""

import argparse
import multiprocessing
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import harnesses

from evaluators.sandbox import Limits
from tasks.records import Problem

_CPU_LIMIT_S = 2.0  # evalplus gives each call max(1 s, 4 times the reference's time), by the clock on the wall
_SHARE_SLOW = 0.04


def _busy() -> None:
    while True:
        pass


@contextmanager
def load(loops: int) -> Iterator[None]:
    """Busy loops beside what is done in the block."""
    processes = [multiprocessing.Process(target=_busy, daemon=True) for _ in range(loops)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def slow(problem: Problem, seconds: float) -> str:
    """The reference, after so much CPU time on its first call."""
    entry_point = problem.tests.entry_point if problem.tests is not None else ""
    return (
        f"{problem.reference}\n_right, _done = {entry_point}, []\n"
        f"def {entry_point}(*arguments):\n"
        "    import time\n"
        "    if not _done:\n"
        "        _done.append(1)\n"
        f"        end = time.process_time() + {seconds}\n"
        "        while time.process_time() < end:\n"
        "            pass\n"
        "    return _right(*arguments)\n"
    )


def make(problems: list[Problem], count: int, *, slow_s: float) -> list[harnesses.Sample]:
    """So many samples: a few slow ones, the others half right and half wrong, all different."""
    drawn = random.Random(0)
    samples = []
    for number in range(count):
        problem = problems[number % len(problems)]
        if number % round(1 / _SHARE_SLOW) == 0:
            source = slow(problem, slow_s)
        else:
            source = problem.reference if drawn.random() < 0.5 else f"{problem.preamble}    return None\n"
        samples.append((problem.id, f"{source}\n# {number}\n"))
    return samples


Judge = Callable[[list[harnesses.Sample]], list[str]]


def differing(judge: Judge, samples: list[harnesses.Sample], *, loops: int) -> tuple[int, int, int]:
    """Passed when idle, passed under load, and how many verdicts differ."""
    idle = judge(samples)
    with load(loops):
        busy = judge(samples)
    return idle.count("passed"), busy.count("passed"), sum(a != b for a, b in zip(idle, busy, strict=True))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=harnesses.DEFAULT_DATA)
    parser.add_argument("--harness-venv", type=Path, default=harnesses.DEFAULT_VENV)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    problems = harnesses.read_problems(arguments.data)
    loops = 4 * (os.cpu_count() or 1)
    python = harnesses.harness_python(arguments.harness_venv)
    limits = Limits(cpu_s=_CPU_LIMIT_S)
    with tempfile.TemporaryDirectory() as folder:

        def ours(samples: list[harnesses.Sample]) -> list[str]:
            return [
                v.verdict for v in harnesses.run_ours(problems, samples, workers=arguments.workers, limits=limits)[1]
            ]

        def evalplus(samples: list[harnesses.Sample]) -> list[str]:
            workers = arguments.workers
            return harnesses.run_harness(python, "evalplus", problems, samples, workers=workers, folder=Path(folder))[1]

        print(f"{arguments.samples} samples, {arguments.workers} workers, {loops} busy loops\n")
        print("| harness | slow samples take | passed idle | passed under load | verdicts that differ |")
        print("| --- | ---: | ---: | ---: | ---: |")
        # Half the limit of each: 1 s of our 2 s of CPU time, 0.5 s of the 1 s that evalplus gives a call.
        for name, judge, slow_s in (("ours, strict", ours, _CPU_LIMIT_S / 2), ("evalplus 0.3.1", evalplus, 0.5)):
            samples = make(problems, arguments.samples, slow_s=slow_s)
            idle, busy, differ = differing(judge, samples, loops=loops)
            print(f"| {name} | {slow_s} s | {idle} | {busy} | {differ} |", flush=True)


if __name__ == "__main__":
    main()
