"""A model card for a trial's weights: what they are, how they were made, what they reached.

One decision: it is computed from the ledger, so it says of an adapter just what the report says.
"""

from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.ledger.progress import State
from orchestrator.report.collect import collect
from orchestrator.report.evidence import Evidence, gather
from orchestrator.report.scores import Measure, Score, list_metrics, score_trial, title_metric
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrackSource, TrialSpec
from tasks.prompts import system_line
from tasks.records import Track

# A host's name is nobody's business; that of the files' place is not in provenance.
_PRIVATE = ("host",)


def model_card(study: Study, trial: TrialSpec, ledger: Ledger, *, merged: bool) -> str:
    """The model card, as Markdown with the front matter that the Hugging Face hub reads."""
    sections: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _front_matter(trial, merged=merged),
        lambda: _summary(study, trial, merged=merged),
        lambda: _scores(study, trial, ledger, merged=merged),
        lambda: _use(trial, merged=merged),
        lambda: _training(trial, ledger.records_of(trial)[StageName.TRAIN]),
        lambda: _data(trial),
        lambda: _provenance(trial, ledger.records_of(trial)[StageName.TRAIN]),
    )
    return "\n\n".join("\n".join(section()) for section in sections) + "\n"


def _front_matter(trial: TrialSpec, *, merged: bool) -> Iterator[str]:
    is_adapter = trial.traits.has_adapter and not merged
    yield "---"
    if trial.model.digest is None:  # else a local folder, which the hub would look for in vain
        yield f"base_model: {trial.model.name}"
        yield f"base_model_relation: {'adapter' if is_adapter else 'finetune'}"
    yield f"library_name: {'peft' if is_adapter else 'transformers'}"
    yield "pipeline_tag: text-generation"
    yield f"tags: [code, polytune, {trial.kind}]"
    yield "---"


def _summary(study: Study, trial: TrialSpec, *, merged: bool) -> Iterator[str]:
    revision = f" at revision `{trial.model.revision}`" if trial.model.revision else ""
    yield f"# {trial.label}"
    yield ""
    yield f"Base model: `{trial.model.name}`{revision}. Method: {trial.traits.title}."
    if merged:
        yield "The adapter is merged into the base in full precision; nothing but this folder is needed."
    yield f"Tasks: {', '.join(trial.tracks)}, by one model. Made by Polytune in the study `{study.study}`."
    if study.question.text.strip():
        yield f"\n> {' '.join(study.question.text.split())}"


def _training(trial: TrialSpec, record: StageRecord) -> Iterator[str]:
    assert trial.training is not None
    settings: dict[str, Any] = {"seed": trial.seed}
    if trial.lora is not None:
        settings |= {f"lora {name}": value for name, value in trial.lora.model_dump(mode="json").items()}
    settings |= {name: value for name, value in trial.training.model_dump(mode="json").items() if value is not None}
    facts = ("steps", "best_step", "tokens", "first_loss", "last_loss", "trainable_parameters", "total_parameters")
    yield "## Training"
    yield ""
    yield "| setting | value |"
    yield "|---|---|"
    for name, value in settings.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        yield f"| {name.replace('_', ' ')} | {shown} |"
    yield ""
    yield "| outcome | value |"
    yield "|---|---|"
    for name in facts:
        value = record.facts.get(name)
        yield f"| {name.replace('_', ' ')} | {f'{value:.4f}' if isinstance(value, float) else value} |"
    yield f"| seconds | {record.seconds:.1f} |"


def _data(trial: TrialSpec) -> Iterator[str]:
    validated = bool(trial.training and trial.training.validate_every)
    roles = (("train", trial.train), ("validation", trial.validation if validated else ()), ("test", trial.test))
    yield "## Data"
    yield ""
    yield "| track | role | source | identity |"
    yield "|---|---|---|---|"
    for role, sources in roles:
        for source in sources:
            yield f"| {source.track} | {role} | {_source_name(source)} | {_identity(source)} |"


def _source_name(source: TrackSource) -> str:
    limit = f", {source.source.limit} records at most" if source.source.limit else ""
    return f"{source.source.name}, split {source.source.split}{limit}"


def _identity(source: TrackSource) -> str:
    return f"`{source.identity}`" if source.identity else "not pinned by a commit"


def _scores(study: Study, trial: TrialSpec, ledger: Ledger, *, merged: bool) -> Iterator[str]:
    """What the ledger holds of this trial, one line for each metric of each track and test set."""
    results = collect(study, [trial], ledger)
    evidence = gather(results)
    yield "## Scores"
    yield ""
    if not results.rows:
        left = (stage for stage in results.trials[0].stages if stage.state != State.DONE)
        told = [f"{stage.stage} {stage.state}{f' ({stage.cause})' if stage.cause else ''}" for stage in left]
        yield f"None: this trial is trained and not evaluated to the end: {', '.join(told)}."
        return
    if trial.traits.is_quantised:
        weights = "the adapter, not merged, on the 4-bit base that it was trained on"
        yield f"Measured with {weights}{'; this merged model was not measured' if merged else ''}.\n"
    yield "| track | test set | metric | mean, 0-100 | problems |"
    yield "|---|---|---|---|---|"
    yield from _score_rows(evidence)
    yield ""
    for cell in results.cells:
        for remark in (*cell.health_warnings, *cell.notes):
            yield f"- {cell.track}, {cell.dataset}: {remark}"


def _score_rows(evidence: Evidence) -> Iterator[str]:
    outcome = evidence.results.trials[0]
    for place in evidence.places:
        for metric in list_metrics(evidence, place):
            score = score_trial(evidence, outcome, measure=Measure(place=place, metric=metric))
            start = f"| {place.track} | {place.dataset} | {title_metric(metric)} |"
            if not isinstance(score, Score):
                yield f"{start} {score.reason or 'not measured'} | |"
                continue
            interval = f" ({score.interval.low:.1f} to {score.interval.high:.1f})" if score.interval else ""
            yield f"{start} {score.value:.1f}{interval} | {len(score.per_problem)} of {score.problems} |"


def _use(trial: TrialSpec, *, merged: bool) -> Iterator[str]:
    """Code that runs in this folder as it stands."""
    yield "## Use"
    yield ""
    yield "```python"
    yield "import torch"
    yield from _load_lines(trial, merged=merged)
    yield 'tokenizer = AutoTokenizer.from_pretrained(".")'
    yield f'messages = [{{"role": "system", "content": "{system_line(Track.parse(trial.tracks[0]))}"}},'
    yield '            {"role": "user", "content": "..."}]'
    yield "inputs = tokenizer.apply_chat_template("
    yield '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")'
    yield "outputs = model.generate(**inputs.to(model.device), max_new_tokens=200, do_sample=False)"
    yield 'print(tokenizer.decode(outputs[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))'
    yield "```"
    yield ""
    yield "The system line says what is asked; it was trained with these:"
    yield ""
    for track in trial.tracks:
        yield f"- {track}: `{system_line(Track.parse(track))}`"


def _load_lines(trial: TrialSpec, *, merged: bool) -> Iterator[str]:
    if trial.traits.has_own_weights or merged:
        yield "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        yield 'model = AutoModelForCausalLM.from_pretrained(".", dtype="auto")'
        return
    quantised = trial.traits.is_quantised
    yield "from peft import PeftModel"
    yield f"from transformers import AutoModelForCausalLM, AutoTokenizer{', BitsAndBytesConfig' if quantised else ''}"
    name, options = f'"{trial.model.name}"', f', revision="{trial.model.revision}"' if trial.model.revision else ""
    if trial.model.name.startswith("builtin:"):
        yield "from models.locations import location_of"
        yield "from models.spec import ModelSpec"
        name = f'location_of(ModelSpec(name="{trial.model.name}"))'
    yield ""
    if quantised:
        yield 'nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,'
        yield "                         bnb_4bit_compute_dtype=torch.bfloat16)"
        options += ", quantization_config=nf4"
    yield f"base = AutoModelForCausalLM.from_pretrained({name}, dtype=torch.bfloat16{options})"
    yield 'model = PeftModel.from_pretrained(base, ".")'


def _provenance(trial: TrialSpec, record: StageRecord) -> Iterator[str]:
    yield "## Provenance"
    yield ""
    yield "| what | value |"
    yield "|---|---|"
    if trial.model.digest:
        yield f"| base model's files, sha256 | `{trial.model.digest}` |"
    yield f"| training stage | `{record.key}` |"
    yield f"| its weights, sha256 | `{record.output_digest}` |"
    for name, value in record.provenance.items():
        if name not in _PRIVATE:
            yield f"| {name} | {value} |"


__all__ = ["model_card"]
