"""What of a study is not there for want of a tool: what, and the command that installs it.

One decision: a machine that lacks an optional tool has not failed. So this is told apart from failures, once for each
tool, and what lacked it is due again as soon as it is installed.
"""

from collections import Counter

from orchestrator.ledger.progress import State
from orchestrator.report.layout import count_nouns
from orchestrator.report.results import InstanceRow, StudyResults
from orchestrator.report.tally import folded
from tasks.records import UnjudgedReason

# Reasons that end when something is installed.
_TOOLS = (UnjudgedReason.TOOLCHAIN_MISSING, UnjudgedReason.TOOLCHAIN_TOO_OLD)


def lacks_a_tool(row: InstanceRow) -> bool:
    """Whether a completion was not judged only because an optional tool is not installed."""
    return row.verdict == "unjudged" and row.reason in _TOOLS


def list_lacks(results: StudyResults) -> tuple[str, ...]:
    """A line for each tool that was missing: what waits for it, and how it is installed."""
    found: Counter[str] = Counter()
    for row in results.rows:
        if lacks_a_tool(row):
            found[folded(row.detail, row.reason).removeprefix("not judged: ")] += 1
    samples = [f"{count_nouns(count, 'completion')} not judged: {why}" for why, count in found.items()]
    stages = [
        f"{trial.trial} {stage.stage} not run: {stage.cause}"
        for trial in results.trials
        for stage in trial.stages
        if stage.state == State.NOT_RUN
    ]
    tools = {tool: why for cell in results.cells for tool, why in cell.missing_tools.items()}
    return (*samples, *stages, *(f"no counts by {tool}: {why}" for tool, why in tools.items()))


__all__ = ["lacks_a_tool", "list_lacks"]
