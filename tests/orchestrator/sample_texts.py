"""Texts behind made-up results, hostile ones among them.

One decision: what models may write is written down once, so that page and terminal are tried with the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from report_samples import make_trial

from orchestrator.report.results import InstanceRow, StudyResults
from orchestrator.report.texts import Asked, Texts, Written
from tasks.records import VerdictName

TRACK = "generation/python"
METHODS = ("together", "apart", "frozen")
HOSTILE = (
    '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">',
    "<svg onload=window.hacked=3><!--<script> {{ 7 * 7 }} &lt;b&gt; ${window.hacked=4}",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \r\b over",
    "if admin\u202e \u2066// check\u2069 \u2066 \u200bhidden\ufeff \u2028 line",
    "nul \x00 and a lone \ud800 surrogate, a tag \U000e0041",
    '"quoted" \\n \\u0041 [red]markup[/red] 你好 é 🙂\n\ttabbed\n',
)


def reference(number: int) -> str:
    """A problem's reference."""
    return f"def solve(x):\n    y = x + {number}\n    return y\n"


def make_results(
    outputs: Mapping[str, Sequence[tuple[str, VerdictName | None]]], *, asked: bool = True, **row: object
) -> StudyResults:
    """A study of three methods on one track; each method's outputs with their verdicts, problem by problem."""
    trials = tuple(
        replace(make_trial(name, kind="full", tracks=(TRACK,)), method=name, grouping=name) for name in outputs
    )
    rows = [
        replace(make_row(trial, number, text, verdict), **row)  # type: ignore[arg-type]
        for trial, found in outputs.items()
        for number, (text, verdict) in enumerate(found)
    ]
    written = {
        trial: {
            (f"{TRACK}/{number}", 0): Written(track=TRACK, dataset="small", text=text, finish="stop")
            for number, (text, _) in enumerate(found)
        }
        for trial, found in outputs.items()
    }
    count = max(map(len, outputs.values()))
    problems = {
        (TRACK, f"{TRACK}/{number}"): Asked(prompt=f"Add {number}.", reference=reference(number))
        for number in range(count)
    }
    texts = Texts(asked=problems if asked else {}, written=written)
    return StudyResults(study="small", question="", trials=trials, rows=tuple(rows), cells=(), read_texts=lambda: texts)


def make_row(trial: str, number: int, text: str, verdict: VerdictName | None) -> InstanceRow:
    """One completion, measured."""
    return InstanceRow(
        trial=trial,
        track=TRACK,
        dataset="small",
        problem_id=f"{TRACK}/{number}",
        sample=0,
        empty=not text.strip(),
        parses=True,
        verdict=verdict,
        detail="" if verdict in (None, "passed") else f"case {number}",
        scores={"bleu": 40.0 + number, "codebleu_ngram": 3.0},
        rules={"pylint.unused-variable": 2.0} if number % 2 else {},
    )
