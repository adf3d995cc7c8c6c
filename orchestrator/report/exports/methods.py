"""A paragraph for a paper's section on methods: what was trained, on what, how it was measured and tested.

One decision: every clause comes from a record and is left out where there is none; nothing is rounded to sound better
and nothing is claimed that the study did not do.
"""

from collections.abc import Iterator, Mapping, Sequence

from evaluators.similarity import title_of
from orchestrator.report.citing import list_margins
from orchestrator.report.costs import collect_facts
from orchestrator.report.findings import Findings
from orchestrator.report.layout import count_nouns
from orchestrator.report.results import StudyResults
from orchestrator.report.scores import PASS
from orchestrator.report.setup import Settings, TrialSetup
from orchestrator.report.statistics import RESAMPLES, Comparison

_SOFTWARE = ("polytune", "torch", "transformers", "peft", "bitsandbytes", "deepspeed", "vllm")
_CORRECTIONS = {"holm": "Holm's method", "bh": "Benjamini and Hochberg's method"}
_TESTS = {
    "mcnemar-exact": "McNemar's exact test",
    "mcnemar-chi2": "McNemar's test with continuity correction",
    "wilcoxon": "the Wilcoxon signed-rank test",
    "wilcoxon-normal": "the Wilcoxon signed-rank test",
}
_OVER = {
    "all": "all tracks of a metric together, weighted alike",
    "task": "the tracks of each task together, weighted alike",
    "track": "each track",
}
_OPTIMIZERS = {"adamw": "AdamW", "adamw_8bit": "8-bit AdamW", "paged_adamw_8bit": "paged 8-bit AdamW"}


def describe_methods(findings: Findings) -> str:
    """The paragraph, as one line of plain text."""
    results = findings.results
    trained = [trial for trial in results.setup.trials if trial.training]
    sentences = (
        *_say_models(results.setup.trials),
        *_say_methods(trained),
        *_say_training(trained),
        *_say_data(results),
        *_say_generation(results.setup.trials),
        *_say_running(results),
        *_say_metrics(findings),
        *_say_tests(findings),
        *_say_equivalence(findings),
        *_say_completeness(results),
        *_say_software(results),
    )
    return " ".join(sentences)


def _say_models(trials: Sequence[TrialSetup]) -> Iterator[str]:
    pins: dict[str, str] = {}
    for trial in trials:
        pin = f"revision {trial.revision}" if trial.revision else f"files with SHA-256 {trial.digest[:12]}"
        pins[trial.model] = pin if trial.revision or trial.digest else "no revision pinned"
    if pins:
        yield f"We used {_join([f'{name} ({pin})' for name, pin in pins.items()])}."


def _say_methods(trained: Sequence[TrialSetup]) -> Iterator[str]:
    """What was trained, with which adapter; within it the methods that differ in how tasks share a model."""
    kinds: dict[str, dict[str, None]] = {}
    for trial in trained:
        kind = f"{trial.title}{f' of {_say_adapter(trial.adapter)}' if trial.adapter else ''}"
        tasks = "all tasks" if trial.grouping == "together" else "each task"
        kinds.setdefault(kind, {})[f'one for {tasks} ("{trial.method}")'] = None
    if kinds:
        yield f"Ways of training were: {'; '.join(f'{kind}, {_join(list(told))}' for kind, told in kinds.items())}."


def _say_adapter(adapter: Settings) -> str:
    names = adapter["targets"]
    targets = "all linear layers" if names == "all-linear" else _join([str(name) for name in _list(names)])
    kinds = [title for name, title in {"use_rslora": "rsLoRA", "use_dora": "DoRA"}.items() if adapter.get(name)]
    kinds += ["PiSSA initialisation"] if adapter.get("init") == "pissa" else []
    extra = f", {', '.join(kinds)}" if kinds else ""
    return f"rank {adapter['rank']}, alpha {adapter['alpha']} and dropout {adapter['dropout']} on {targets}{extra}"


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _say_training(trained: Sequence[TrialSetup]) -> Iterator[str]:
    """Settings that methods share once, those in which they differ by method."""
    clauses: dict[str, dict[str, None]] = {}
    for trial in trained:
        for clause in _list_settings(trial.training):
            clauses.setdefault(clause, {})[trial.method] = None
    methods = dict.fromkeys(trial.method for trial in trained)
    shared = [clause for clause, of in clauses.items() if len(of) == len(methods)]
    if shared:
        yield f"Training used {_join(shared)}."
    differing: dict[tuple[str, ...], list[str]] = {}
    for clause, of in clauses.items():
        if len(of) < len(methods):
            differing.setdefault(tuple(of), []).append(clause)
    for names, told in differing.items():
        yield f"{_join(names)} used {_join(told)}."
    seeds = list(dict.fromkeys(trial.seed for trial in trained))
    if seeds:
        yield f"Each training ran with {count_nouns(len(seeds), 'seed')} ({', '.join(map(str, seeds))})."


def _list_settings(training: Settings) -> Iterator[str]:
    yield _OPTIMIZERS.get(str(training["optimizer"]), str(training["optimizer"]))
    yield f"a highest learning rate of {training['learning_rate']}"
    if training.get("warmup_ratio"):
        yield f"a {training['schedule']} schedule after warming up over {training['warmup_ratio']} of the steps"
    elif training["warmup_steps"]:
        yield f"a {training['schedule']} schedule after {training['warmup_steps']} steps of warm-up"
    else:
        yield f"a {training['schedule']} schedule"
    if training.get("batch_tokens"):
        yield f"batches of {training['batch_tokens']} tokens"
    else:
        yield f"batches of {training['batch_size']} examples"
    yield f"{training['epochs']} epochs" if training["epochs"] else f"{training['max_steps']} steps"
    if training["weight_decay"]:
        yield f"weight decay {training['weight_decay']}"
    yield f"gradients clipped at norm {training['max_grad_norm']}"
    yield f"examples of up to {training['max_length']} tokens"
    yield "bfloat16" if training["precision"] == "bf16" else "float32"
    yield "loss on answers alone" if training["loss"] == "completion" else "loss on whole sequences"
    if training["validate_every"]:
        by = "validation loss" if training["select_by"] == "loss" else "the similarity of greedy validation outputs"
        yield f"the checkpoint that was best by {by}"


def _say_data(results: StudyResults) -> Iterator[str]:
    """How many examples and problems of which data, by what the records counted."""
    examples = _count_examples(results)
    names = list(dict.fromkeys(use.source for use in results.setup.data if use.role == "train"))
    if examples and names:
        yield f"Training examples were {_join(_count_alike(examples))}, from {_join(names)}."
    problems: dict[tuple[str, str], set[str]] = {}
    for row in results.rows:
        problems.setdefault((row.track, row.dataset), set()).add(row.problem_id)
    if problems:
        counts = {f"{track} ({dataset})": len(ids) for (track, dataset), ids in problems.items()}
        yield f"Test problems were {_join(_count_alike(counts))}."
    identities = [use for use in results.setup.data if not use.identity]
    if identities:
        yield f"No revision pins {_join(list(dict.fromkeys(use.source for use in identities)))}."


def _count_alike(counts: Mapping[str, int]) -> list[str]:
    """Numbers with what they are of; what has as many is told together."""
    of: dict[int, list[str]] = {}
    for name, count in counts.items():
        of.setdefault(count, []).append(name)
    return [f"{count:,} {'each ' if names[1:] else ''}of {_join(names)}" for count, names in of.items()]


def _count_examples(results: StudyResults) -> Mapping[str, int]:
    """Training examples by track, the most that any trial had."""
    found: dict[str, int] = {}
    for trial in results.trials:
        counted = collect_facts(trial).get("examples")
        for track, count in counted.items() if isinstance(counted, Mapping) else ():
            found[str(track)] = max(found.get(str(track), 0), int(count))
    return found


def _say_generation(trials: Sequence[TrialSetup]) -> Iterator[str]:
    yield from dict.fromkeys(_say_decoding(trial.generation) for trial in trials)


def _say_decoding(generation: Settings) -> str:
    samples, most = int(str(generation["samples"])), generation["max_new_tokens"]
    if not generation["temperature"]:
        how = "Answers were decoded greedily, one for each problem"
    else:
        drawn = f"temperature {generation['temperature']}" + (
            "" if generation["top_p"] == 1 else f", top-p {generation['top_p']}"
        )
        how = f"{count_nouns(samples, 'answer')} for each problem {'was' if samples == 1 else 'were'} sampled ({drawn})"
    return f"{how}, with at most {most} new tokens for code and {generation['max_summary_tokens']} for summaries."


def _say_running(results: StudyResults) -> Iterator[str]:
    """How code was judged; where results were read from files, only that they were."""
    if not results.setup.trials:
        if results.provenance:
            yield f"Results were read from {_join(list(results.provenance))}."
        return
    judged = sum(row.verdict not in (None, "unjudged") for row in results.rows)
    unjudged = sum(row.verdict == "unjudged" for row in results.rows)
    if judged:
        isolation = f", isolated as {results.isolation}" if results.isolation else ""
        left = f"; {unjudged:,} could not be judged and count neither way" if unjudged else ""
        yield f"Code was judged by running it against its tests ({judged:,} programs{isolation}){left}."


def _say_metrics(findings: Findings) -> Iterator[str]:
    metrics = dict.fromkeys(measure.metric for measure in findings.measures)
    told = [title_of(metric) for metric in metrics if metric != PASS]
    told += ["pass@1 by the unbiased estimate of Chen et al. (2021)"] if PASS in metrics else []
    if told:
        yield f"We report {_join(told)}, on a scale of 0 to 100."


def _say_tests(findings: Findings) -> Iterator[str]:
    outcomes = [item.outcome for item in findings.contrasts]
    made = [found for found in outcomes if isinstance(found, Comparison) and not found.untested]
    if not made:
        return
    tests = dict.fromkeys(_TESTS[found.test] for found in made)
    pairs = sorted({found.n for found in made})
    asked = findings.results.asked
    count = f"{pairs[0]:,}" if len(pairs) == 1 else f"{pairs[0]:,} to {pairs[-1]:,}"
    yield (
        f"Methods were compared problem by problem ({count} pairs) with {_join(list(tests))}, "
        f"with 95 % bootstrap intervals over problems ({RESAMPLES:,} resamples)."
    )
    families = "all tests of the study" if asked.family == "question" else "the tests of each pair of methods"
    if asked.correction in _CORRECTIONS:
        how = _CORRECTIONS[asked.correction]
        yield f"P-values were corrected over {families} by {how} and called significant below 0.05."
    else:
        yield "P-values were not corrected for their number."


def _say_equivalence(findings: Findings) -> Iterator[str]:
    """How methods were called as good as each other, where that was tested."""
    margins = [f"{margin} of {_join(metrics)}" for margin, metrics in list_margins(findings).items()]
    if margins:
        asked = findings.results.asked
        tests = "a one-sided test" if asked.one_sided else "two one-sided tests"
        yield (
            f"Over {_OVER[asked.over]}, the mean paired difference was tested against zero and, by {tests}, against "
            f"a margin of {_join(margins)}, within which methods count as equally good."
        )


def _say_completeness(results: StudyResults) -> Iterator[str]:
    open_ = sum(not trial.finished for trial in results.trials)
    if open_:
        yield f"{open_} of {count_nouns(len(results.trials), 'trial')} had not finished."


def _say_software(results: StudyResults) -> Iterator[str]:
    known = results.provenance
    versions = [f"{name} {known[name]}" for name in _SOFTWARE if known.get(name) not in (None, "", "none")]
    if versions:
        commit = f" (commit {known['git']})" if known.get("git") not in (None, "", "unknown") else ""
        yield f"Software: {', '.join(versions)}{commit}; Python {known.get('python', 'unknown')}."
    hours = sum(stage.seconds or 0.0 for trial in results.trials for stage in trial.stages) / 3600
    if hours and known:
        yield f"All stages together took {hours:.1f} hours on {name_machine(results)}."


def name_machine(results: StudyResults) -> str:
    """The machine that a study ran on, in a few words: its GPUs, or its cores; empty where nobody wrote it down."""
    known = results.provenance
    if known.get("gpus", "none") != "none":
        return known["gpus"]
    return f"{known.get('cores', '?')} cores of {known.get('processor', 'a CPU')}" if known else ""


def _join(parts: Sequence[str]) -> str:
    """Parts as prose lists them."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


__all__ = ["describe_methods", "name_machine"]
