"""The founding study's two failures, replayed on the 1,000 test pairs: does anything look better for them?

    python -m benchmarks.flattery [--pairs 1000]

Three sets of outputs for Java to C# and back: good ones (the references themselves), (a) the same
without their first letter, and (b) the same with 676 of 1,000 emptied. Each is scored as a study scores it, and
read as its report reads it: every count over outputs that parse and as a difference from the references, per
file and per 100 lines. A figure that improved must be marked as resting on too few outputs; emptying outputs must not
improve a difference at all. Prints one JSON object.
"""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.snippets import translation_pairs
from orchestrator.ledger.artifacts import ScoredCell
from orchestrator.report.quality import list_counts, read_three_ways
from orchestrator.report.results import CellScores, InstanceRow
from orchestrator.work.score import score_cell
from tasks.records import Completion, Language, Problem

EMPTIED = 0.676
_HIGHER_IS_BETTER = frozenset({"radon.maintainability", "mcs.compiles"})
_NOT_QUALITY = ("lizard.nloc", "lizard.tokens")


def main() -> None:
    """Replay both failures in both directions; exits with 1 if one of them goes unseen or pays off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000)
    pairs = translation_pairs()[: parser.parse_args().pairs]
    found = {
        f"{source}-{target}": replay(problems_of(pairs, source, target))
        for source, target in ((Language.JAVA, Language.CSHARP), (Language.CSHARP, Language.JAVA))
    }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    raise SystemExit(any(part["faults"] for part in found.values()))


def problems_of(pairs: Sequence[tuple[str, str]], source: Language, target: Language) -> list[Problem]:
    """The pairs as problems of one direction."""
    sides = [dict(zip((Language.JAVA, Language.CSHARP), pair, strict=True)) for pair in pairs]
    track = f"translation/{source}-{target}"
    return [
        Problem(id=str(number), track=track, dataset="codexglue", input=side[source], reference=side[target])
        for number, side in enumerate(sides)
    ]


def replay(problems: Sequence[Problem]) -> dict[str, Any]:
    """Score good and broken outputs, and list what a reader would be misled by: `faults`."""
    emptied = set(random.Random(0).sample(range(len(problems)), round(EMPTIED * len(problems))))
    outputs = {
        "good": [p.reference for p in problems],
        "first letter lost": [p.reference.lstrip()[1:] for p in problems],
        "emptied": ["" if index in emptied else p.reference for index, p in enumerate(problems)],
    }
    cells = {name: _score(problems, texts) for name, texts in outputs.items()}
    faults: list[str] = []
    improved: dict[str, dict[str, bool]] = {}
    for name, share in (("first letter lost", "first_character_lost"), ("emptied", "empty")):
        if not any(_words(share) in warning for warning in cells[name].health_warnings):
            faults.append(f"{name}: health does not warn of {share}")
        improved[name] = find_improved(cells["good"], cells[name])
        faults += [
            f"{name}: {figure} improves, unmarked"
            for figure, marked in improved[name].items()
            if not marked or ": vs reference" not in figure
        ]
    faults += [f"emptied: {figure} improves" for figure in improved["emptied"] if ": vs reference" in figure]
    empty = [row.scores["codebleu"] for row in cells["emptied"].rows if row.empty]
    if set(empty) != {0.0}:
        faults.append(f"CodeBLEU of an empty output is not 0: {sorted(set(empty))}")
    return {
        "problems": len(problems),
        "codebleu": {name: round(cell.corpus["codebleu"], 2) for name, cell in cells.items()},
        "parsing": {name: sum(bool(row.parses) for row in cell.rows) for name, cell in cells.items()},
        "warnings": {name: list(cell.health_warnings) for name, cell in cells.items()},
        "improved_but_marked": {name: list(figures) for name, figures in improved.items()},
        "figures": {name: _figures(cell) for name, cell in cells.items()},
        "faults": faults,
    }


def find_improved(good: ScoredCell, broken: ScoredCell) -> dict[str, bool]:
    """Figures of `broken` that are better than those of `good`, and whether the report marks them."""
    before, after = _figures(good), _figures(broken)
    improved = {}
    for name in sorted(before.keys() & after.keys()):
        better = -1 if name.rpartition(": ")[0] in _HIGHER_IS_BETTER else 1
        if better * (before[name]["value"] - after[name]["value"]) > 1e-9:
            improved[name] = bool(after[name]["marked"])
    return improved


def _words(share: str) -> str:
    from evaluators.health import LIMITS

    return LIMITS[share].meaning


def _score(problems: Sequence[Problem], texts: Sequence[str]) -> ScoredCell:
    completions = [
        Completion(
            problem_id=p.id, track=p.track, dataset=p.dataset, text=text, finish="stop", prompt_tokens=1, new_tokens=1
        )
        for p, text in zip(problems, texts, strict=True)
    ]
    return score_cell(problems, completions, quality=True)


def _figures(scored: ScoredCell) -> dict[str, dict[str, Any]]:
    """Every figure that a report shows of a cell, by `COUNT: WAY`."""
    rows, cell = _as_results(scored)
    figures: dict[str, dict[str, Any]] = {}
    for name, count in list_counts(rows, cell):
        if name in _NOT_QUALITY:
            continue
        ways = read_three_ways(rows, cell, count)
        for way, figure in (("parses", ways.parsing), ("vs reference", ways.difference)):
            if figure is None:
                continue
            common = {"files": figure.files, "marked": ways.marked}
            figures[f"{name}: {way} per file"] = {"value": figure.per_file, **common}
            if figure.per_100_lines is not None:
                figures[f"{name}: {way} per 100 lines"] = {"value": figure.per_100_lines, **common}
    return figures


def _as_results(scored: ScoredCell) -> tuple[list[InstanceRow], CellScores]:
    from evaluators.health import Health

    rows = [
        InstanceRow(trial="replay", track=scored.track, dataset=scored.dataset, verdict=None, **row.model_dump())
        for row in scored.rows
    ]
    cell = CellScores(
        trial="replay",
        track=scored.track,
        dataset=scored.dataset,
        corpus=scored.corpus,
        signatures=scored.signatures,
        health=Health.model_validate(scored.health),
        health_warnings=scored.health_warnings,
        reference_counts=scored.reference_counts,
        reference_rules=scored.reference_rules,
    )
    return rows, cell


if __name__ == "__main__":
    main()
