"""`polytune score`: the similarity metrics on anybody's files.

One decision: whatever can be found wrong before scoring (files, ids, metrics, what a metric needs) is
found first and told at once; then every pair gets a score or a note that says why it has none.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evaluators.similarity import JudgeSettings, Scores
    from orchestrator.files.items import Form, Items, Pairs
    from tasks.records import Language

EPILOG = (
    "Example: polytune score --predictions P.txt --references R.txt --metrics codebleu,bleu,exact_match --language java"
)


def _metrics_help() -> str:
    """What can be asked for, as the table of metrics has it."""
    from evaluators.similarity import METRICS, Need, command_metrics

    needs = {
        None: "Of {}",
        Need.LANGUAGE: "with --language {}",
        Need.MODEL: "with --model {}",
        Need.JUDGE: "with --judge-url {}",
        Need.WORDNET: "with WordNet's data {}",
    }
    parts = [
        words.format(", ".join(name for name, metric in METRICS.items() if metric.needs is need))
        for need, words in needs.items()
    ]
    usual, code = (",".join(command_metrics(written)) for written in ("prose", "code"))
    return f"{'; '.join(parts)}. Default: {usual}, or {code} with --language. docs/metrics.md tells them apart."


def score(
    predictions: Annotated[
        Path,
        typer.Option(
            "--predictions",
            metavar="P",
            help="Text, one item a line; CodeXGLUE's `id TAB text`; JSON lines, an array or a table with a text "
            "(text, completion, solution, ...) and perhaps an id; gzipped or not.",
        ),
    ],
    references: Annotated[
        Path,
        typer.Option("--references", metavar="R", help="As P. Paired by id if both files have ids, else by line."),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="M,M",
            help=_metrics_help(),
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="L", help="Of the code: python, java or csharp.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="F", help="How both files are read: auto, text, tab or json.")
    ] = "auto",
    predictions_key: Annotated[
        str | None, typer.Option("--predictions-key", metavar="KEY", help="What holds the text in P's rows.")
    ] = None,
    references_key: Annotated[
        str | None, typer.Option("--references-key", metavar="KEY", help="What holds the text in R's rows.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="For bertscore and cosine: an encoder's folder or hub id, taken as it is."),
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(
            "--judge-url",
            help="For judge: the base of an endpoint that speaks OpenAI's chat completions, as in "
            "http://localhost:8000/v1. A key is read from POLYTUNE_JUDGE_KEY or OPENAI_API_KEY.",
        ),
    ] = None,
    judge_model: Annotated[str | None, typer.Option("--judge-model", help="For judge: the model to ask for.")] = None,
    judge_runs: Annotated[int, typer.Option("--judge-runs", min=1, help="How often the judge is asked a pair.")] = 3,
    judge_cache: Annotated[
        Path, typer.Option("--judge-cache", metavar="DIR", help="Where the judge's answers are kept.")
    ] = Path(".polytune/judge"),
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.parquet", help="Also write a score for each pair, keyed by id."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Score predictions against references by similarity, 0-100."""
    from evaluators.similarity import JudgeSettings, MissingError, score_pairs
    from orchestrator.errors import InputError

    judge = None
    if judge_url is not None and judge_model is not None:
        judge = JudgeSettings(url=judge_url, model=judge_model, runs=judge_runs, cache=judge_cache)
    files = _files((predictions, predictions_key), (references, references_key), form=form)
    names, spoken, pairs = _checked(files, metrics=metrics, language=language, model=model, judge=judge, out=out)
    try:
        scores = score_pairs(
            pairs.predictions, pairs.references, metrics=names, language=spoken, model=model, judge=judge
        )
    except MissingError as error:
        raise InputError(str(error)) from error
    _tell(scores, names, pairs=pairs, out=out, json_=json_)


def _tell(scores: "Scores", names: Sequence[str], *, pairs: "Pairs", out: Path | None, json_: bool) -> None:
    """Write the figures where they are wanted, and on standard error what there is to know of them."""
    figures = _figures(scores, names)
    if out is not None:
        _write(out, pairs, scores, figures)
    if json_:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        _print(figures, total=len(pairs.ids))
    sys.stderr.write("".join(f"{note}\n" for note in pairs.notes))
    for name, notes in scores.notes.items():
        for note in notes:
            sys.stderr.write(f"{name}: not scored: {note}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Both files, read as far as they could be."""

    paths: tuple[Path, Path]
    predictions: "Items"
    references: "Items"
    faults: tuple[str, ...]


def _files(predictions: tuple[Path, str | None], references: tuple[Path, str | None], *, form: str) -> _Files:
    from orchestrator.files.items import FORMS, read_items

    known: Form = next((known for known in FORMS if known == form), "auto")
    wrong = () if form in FORMS else (f"--format {form!r}: is unknown; the forms are {', '.join(FORMS)}",)
    return _Files(
        paths=(predictions[0], references[0]),
        predictions=read_items(predictions[0], role="predictions", form=known, column=predictions[1]),
        references=read_items(references[0], role="references", form=known, column=references[1]),
        faults=wrong,
    )


def _checked(
    files: _Files,
    *,
    metrics: str | None,
    language: str | None,
    model: str | None,
    judge: "JudgeSettings | None",
    out: Path | None,
) -> "tuple[tuple[str, ...], Language | None, Pairs]":
    """The metrics, the language and the pairs, or every fault of the request at once."""
    from evaluators.similarity import METRICS, command_metrics, faults_of, missing
    from orchestrator.errors import InputError
    from orchestrator.files.items import pair

    spoken, faults = _language(language)
    default = command_metrics("code" if language is not None else "prose")
    names = tuple(dict.fromkeys(n.strip() for n in metrics.split(",") if n.strip())) if metrics is not None else default
    if not names:
        faults.append(f"--metrics {metrics!r}: names no metric; the metrics are {', '.join(METRICS)}")
    known = faults_of(names, language=spoken, model=model, judge=judge)
    # Where the language is misspelt, that it is wanted needs no saying.
    faults += [fault for fault in known if language is None or spoken is not None or "needs --language" not in fault]
    if out is not None and (out.suffix != ".parquet" or not out.parent.is_dir()):
        faults.append(f"--out {out}: must be a file ending in .parquet in a folder that exists")
    pairs, unpaired = pair(files.predictions, files.references, names=files.paths)
    faults += [*files.faults, *unpaired, *missing(names, model=model)]
    if faults or pairs is None:
        raise InputError("\n".join([f"{len(faults)} faults", *(f"  {f}" for f in faults)]) if faults[1:] else faults[0])
    return names, spoken, pairs


def _language(name: str | None) -> "tuple[Language | None, list[str]]":
    from difflib import get_close_matches

    from tasks.records import Language

    if name is None:
        return None, []
    if name in set(Language):
        return Language(name), []
    near = get_close_matches(name.lower().replace("c#", "csharp").replace("_", ""), list(Language), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return None, [f"--language {name!r}: is unknown; {hint}the languages are {', '.join(Language)}"]


def _figures(scores: "Scores", names: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "corpus": scores.corpus[name],
            "mean": scores.mean(name),
            "n": len(scores.applicable(name)),
            "signature": scores.signatures[name],
        }
        for name in names
    }


def _write(out: Path, pairs: "Pairs", scores: "Scores", figures: dict[str, Any]) -> None:
    """A column for each metric beside the ids; the figures over all pairs go into the file's metadata."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"id": list(pairs.ids)} | {n: pa.array(v, pa.float64()) for n, v in scores.per_instance.items()})
    private = out.with_name(f".{out.name}.part")
    parquet.write_table(table.replace_schema_metadata({"polytune.scores": json.dumps(figures)}), private)
    private.replace(out)


def _print(figures: dict[str, dict[str, Any]], *, total: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "corpus", "mean", "n", caption=f"{total} pairs; 0-100", box=None, caption_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, row in figures.items():
        values = ["-" if row[key] is None else f"{row[key]:.2f}" for key in ("corpus", "mean")]
        table.add_row(name, *values, str(row["n"]))
    console = Console()
    console.print(table)
    for row in figures.values():
        console.print(row["signature"], style="dim", markup=False, highlight=False, soft_wrap=True)


__all__ = ["EPILOG", "score"]
