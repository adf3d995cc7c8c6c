"""Judges the programs that do nothing wrong, as whichever user runs this: prints a line of JSON for each.

python -m attacks.allowed --isolation strict
"""

import argparse
import json
from pathlib import Path

from attacks.hostile import PROBLEMS
from attacks.legitimate import programs
from evaluators.sandbox import Limits, Program, execute


def main() -> None:
    """Judge them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolation", default="strict", choices=["strict", "landlock", "none"])
    parser.add_argument("--root", type=Path)
    arguments = parser.parse_args()
    texts = programs()
    problem = PROBLEMS["code"]
    given = [Program(problem_id=problem.id, source=text) for text in texts.values()]
    verdicts = execute([problem], given, limits=Limits(), workers=2, isolation=arguments.isolation)
    for name, verdict in zip(texts, verdicts, strict=True):
        print(json.dumps({"name": name, "verdict": verdict.verdict, "detail": verdict.detail}))


if __name__ == "__main__":
    main()
