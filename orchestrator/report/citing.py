"""What whoever cites a study must name: models, data, seeds, how metrics were computed, statistics, software.

One decision: one block, made from the records alone. What nothing pins says so, since a reader cannot make it again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.report.findings import Findings
from orchestrator.report.results import StudyResults
from orchestrator.report.scores import title_metric
from orchestrator.report.statistics import RESAMPLES

_PRIVATE = ("host",)
"""What provenance knows and nobody needs: a machine's name."""
_MACHINE = ("system", "processor", "cores", "memory_gib", "gpus", "cuda")
_UNPINNED = "not pinned: whoever repeats this may get another"


@dataclass(frozen=True, slots=True, kw_only=True)
class CitePart:
    """A part of the block: a title, and names with their values."""

    title: str
    entries: tuple[tuple[str, str], ...]


def cite_block(findings: Findings) -> tuple[CitePart, ...]:
    """Everything to name; parts about which nothing is recorded are left out."""
    results = findings.results
    setup = results.setup
    parts = {
        "Models": [(name, pinned or _UNPINNED) for name, pinned in setup.models.items()],
        "Data": list(_list_data(results)),
        "Seeds": list(_list_seeds(results)),
        "Metrics": [(metric, text) for metric, texts in list_signatures(results).items() for text in texts],
        "Statistics": list(_list_statistics(findings)),
        "Software": [(name, value) for name, value in results.provenance.items() if _is_software(name)],
        "Machine": list(_list_machine(results)),
    }
    return tuple(CitePart(title=title, entries=tuple(entries)) for title, entries in parts.items() if entries)


def list_signatures(results: StudyResults) -> Mapping[str, tuple[str, ...]]:
    """How each metric was computed; several signatures of one metric are all told."""
    found: dict[str, dict[str, None]] = {}
    for cell in results.cells:
        for metric, signature in cell.signatures.items():
            found.setdefault(metric, {})[signature] = None
    return {metric: tuple(signatures) for metric, signatures in sorted(found.items())}


def _list_data(results: StudyResults) -> Iterator[tuple[str, str]]:
    """Each source with its roles, the tracks of one pin together."""
    tracks: dict[tuple[str, str, str], list[str]] = {}
    for use in results.setup.data:
        limit = f", first {use.limit:,}" if use.limit else ""
        name = f"{use.source}, {use.split} split{limit}" + (f", as {use.role}" if use.role != use.split else "")
        tracks.setdefault((name, use.identity or _UNPINNED, ""), []).append(use.track)
    for (name, identity, _), names in tracks.items():
        yield f"{name} ({', '.join(dict.fromkeys(names))})", identity


def _list_seeds(results: StudyResults) -> Iterator[tuple[str, str]]:
    setup = results.setup
    if setup.seeds:
        yield "training", ", ".join(map(str, setup.seeds))
    sampled = {str(trial.generation["seed"]) for trial in setup.trials if trial.generation.get("temperature")}
    if setup.trials:
        yield "generation", ", ".join(sorted(sampled)) or "none: greedy, the likeliest token each time"


def list_margins(findings: Findings) -> Mapping[str, tuple[str, ...]]:
    """The metrics that were tested for equivalence, by their margin in words."""
    found: dict[str, dict[str, None]] = {}
    for verdict in findings.verdicts:
        if verdict.p_equivalence is not None:
            found.setdefault(f"{verdict.margin:g} points", {})[title_metric(verdict.metric).removesuffix(" %")] = None
    return {margin: tuple(metrics) for margin, metrics in found.items()}


def _list_statistics(findings: Findings) -> Iterator[tuple[str, str]]:
    if not findings.contrasts and not findings.verdicts:
        return
    asked = findings.results.asked
    yield "paired by", f"problem; bootstrap intervals over problems, {RESAMPLES:,} resamples, seed 0"
    for margin, metrics in list_margins(findings).items():
        yield "equally good", f"within {margin} of {', '.join(metrics)}"
    correction = {"holm": "Holm", "bh": "Benjamini-Hochberg", "none": "none"}[asked.correction]
    family = {"part": "the tests of each pair", "question": "all tests of the study"}[asked.family]
    yield "correction of p-values", correction if asked.correction == "none" else f"{correction}, over {family}"


def _is_software(name: str) -> bool:
    return name not in (*_MACHINE, *_PRIVATE)


def _list_machine(results: StudyResults) -> Iterator[tuple[str, str]]:
    for name in _MACHINE:
        if name in results.provenance:
            yield name.replace("_gib", ", GiB"), results.provenance[name]
    if "hardware" in results.provenance:
        yield "hardware", results.provenance["hardware"]
    if results.isolation:
        yield "isolation of generated code", results.isolation


__all__ = ["CitePart", "cite_block", "list_margins", "list_signatures"]
