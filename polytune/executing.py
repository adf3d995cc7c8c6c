"""Run programs against problems' tests, from Python.

One decision: verdicts come from the function that the command line calls; here they are values and nothing is printed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polytune.values import as_files

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.files.judging import References, Summary
    from polytune.values import Rows
    from tasks.records import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What running completions showed.

    Attributes:
        verdicts: One for each completion, in their order.
        counts: How many of each verdict there are.
        pass_at: pass@k in 0-1, by k, over problems with a judged sample.
        pass_at_missing: For each k without a figure, the reason.
        pass_at_where_reference_passes: pass@k over problems whose reference passes, if references were checked too.
        failed_references: Verdicts on the references that do not pass, if they were checked.
        isolation: What programs were confined by.
        without_samples: How many problems have no completion.
        unjudged: Why completions were not judged, with how many.
    """

    verdicts: "tuple[Verdict, ...]"
    counts: Mapping[str, int]
    pass_at: Mapping[int, float]
    pass_at_missing: Mapping[int, str]
    pass_at_where_reference_passes: Mapping[int, float]
    failed_references: "tuple[Verdict, ...]"
    isolation: str
    without_samples: int
    unjudged: Mapping[str, int]

    def frame(self) -> "pd.DataFrame":
        """A row for each verdict: `task_id`, `sample`, `verdict`, `detail`, seconds, and how it ran."""
        import pandas as pd

        from tasks.records import Verdict

        return pd.DataFrame([v.model_dump(mode="json") for v in self.verdicts], columns=list(Verdict.model_fields))


def execute(
    problems: "Rows | None" = None,
    completions: "Rows | None" = None,
    *,
    format: str = "polytune",
    k: Sequence[int] = (1,),
    check_references: bool = False,
    isolation: str = "auto",
    workers: int | None = None,
    cpu_seconds: float = 5.0,
    wall_seconds: float | None = None,
    memory_mb: int = 1024,
    output_bytes: int = 1_000_000,
) -> Execution:
    r"""Run completions, isolated, against their problems' tests, as `polytune execute` does.

    Args:
        problems: A file, or rows as such a file has them: dicts, `tasks.records.Problem`s or a data frame. CoderEval's
            result files need none.
        completions: A file or rows with `task_id` and either `completion`, which goes on from the problem's prompt, or
            `solution`, a whole program. Left out, the problems' own references are judged, if `check_references`.
        format: What the problems are: `polytune`, `humaneval`, `mbpp`, ...
        k: The ks of pass@k.
        check_references: Judge the problems' reference solutions.
        isolation: `auto`, `strict`, `landlock` or `none`.
        workers: Programs side by side; by default as many as there are cores.
        cpu_seconds: CPU time of a program; in EvalPlus' formats of each input.
        wall_seconds: Time of a program that waits; by default four times its CPU time.
        memory_mb: Memory of a program, in MiB.
        output_bytes: Output, and each returned value; four times the reference's if that is more.

    Raises:
        PolytuneError: naming each problem, completion or setting that cannot be used.

    >>> problem = {
    ...     "id": "double", "track": "generation/python", "dataset": "mine", "input": "Double x. Name it f.",
    ...     "reference": "def f(x):\n    return 2 * x",
    ...     "tests": {"kind": "calls", "entry_point": "f", "parameters": [{"name": "x", "type": "int"}],
    ...               "returns": "int", "cases": [{"arguments": [3], "expected": 6}]},
    ... }
    >>> answers = ["def f(x):\n    return x + x", "def f(x):\n    return x"]
    >>> found = polytune.execute([problem], [{"task_id": "double", "solution": text} for text in answers])
    >>> found.pass_at[1], [verdict.verdict for verdict in found.verdicts]
    (0.5, ['passed', 'wrong_answer'])
    """
    from orchestrator.errors import InputError
    from orchestrator.files.completions import references_of
    from orchestrator.files.judging import References, check_how, judge, read_inputs, summarize

    if completions is None and not check_references:
        raise InputError("nothing to judge; give completions, or ask with check_references=True")
    if not k or any(not isinstance(one, int) or one < 1 for one in k):
        raise InputError(f"k {k!r}: each k must be a whole number of at least 1; write for example (1, 10)")
    given = {"problems": problems, "completions": completions}
    with as_files(**{name: rows for name, rows in given.items() if rows is not None}) as files:
        how = check_how(
            isolation=isolation,
            workers=workers,
            cpu_seconds=cpu_seconds,
            wall_seconds=wall_seconds,
            memory_mb=memory_mb,
            output_bytes=output_bytes,
        )
        known, samples = read_inputs(files.get("problems"), files.get("completions"), format=format)
        references = references_of(known) if check_references else ()
        checked = None
        if check_references:
            absent = len(known) - len(references)
            checked = References(verdicts=judge(known, references, how=how), absent=absent)
        verdicts = judge(known, samples, how=how) if samples or checked is None else checked.verdicts
    summary = summarize(known, samples or references, verdicts, ks=k, checked=checked if samples else None)
    return _execution(verdicts, summary, checked)


def _execution(verdicts: "tuple[Verdict, ...]", summary: "Summary", checked: "References | None") -> Execution:
    among = summary.where_reference_passes
    return Execution(
        verdicts=verdicts,
        counts=summary.verdicts,
        pass_at=_by_number(summary.pass_at),
        pass_at_missing={int(k): reason for k, reason in summary.pass_at_missing.items()},
        pass_at_where_reference_passes=_by_number(among.pass_at) if among else {},
        failed_references=tuple(checked.failed) if checked else (),
        isolation=summary.isolation,
        without_samples=summary.without_samples,
        unjudged=summary.unjudged,
    )


def _by_number(figures: Mapping[str, float]) -> dict[int, float]:
    return {int(k): value for k, value in figures.items()}


__all__ = ["Execution", "execute"]
