"""Sets every attack against a harness, one after the other, and looks at what each did.

One decision: it runs as a process of its own, whose environment holds a secret and to which all orphans
fall, so that whatever an attack leaves running is seen, as whichever user, around whichever harness.

    python -m attacks.campaign --isolation strict --root FOLDER [--only NAME]...

prints a line of JSON for each attack.
"""

import argparse
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from attacks import ATTACKS
from attacks.hostile import HONEST, HONEST_CLASS, PROBLEMS, Attack
from attacks.planted import Plants, descendants
from evaluators.isolation import kernel
from evaluators.languages.warm import InfrastructureFault
from evaluators.sandbox.bench import Bench
from evaluators.sandbox.records import Isolation, Limits
from evaluators.sandbox.running import run
from evaluators.sandbox.verdicts import find

LIMITS = Limits(cpu_s=0.5, wall_s=3, memory_mb=256, output_bytes=1_000_000)
_PATIENCE_S = 1.0
# What an honest program may take for granted, so that it fails where an attack spoiled something.
ASSUMES = """
import json, os, random, tempfile, threading
assert json.loads(json.dumps([1, "a"])) == [1, "a"] and 0 <= random.random() < 1 and len([1]) == 1
assert os.listdir(".") == [], os.listdir(".")
os.mkdir("folder")
with tempfile.NamedTemporaryFile("w+", dir="folder") as file:
    file.write("kept" * 1000)
    file.seek(0)
    assert file.read() == "kept" * 1000
thread = threading.Thread(target=print, args=("words",))
thread.start()
thread.join()
"""

Judge = Callable[[str, str], tuple[str, str]]
"""Takes a program and the key of its problem; returns the verdict and what there is to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attack did.

    Attributes:
        left: processes that were still there a second later.
        outside: names of what was changed outside of the work folder.
        contacts: how often a listener was reached.
        follower: the verdict of the program that passes if it was left something; empty without one.
        after: the verdict of an honest program that was run next.
    """

    name: str
    kind: str
    problem: str
    verdict: str
    detail: str
    left: int
    outside: tuple[str, ...]
    contacts: int
    follower: str
    after: str
    seconds: float


def set_against(judge: Judge, attacks: Sequence[Attack], *, root: Path, assumes: str = ASSUMES) -> Iterator[Outcome]:
    """Run attacks, each followed by an honest program, which takes for granted what `assumes` says."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    with Plants(root) as plants:
        _honest(judge, "code", f"{assumes}# first\n")
        for number, attack in enumerate(attacks):
            warm, contacts, began = descendants(), plants.contacts, time.monotonic()
            verdict, detail = judge(plants.filled(attack.source), attack.problem)
            seconds = time.monotonic() - began
            left = _left(warm)
            follower = judge(plants.filled(attack.follower), attack.problem)[0] if attack.follower else ""
            after = _honest(judge, attack.problem, f"{assumes}# {number}\n")
            yield Outcome(
                name=attack.name,
                kind=attack.kind,
                problem=attack.problem,
                verdict=verdict,
                detail=detail,
                left=left,
                outside=tuple(plants.changes()),
                contacts=plants.contacts - contacts,
                follower=follower,
                after=after,
                seconds=round(seconds, 3),
            )


def _honest(judge: Judge, problem: str, before: str) -> str:
    answer = HONEST_CLASS if problem == "class" else HONEST
    return judge(before + answer, problem)[0]


def _left(warm: set[int]) -> int:
    """How many processes are below this one that were not there before, a second from now; they are ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while (left := descendants() - warm) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return len(left)


class Ours:
    """The sandbox as a judge; after a fault of its own it starts afresh, as `execute` does, and says so."""

    def __init__(self, isolation: Isolation, limits: Limits = LIMITS) -> None:
        self._bench, self._limits = Bench(isolation=isolation), limits

    def __call__(self, source: str, problem: str) -> tuple[str, str]:
        """Judge a program."""
        try:
            ran = run(self._bench, PROBLEMS[problem], source, limits=self._limits)
        except InfrastructureFault as fault:
            self._bench.reset()
            return "fault", str(fault)
        finding = find(ran.ending, ran.end, limits=self._limits)
        return finding.verdict, f"{ran.strength}: {finding.detail}"

    def close(self) -> None:
        """End the warm processes."""
        self._bench.reset()


def chosen(names: Sequence[str]) -> list[Attack]:
    """The attacks of these names; all without any."""
    return [attack for attack in ATTACKS if not names or attack.name in names]


def main() -> None:
    """Run the campaign against the sandbox."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolation", default="strict", choices=["strict", "landlock", "none"])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--only", action="append", default=[])
    arguments = parser.parse_args()
    judge = Ours(arguments.isolation)
    try:
        for outcome in set_against(judge, chosen(arguments.only), root=arguments.root):
            print(json.dumps(asdict(outcome)), flush=True)
    finally:
        judge.close()


if __name__ == "__main__":
    main()
