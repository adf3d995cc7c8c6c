"""`polytune score`: the similarity metrics on anybody's files.

One decision: figures go to standard output, and what there is to know of them to standard error.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evaluators.similarity import Scores
    from orchestrator.files.items import Pairs
    from orchestrator.files.scoring import Request

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
    from evaluators.similarity import JudgeSettings
    from orchestrator.files.scoring import TextFile, check_request, score_request

    judge = None
    if judge_url is not None and judge_model is not None:
        judge = JudgeSettings(url=judge_url, model=judge_model, runs=judge_runs, cache=judge_cache)
    request = check_request(
        TextFile(path=predictions, column=predictions_key),
        TextFile(path=references, column=references_key),
        metrics=metrics,
        language=language,
        form=form,
        model=model,
        judge=judge,
        others=_faults_of(out),
    )
    _tell(score_request(request), request, out=out, json_=json_)


def _faults_of(out: Path | None) -> list[str]:
    if out is None or (out.suffix == ".parquet" and out.parent.is_dir()):
        return []
    return [f"--out {out}: must be a file ending in .parquet in a folder that exists"]


def _tell(scores: "Scores", request: "Request", *, out: Path | None, json_: bool) -> None:
    """Write the figures where they are wanted, and on standard error what there is to know of them."""
    from orchestrator.files.scoring import figures_of

    figures = {name: asdict(figure) for name, figure in figures_of(scores, request.metrics).items()}
    if out is not None:
        _write(out, request.pairs, scores, figures)
    if json_:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        _print(figures, total=len(request.pairs.ids))
    sys.stderr.write("".join(f"{note}\n" for note in request.pairs.notes))
    for name, notes in scores.notes.items():
        for note in notes:
            sys.stderr.write(f"{name}: not scored: {note}\n")


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
