"""How fast code quality is measured, beside the ways that it replaces; one run, prints one JSON object.

    python -m benchmarks.scoring_quality [--python 1000] [--java 1000]

pylint over the snippets in our warm process, in one cold process for all of them, and in a process a file
(measured on 10 and scaled). PMD over the files in one virtual machine, and in one a file (measured on 20 and
scaled). A cache hit is the median over all files of one tool. `wall_s` is what a user waits, `cpu_s` what all
processes used; on a machine that others use as well, ratios of `cpu_s` are the ones to go by.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.snippets import java_files, python_snippets
from evaluators.quality.cache import Cache
from evaluators.quality.outcome import Failed, Measured
from evaluators.quality.pmd import CATEGORIES, measure_with_pmd, pmd_home
from evaluators.quality.pylinting import measure_with_pylint
from tasks.records import Language

_ROUNDS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=int, default=1000)
    parser.add_argument("--java", type=int, default=1000)
    chosen = parser.parse_args()
    snippets, java = python_snippets(chosen.python), java_files(chosen.java)
    found = {"cores": len(os.sched_getaffinity(0)), **time_pylint(snippets), **time_pmd(java), **time_cache(snippets)}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def time_pylint(sources: Sequence[str]) -> dict[str, Any]:
    """Ours with one fork and with two, one cold batch, and single processes, side by side and round by round."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"m{number:05}.py" for number in range(len(sources))]
        for name, source in zip(names, sources, strict=True):
            Path(folder, name).write_text(source, encoding="utf-8", newline="")

        def cold(some: Sequence[str]) -> None:
            command = [sys.executable, "-m", "pylint", *some]
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

        ways: dict[str, Callable[[], object]] = {
            "pylint_warm": lambda: measure_with_pylint(sources, Language.PYTHON),
            "pylint_warm_2_forks": lambda: measure_with_pylint(sources, Language.PYTHON, workers=2),
            "pylint_cold_batch": lambda: cold(names),
            "pylint_process_a_file": lambda: [cold([name]) for name in names[:10]],
        }
        figures = _time(ways)
    figures["pylint_process_a_file"] = _scale(figures["pylint_process_a_file"], len(sources) / 10)
    ratios = {
        f"{way}_vs_{other}": {unit: figures[other][unit] / figures[way][unit] for unit in ("wall_s", "cpu_s")}
        for way in ("pylint_warm", "pylint_warm_2_forks")
        for other in ("pylint_cold_batch", "pylint_process_a_file")
    }
    return {"python_files": len(sources), **figures, **ratios}


def time_pmd(sources: Sequence[str]) -> dict[str, Any]:
    """Ours, and `pmd check` for each of 20 files."""
    home = pmd_home()
    assert home is not None, "PMD 7 is not installed"
    rules = ",".join(f"category/java/{category}.xml" for category in CATEGORIES)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"S{number}.java") for number in range(20)]
        for file, source in zip(files, sources, strict=False):
            file.write_text(source, encoding="utf-8")

        def cold() -> None:
            for file in files:
                command = ["sh", str(home / "bin" / "pmd"), "check", "-d", str(file), "-R", rules, "--no-cache"]
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

        outcomes: list[Any] = []
        warm = _time({"pmd_one_machine": lambda: outcomes.extend(measure_with_pmd(sources, Language.JAVA))}, rounds=1)
        single = _time({"pmd_machine_a_file": cold}, rounds=1)["pmd_machine_a_file"]
    single = _scale(single, len(sources) / 20)
    ratio = {unit: single[unit] / warm["pmd_one_machine"][unit] for unit in ("wall_s", "cpu_s")}
    failed = sum(isinstance(outcome, Failed) for outcome in outcomes)
    return {"java_files": len(sources), "java_failed": failed, **warm, "pmd_machine_a_file": single, "pmd_ratio": ratio}


def time_cache(sources: Sequence[str]) -> dict[str, Any]:
    """Reading what pylint said of each file from the cache."""
    outcomes = measure_with_pylint(sources, Language.PYTHON, workers=2)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(folder=Path(folder), tool="pylint", version="0", language=Language.PYTHON)
        for source, outcome in zip(sources, outcomes, strict=True):
            if isinstance(outcome, Measured):
                cache.put(source, outcome)
        times, hits = [], 0
        for source in sources:
            start = time.perf_counter()
            hits += cache.get(source) is not None
            times.append(time.perf_counter() - start)
    return {"cache_hits": hits, "cache_hit_ms": 1000 * median(times)}


def _time(ways: dict[str, Callable[[], object]], *, rounds: int = _ROUNDS) -> dict[str, dict[str, float]]:
    """Medians of wall and CPU time of each way; the ways take turns, so that what else runs hits them alike."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            cpu, wall = _cpu_s(), time.perf_counter()
            way()
            found[name].append((time.perf_counter() - wall, _cpu_s() - cpu))
    return {
        name: {"wall_s": median(wall for wall, _ in times), "cpu_s": median(cpu for _, cpu in times)}
        for name, times in found.items()
    }


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _scale(times: dict[str, float], factor: float) -> dict[str, float]:
    return {unit: value * factor for unit, value in times.items()}


if __name__ == "__main__":
    main()
