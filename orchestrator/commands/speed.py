"""How fast a study's trainings and generations go together, in a line for each.

One decision: what is said is a sum of what was measured; a process that writes for several trials counts once.
"""

from collections.abc import Iterator, Sequence

from orchestrator.ledger.progress import State, TrialProgress, Writer
from orchestrator.report.layout import format_seconds
from orchestrator.study.stages import StageName


def speed_lines(progress: Sequence[TrialProgress]) -> list[str]:
    """A line for trainings side by side, and one for the generations; none of what does not run or tells nothing."""
    return [*_training_line(progress), *generation_line(progress)]


def _training_line(progress: Sequence[TrialProgress]) -> Iterator[str]:
    stages = [stage for trial in progress for stage in trial.stages]
    running = [one for one in stages if one.stage == StageName.TRAIN and one.state == State.RUNNING]
    rates = [one.tokens_per_s for one in running if one.tokens_per_s is not None]
    left = [one.seconds_left for one in running if one.seconds_left is not None]
    waiting = sum(one.stage == StageName.TRAIN and one.state == State.WAITING for one in stages)
    if len(rates) > 1:
        yield _line(
            StageName.TRAIN,
            f"{sum(rates):,.0f} tokens/s in {len(rates)} trainings",
            f"{format_seconds(max(left))} left" if left else "",
            f"{waiting} more {'waits' if waiting == 1 else 'wait'}" if waiting else "",
        )


def generation_line(progress: Sequence[TrialProgress]) -> Iterator[str]:
    """A line for the generations that run, if any tells how fast it goes."""
    stages = [stage for trial in progress for stage in trial.stages]
    running = [one for one in stages if one.stage == StageName.GENERATE and one.state == State.RUNNING]
    writers = list({writer.process: writer for one in running for writer in one.writers}.values())
    if not writers:
        return
    there, asked = sum(one.step or 0 for one in running), sum(one.steps or 0 for one in running)
    rate = sum(writer.completions_per_s for writer in writers)
    yield _line(
        StageName.GENERATE,
        f"{there:,}/{asked:,}",
        f"{sum(writer.tokens_per_s for writer in writers):,.0f} tokens/s in {_many(len(writers), 'process', 'es')}",
        at_work(writers),
        f"{format_seconds((asked - there) / rate)} left" if rate else "",
    )


def at_work(writers: Sequence[Writer]) -> str:
    """Slots in use, and the mean share of the time that the GPUs computed, or else that the engines were at models.

    Nothing where there are no writers.
    """
    if not writers:
        return ""
    used, slots = sum(writer.slots_used for writer in writers), sum(writer.slots for writer in writers)
    in_use = f"{used:.0f} of {slots:.0f} slots in use, " if slots else ""
    by_gpu = all(writer.busy_of == "gpu" for writer in writers)
    share = sum(writer.busy for writer in writers) / len(writers)
    return f"{in_use}{'GPU' if by_gpu else 'engine'} busy {100 * share:.0f} %"


def _line(stage: StageName, *parts: str) -> str:
    return f"{stage}: {', '.join(filter(None, parts))}"


def _many(count: int, one: str, more: str = "s") -> str:
    return f"{count} {one}{'' if count == 1 else more}"


__all__ = ["at_work", "generation_line", "speed_lines"]
