"""Whether a study's methods are compared on equal terms: what a reader of its result would object to, one line each.

One decision: these are notes and refuse nothing. A study may mean what it says, and only its author knows; where the
literature has a figure, the note names it and the setting to change.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from orchestrator.study.schema import Method
from orchestrator.study.space import Search
from orchestrator.study.trial import TrialSpec
from trainers.methods.table import traits_of
from trainers.spec import TrainingSettings

# Schulman et al. 2025, "LoRA Without Regret": the best rate of an adapter is about ten times that of full fine-tuning.
# Below the second figure two rates are nearer to being one.
_ADAPTER_FACTOR, _TOO_NEAR = 10, 3
# The same work: adapters lose more than full fine-tuning as batches grow, whatever their rank. TRL's guide to it keeps
# batches below 32 examples; at twice that, or at as many tokens, it is worth a word.
_LARGE_BATCH, _LARGE_BATCH_TOKENS = 64, 32_768
# Names of attention's projections in the families that are known here.
_ATTENTION = {
    "q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "q", "k", "v",
    "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj",
}  # fmt: skip


def fairness(trials: Sequence[TrialSpec], methods: Mapping[str, Method]) -> tuple[str, ...]:
    """What stands against comparing these methods; nothing for a study that compares like with like.

    Args:
        trials: The study's trials, with what its searches have found so far.
        methods: The study's methods by name, which also say what a search may spend.
    """
    trained = {trial.method_name: trial for trial in trials if trial.training is not None}
    return tuple(
        dict.fromkeys(
            (
                *_shared_rates({name: one for name, one in trained.items() if not _rate_is_searched(methods[name])}),
                *(note for name, trial in trained.items() for note in _of_adapter(name, trial)),
                *_budgets(trials),
                *_lengths(trained),
                *_searches(methods),
                *_precisions(trials),
            )
        )
    )


def _shared_rates(trained: Mapping[str, TrialSpec]) -> Iterator[str]:
    rates = {name: trial.training.learning_rate for name, trial in trained.items() if trial.training is not None}
    whole = [name for name, trial in trained.items() if trial.traits.has_own_weights]
    for full in whole:
        adapters = [
            name
            for name, trial in trained.items()
            if trial.traits.has_adapter and rates[name] < _TOO_NEAR * rates[full] and trial.model == trained[full].model
        ]
        if adapters:
            verb = "learns" if len(adapters) == 1 else "learn"
            yield (
                f"{_and(adapters)} {verb} at {rates[adapters[0]]:g} and {full} at {rates[full]:g}, but adapters do "
                f"best at about {_ADAPTER_FACTOR} times the rate of full fine-tuning (Schulman et al. 2025): set "
                "learning_rate in each method's own training, or search for it"
            )


def _precisions(trials: Sequence[TrialSpec]) -> Iterator[str]:
    """Adapters that answer over 4-bit weights beside whole ones, with no adapter over whole weights between them."""
    quantised = dict.fromkeys(t.method_name for t in trials if t.traits.is_quantised)
    plain = dict.fromkeys(t.method_name for t in trials if not t.traits.is_quantised)
    told_apart = any(t.traits.has_adapter and not t.traits.is_quantised for t in trials)
    if quantised and plain and not told_apart:
        yield (
            f"{_and(list(quantised))} {_answers(quantised)} over weights in 4 bits and {_and(list(plain))} over whole "
            "ones, so a difference may be one of precision; a method of kind lora would tell the two apart"
        )


def _answers(names: Mapping[str, None]) -> str:
    return "answers" if len(names) == 1 else "answer"


def _rate_is_searched(method: Method) -> bool:
    return method.search is not None and "training.learning_rate" in method.search.space


def _of_adapter(name: str, trial: TrialSpec) -> Iterator[str]:
    if not trial.traits.has_adapter or trial.training is None or trial.lora is None:
        return
    size, unit = _batch(trial.training)
    if size >= (_LARGE_BATCH if unit == "examples" else _LARGE_BATCH_TOKENS):
        yield (
            f"{name} trains an adapter on batches of {size} {unit}, and adapters lose more than full fine-tuning as "
            "batches grow, whatever their rank (Schulman et al. 2025); try 32 examples or fewer"
        )
    if set(trial.lora.targets) <= _ATTENTION:
        yield (
            f"{name} adapts attention alone ({', '.join(trial.lora.targets)}), which does worse than adapting all "
            "projections even at an equal number of weights (Schulman et al. 2025); add gate_proj, up_proj, down_proj"
        )
    yield from (f"{name}: {note}" for note in trial.lora.notes())


def _batch(training: TrainingSettings) -> tuple[int, str]:
    """A global batch's size, and what it is counted in."""
    if training.batch_tokens is not None:
        return training.batch_tokens, "tokens"
    assert training.batch_size is not None, "a training says its batch in examples or in tokens"
    return training.batch_size, "examples"


def _budgets(trials: Sequence[TrialSpec]) -> Iterator[str]:
    """Methods that see different amounts of data, for each model and seed that they share."""
    by_cell: dict[tuple[str, int], dict[str, list[TrialSpec]]] = {}
    for trial in trials:
        if trial.training is not None:
            cell = by_cell.setdefault((trial.model.name, trial.seed), {})
            cell.setdefault(trial.method_name, []).append(trial)
    for cell in by_cell.values():
        for one, other in combinations(cell, 2):
            if text := _unequal(one, cell[one], other, cell[other]):
                yield text


def _unequal(one: str, ones: Sequence[TrialSpec], other: str, others: Sequence[TrialSpec]) -> str:
    first, second = _budget(ones), _budget(others)
    if first is None or second is None:
        return ""
    (amount, unit), (other_amount, other_unit) = first, second
    if unit != other_unit:
        return (
            f"{one} counts its training in {unit} and {other} in {other_unit}, so nothing says that they see as much; "
            "give both epochs, or both max_steps with batches in one unit"
        )
    if amount == other_amount:
        return ""
    return (
        f"{one} sees {amount:g} {unit} and {other} {other_amount:g}, so a difference may be one of budgets; give both "
        "the same epochs"
    )


def _budget(trials: Sequence[TrialSpec]) -> tuple[float, str] | None:
    """What a method sees over all its trainings for one model and seed; None where its parts differ in kind.

    Epochs are of each example, so they are the same however tasks are grouped; steps add up over the groups.
    """
    amounts = []
    for trial in trials:
        assert trial.training is not None
        size, unit = _batch(trial.training)
        steps = trial.training.max_steps
        amounts.append((float(trial.training.epochs or 0), "epochs") if steps is None else (float(steps * size), unit))
    units = {unit for _, unit in amounts}
    if len(units) > 1:
        return None
    values = [amount for amount, _ in amounts]
    return (values[0] if units == {"epochs"} else sum(values)), units.pop()


def _lengths(trained: Mapping[str, TrialSpec]) -> Iterator[str]:
    lengths = {name: trial.training.max_length for name, trial in trained.items() if trial.training is not None}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        yield (
            f"methods leave out examples above different lengths ({said} tokens), so they see different data; give all "
            "the same max_length"
        )


def _searches(methods: Mapping[str, Method]) -> Iterator[str]:
    trained = {name: method for name, method in methods.items() if traits_of(method.kind).is_trained}
    searched = {name: method for name, method in trained.items() if method.search is not None}
    plain = [name for name in trained if name not in searched]
    if searched and plain:
        yield (
            f"settings of {_and(list(searched))} are searched for and those of {_and(plain)} are not, which favours "
            "what is searched; give each method a search of the same budget"
        )
    spent = {name: _search_budget(method, method.search) for name, method in searched.items() if method.search}
    if len(set(spent.values())) > 1:
        said = ", ".join(f"{name} {count} of {length}" for name, (count, length) in spent.items())
        yield (
            f"searches have different budgets (trainings: {said}), which favours the largest; give each the same "
            "num_trials, seeds and length of training"
        )


def _search_budget(method: Method, search: Search) -> tuple[int, str]:
    """How many trainings a search makes, and how long each is; one that stops candidates early is counted whole."""
    training = method.training
    assert training is not None, "a search tunes a training"
    length = f"{training.epochs:g} epochs" if training.max_steps is None else f"{training.max_steps} steps"
    return search.trainings, length


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


__all__ = ["fairness"]
