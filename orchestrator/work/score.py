"""The body of score: similarity, quality and health of what was written, one (track, data set) at a time.

One decision: a body is an ordinary function of specs, records and a folder. Ray's wrappers around it are a few lines
elsewhere, so a test or a debugger calls exactly what a cluster runs.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.ledger.artifacts import ScoredCell, ScoredRow
from tasks.records import Completion, Language, Problem, Task

if TYPE_CHECKING:
    from evaluators.contamination import Contamination
    from evaluators.quality import FileQuality


def cells_of(
    problems: Sequence[Problem], completions: Sequence[Completion]
) -> list[tuple[tuple[Problem, ...], tuple[Completion, ...]]]:
    """Completions with their problems, one group for each (track, data set), in order of appearance."""
    by_id = {problem.id: problem for problem in problems}
    groups: dict[tuple[str, str], list[Completion]] = {}
    for completion in completions:
        groups.setdefault((completion.track, completion.dataset), []).append(completion)
    return [(tuple(by_id[c.problem_id] for c in group), tuple(group)) for group in groups.values()]


def score_cell(
    problems: Sequence[Problem],
    completions: Sequence[Completion],
    *,
    quality: bool,
    metrics: Sequence[str] | None = None,
    contamination: "Mapping[str, Contamination] | None" = None,
) -> ScoredCell:
    """Similarity, quality and health of one (track, data set); `problems[i]` is that of `completions[i]`.

    Of `metrics` those are computed that apply to the track; None stands for the usual ones.
    """
    from evaluators import health
    from evaluators.languages.reading import parses
    from evaluators.similarity import score_pairs, study_metrics

    track = problems[0].parsed_track
    outputs = [_output(c, p) for c, p in zip(completions, problems, strict=True)]
    chosen = study_metrics(track, metrics)
    scores = score_pairs(outputs, [p.reference for p in problems], metrics=chosen, language=track.target)
    parsed = [None if track.target is None else bool(o.strip()) and parses(o, language=track.target) for o in outputs]
    files, references, missing = _quality(outputs, problems, track.target if quality else None)
    state = health.check(
        [
            health.Output(
                text=o,
                finish=c.finish,
                prompt=p.input,
                reference=p.reference,
                parses=ok,
                preamble=p.preamble,
                raw=c.text,
                contamination=(contamination or {}).get(p.id),
            )
            for o, c, p, ok in zip(outputs, completions, problems, parsed, strict=True)
        ]
    )
    rows = [
        ScoredRow(
            problem_id=c.problem_id,
            sample=c.sample,
            empty=not outputs[i].strip(),
            parses=parsed[i],
            scores={name: value for name, values in scores.per_instance.items() if (value := values[i]) is not None},
            counts=dict(files[i].counts),
            rules=dict(files[i].rules),
        )
        for i, c in enumerate(completions)
    ]
    return ScoredCell(
        track=str(track),
        dataset=problems[0].dataset,
        rows=tuple(rows),
        corpus={name: value for name, value in scores.corpus.items() if value is not None},
        signatures=dict(scores.signatures),
        health=state.model_dump(mode="json"),
        health_warnings=health.warnings(state),
        reference_counts={key: dict(file.counts) for key, file in references.items()},
        reference_rules={key: dict(file.rules) for key, file in references.items()},
        missing_tools=missing,
        notes=(
            *(f"no {tool}: {reason}" for tool, reason in missing.items()),
            *(f"{name}: not scored: {note}" for name, found in scores.notes.items() for note in found),
        ),
    )


def analyse_ahead(problems: Sequence[Problem], completions: Sequence[Completion]) -> None:
    """Let this machine's analyzers say what they have to of outputs and references, so that scoring finds it said.

    `problems[i]` is that of `completions[i]`, and all are of tracks with one target.
    """
    outputs = [_output(c, p) for c, p in zip(completions, problems, strict=True)]
    _quality(outputs, problems, problems[0].parsed_track.target)


def _output(completion: Completion, problem: Problem) -> str:
    """What is scored: the extracted program or summary; nothing where the model wrote nothing."""
    from evaluators.extraction import extract_program, extract_summary

    if not completion.text.strip():
        return ""
    if problem.parsed_track.task is Task.SUMMARIZATION:
        return extract_summary(completion.text)
    return extract_program(completion.text, problem=problem)


def _quality(
    outputs: Sequence[str], problems: Sequence[Problem], language: Language | None
) -> "tuple[list[FileQuality], dict[str, FileQuality], dict[str, str]]":
    """Each output's quality, that of the references by problem, and why each tool that is missing is.

    Outputs and references are analysed as one batch: the tools are slow to start and their counts
    do not depend on company.
    """
    from evaluators.quality import FileQuality, analyze, default_folder

    if language is None:
        return [FileQuality(parses=False)] * len(outputs), {}, {}
    distinct = list(dict.fromkeys((*outputs, *(p.reference for p in problems))))
    report = analyze(distinct, language=language, cache=default_folder())
    by_source = dict(zip(distinct, report.files, strict=True))
    references = {p.id: by_source[p.reference] for p in problems}
    return [by_source[output] for output in outputs], references, dict(report.missing)
