"""What each trial took: time by stage, training effort, memory, and how much training changed the outputs.

One decision: a fact that a stage did not record is shown as absent, never as zero.
"""

from collections.abc import Callable, Mapping, Sequence

from orchestrator.report.evidence import Evidence
from orchestrator.report.layout import (
    ABSENT,
    Cell,
    Column,
    Table,
    format_bytes,
    format_count,
    format_number,
    format_seconds,
    format_usd,
    label,
    labels,
)
from orchestrator.report.results import TrialOutcome
from orchestrator.study.stages import StageName

Facts = Mapping[str, object]
# What `models.kernels` says there; it imports PyTorch, and this does not.
_ON_CPU = "the model is not on a GPU"


def build_cost_tables(evidence: Evidence) -> tuple[Table, ...]:
    """What each trial took: its time by stage, its training, and its generation, a row a trial in each."""
    return (
        _build_times(evidence),
        _build_facts(evidence, name="training", title="Training by trial", shows=_OF_TRAINING),
        _build_facts(evidence, name="generation", title="Generation by trial", shows=_OF_GENERATION),
    )


def _build_times(evidence: Evidence) -> Table:
    results = evidence.results
    # The fullest trial first, so that a frozen one, which skips training, does not set the order.
    fullest = sorted(results.trials, key=lambda trial: -len(trial.stages))
    stages = list(dict.fromkeys(stage.stage for trial in fullest for stage in trial.stages))
    priced = any(stage.usd is not None for trial in results.trials for stage in trial.stages)
    return Table(
        name="cost",
        title="Time by trial",
        columns=(
            *labels("trial"),
            *(Column(title=stage) for stage in (*stages, "total")),
            *([Column(title="USD")] if priced else []),
        ),
        rows=tuple(
            (
                label(evidence.names[trial.trial]),
                *_show_times(trial, stages),
                *([_show_usd(trial)] if priced else []),
            )
            for trial in results.trials
        ),
        caption="Time is each stage's own, where it ran; a stage found done in the ledger keeps its first time.",
    )


def _build_facts(evidence: Evidence, *, name: str, title: str, shows: Mapping[str, Callable[[Facts], Cell]]) -> Table:
    """What trials recorded of themselves; what none recorded has no column, and who recorded nothing no row."""
    facts = {trial.trial: collect_facts(trial) for trial in evidence.results.trials}
    cells = {trial: {head: show(known) for head, show in shows.items()} for trial, known in facts.items()}
    heads = [head for head in shows if any(found[head].text != ABSENT for found in cells.values())]
    return Table(
        name=name,
        title=title,
        columns=(*labels("trial"), *(Column(title=head) for head in heads)),
        rows=tuple(
            (label(evidence.names[trial]), *(found[head] for head in heads))
            for trial, found in cells.items()
            if any(found[head].text != ABSENT for head in heads)
        ),
    )


def collect_facts(trial: TrialOutcome) -> dict[str, object]:
    """All that a trial's stages recorded of themselves; a later stage's word stands."""
    return {key: value for stage in trial.stages for key, value in stage.facts.items()}


def _show_times(trial: TrialOutcome, stages: Sequence[StageName]) -> list[Cell]:
    taken = {stage.stage: stage.seconds for stage in trial.stages if stage.seconds is not None}
    cells = [_show_time(taken.get(stage)) for stage in stages]
    return [*cells, _show_time(sum(taken.values()) if taken else None)]


def _show_usd(trial: TrialOutcome) -> Cell:
    spent = [stage.usd for stage in trial.stages if stage.usd is not None]
    return Cell(text=format_usd(sum(spent)), value=sum(spent)) if spent else Cell(text=ABSENT)


def _show_time(seconds: float | None) -> Cell:
    return Cell(text=ABSENT) if seconds is None else Cell(text=format_seconds(seconds), value=seconds)


def read_number(facts: Facts, name: str) -> float | None:
    """A fact as a number, None if it is absent or no number."""
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _show_number(name: str, write: Callable[[float], str]) -> Callable[[Facts], Cell]:
    def show(facts: Facts) -> Cell:
        value = read_number(facts, name)
        return Cell(text=ABSENT) if value is None else Cell(text=write(value), value=value)

    return show


def _show_trainable(facts: Facts) -> Cell:
    trainable, total = read_number(facts, "trainable_parameters"), read_number(facts, "total_parameters")
    if trainable is None:
        return Cell(text=ABSENT)
    share = f"{100 * trainable / total:.3g} % of {format_count(total)}" if total else ""
    return Cell(text=format_count(trainable), value=trainable, detail=share)


def _show_change(facts: Facts) -> Cell:
    """The share of outputs that differ from the frozen model's: proof that the trained weights were applied."""
    share = read_number(facts, "adapter_changes_outputs")
    if share is None:
        return Cell(text=ABSENT)
    note = "" if share else "the trained weights were not applied, or have learned nothing"
    return Cell(text=format_number(100 * share), value=100 * share, warning=not share, note=note)


def _show_rows(facts: Facts) -> Cell:
    """Whether forward passes held several examples or, as the model's family wants it, one."""
    shown = {"flat": "several", "single": "one"}.get(str(facts.get("rows")))
    return Cell(text=shown or ABSENT)


def _show_pass(facts: Facts) -> Cell:
    """Tokens of the longest forward pass that there was, and whether activations were computed again."""
    footing, runtime = _mapping(facts.get("footing")), _mapping(facts.get("runtime"))
    longest = read_number(footing, "longest_row")
    if not longest:
        return Cell(text=ABSENT)
    details = [f"of {format_count(most)} allowed"] if (most := read_number(runtime, "micro_tokens")) else []
    if runtime.get("gradient_checkpointing"):
        details.append("activations computed again")
    return Cell(text=format_count(longest), value=longest, detail=", ".join(details))


def _show_kernels(facts: Facts) -> Cell:
    """Fused kernels that were put on a base model; on a CPU there are none, and nothing is to be said of it."""
    footing = _mapping(facts.get("footing"))
    kernels = ", ".join(str(name) for name in _sequence(footing.get("kernels")))
    why_not = str(footing.get("no_kernels") or "")
    if not kernels and (not why_not or why_not == _ON_CPU):
        return Cell(text=ABSENT)
    return Cell(text=kernels or "none", detail=str(footing.get("kernels_of") or ""), note="" if kernels else why_not)


def _show_by_peft(facts: Facts) -> Cell:
    """Adapted projections that peft computes, which is slower; mostly there are none."""
    by_peft = _mapping(_mapping(facts.get("footing")).get("by_peft"))
    return Cell(text=", ".join(by_peft) or ABSENT)


def _show_engine(facts: Facts) -> Cell:
    """Whether answers were written in slots, and how far those were off, by the model's own `generate` or by vLLM."""
    proof = _mapping(facts.get("proof"))
    if not proof:
        return Cell(text=ABSENT)
    if engine := str(facts.get("engine") or ""):
        return Cell(text=engine, note="how far its logits are off the model's own is not measured")
    off = read_number(proof, "engine_off")
    if off is None:
        return Cell(text="batches", note="the model cannot be asked in slots, so its own `generate` wrote")
    return Cell(text="slots", detail=f"logits {100 * off:.2g} % off the model's own")


def _show_rate(facts: Facts) -> Cell:
    """New tokens a second of one process, and which share of its slots was in use."""
    writing = _mapping(facts.get("writing"))
    tokens, seconds = read_number(writing, "new_tokens"), read_number(writing, "seconds")
    if not tokens or not seconds:
        return Cell(text=ABSENT)
    steps, used = read_number(writing, "slot_steps"), read_number(writing, "slot_steps_used")
    share = f"{100 * used / steps:.0f} % of slots in use" if steps and used else ""
    return Cell(text=format_count(tokens / seconds), value=tokens / seconds, detail=share)


def _show_logits(facts: Facts) -> Cell:
    """How much an adapter changed the logits behind a few prompts: proof that it was on."""
    change = read_number(_mapping(facts.get("proof")), "adapter_logits")
    return Cell(text=ABSENT) if change is None else Cell(text=f"{change:.2g}", value=change)


def _show_alone(facts: Facts) -> Cell:
    """The share of a few answers that came out otherwise when each prompt was asked alone."""
    share = read_number(_mapping(facts.get("proof")), "alone_differs")
    if share is None:
        return Cell(text=ABSENT)
    note = "in 16 and 4 bits sums in another order may choose another token" if share else ""
    return Cell(text=format_number(100 * share), value=100 * share, note=note)


def _mapping(value: object) -> Facts:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


_OF_TRAINING: Mapping[str, Callable[[Facts], Cell]] = {
    "trainable parameters": _show_trainable,
    "steps": _show_number("steps", format_count),
    "examples a row": _show_rows,
    "tokens a pass": _show_pass,
    "kernels": _show_kernels,
    "computed by peft": _show_by_peft,
    "tokens": _show_number("tokens", format_count),
    "peak memory": _show_number("peak_memory_bytes", format_bytes),
}
_OF_GENERATION: Mapping[str, Callable[[Facts], Cell]] = {
    "outputs changed %": _show_change,
    "decoded in": _show_engine,
    "new tokens/s": _show_rate,
    "logits moved by adapter": _show_logits,
    "differs if asked alone %": _show_alone,
}
