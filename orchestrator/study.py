"""The study file's schema.

One decision: the file is first made plain (short forms written out, defaults filled in, `--set`
applied) and then validated once by frozen pydantic models. What runs, and what is stored under the
study's name, is the plain form, so a study means the same wherever it came from.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from evaluators.generation import GenerationSettings
from evaluators.sandbox.records import Limits
from orchestrator.space import Search, fit, with_values
from tasks.readers import Source
from tasks.records import Record, Task, Track
from trainers.spec import LoraSettings, MethodKind, ModelSpec, TrainingSettings

ROLES = ("train", "validation", "test")


def _known(track: str) -> str:
    Track.parse(track)
    return track


# Checked by key, so that each unknown track is a fault of its own with its own line.
_TrackName = Annotated[str, AfterValidator(_known)]


class TaskData(Record):
    """The data of one track: examples to train on, examples to validate on, problems to test on."""

    train: tuple[Source, ...] = ()
    validation: tuple[Source, ...] = ()
    test: tuple[Source, ...] = Field(min_length=1)


class Method(Record):
    """How a model is adapted: one model for all tasks (`together`) or one for each (`apart`)."""

    kind: MethodKind
    grouping: Literal["together", "apart"] = "together"
    lora: LoraSettings | None = None
    training: TrainingSettings | None = None
    search: Search | None = None

    @model_validator(mode="after")
    def _search_suits_the_method(self) -> "Method":
        if self.search is None:
            return self
        if self.training is None:
            raise ValueError("a search tunes a training; leave search out, or use another kind than frozen")
        if self.training.validate_every is None:
            raise ValueError("a search is decided on validation data; set training.validate_every")
        if self.search.metric == "validation/similarity" and self.training.select_by != "similarity":
            raise ValueError("search.metric validation/similarity needs training.select_by: similarity")
        if self.kind == "full" and self.search.algorithm == "asha":
            raise ValueError("asha follows a training in one process; use algorithm: random with kind: full")
        if self.kind == "full" and any(key.startswith("lora.") for key in self.search.space):
            raise ValueError("full fine-tuning trains all weights; leave lora out of search.space")
        for key, entry in self.search.space.items():
            for value in entry.extremes():
                try:
                    with_values(self.training, self.lora, {key: fit(key, value)})
                except ValidationError as error:
                    raise ValueError(f"search.space.{key}: {error.errors()[0]['msg']}, got {value!r}") from None
        return self

    @model_validator(mode="after")
    def _settings_suit_the_kind(self) -> "Method":
        if self.kind == "frozen":
            if self.lora or self.training:
                raise ValueError("a frozen model is not trained; leave lora and training out")
            if self.grouping == "apart":
                raise ValueError("a frozen model is the same for every task; leave grouping out")
        elif self.training is None:
            raise ValueError(f"{self.kind} needs training settings, here or in the study's own training block")
        if self.kind == "full" and self.lora:
            raise ValueError("full fine-tuning trains all weights; leave lora out, or use kind: lora")
        return self


class DataSettings(Record):
    """Where local data lies and how much of each source is taken unless it says so itself."""

    root: str = "."
    train_limit: int | None = Field(default=None, ge=1)
    validation_limit: int | None = Field(default=None, ge=1)
    test_limit: int | None = Field(default=None, ge=1)


class Evaluation(Record):
    """What is asked of the trained models and how it is judged."""

    generation: GenerationSettings = GenerationSettings()
    limits: Limits = Limits()
    quality: bool = True


class Resources(Record):
    """Where and how it runs; nothing here is meant to change a number.

    Counts are by trial: `trial_cpus` and `trial_gpus` for each training process, `full_workers`
    processes for a full fine-tuning. `generators` tasks at once write completions, each on
    `generator_cpus` and `generator_gpus`. `address`, or the environment's `RAY_ADDRESS`, joins a
    running Ray cluster. A training process that
    would take more than `trial_memory_mb` of host memory fails for want of it, instead of having its node killed.

    `price_per_hour` is in USD for one GPU, or for one core in a study without GPUs. `device_memory_gib`
    is the memory of the largest GPU, or of the largest machine in a study without GPUs; it is looked up
    where it can be. `checkpoints_gib` is how much the weights of all trainings in the storage may take together:
    no training begins that would pass it.
    """

    address: str | None = None
    trial_cpus: int = Field(default=1, ge=1)
    trial_gpus: float = Field(default=0.0, ge=0)
    trial_memory_mb: int | None = Field(default=None, ge=1)
    full_workers: int = Field(default=1, ge=1)
    micro_batch: int = Field(default=16, ge=1)
    zero_stage: Literal[0, 1, 2, 3] = 2
    gradient_checkpointing: bool = False
    generators: int = Field(default=1, ge=1)
    generator_cpus: int = Field(default=1, ge=1)
    generator_gpus: float = Field(default=0.0, ge=0)
    generation_batch: int = Field(default=32, ge=1)
    object_store_mb: int = Field(default=256, ge=80)
    price_per_hour: float | None = Field(default=None, ge=0)
    device_memory_gib: float | None = Field(default=None, gt=0)
    checkpoints_gib: float | None = Field(default=None, gt=0)


class Study(Record):
    """One question: models x methods x tasks x seeds, with training and evaluation settings."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    question: str = ""
    storage: str = "runs"
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    data: DataSettings = DataSettings()
    tasks: dict[_TrackName, TaskData] = Field(min_length=1)
    methods: dict[str, Method] = Field(min_length=1)
    evaluation: Evaluation = Evaluation()
    resources: Resources = Resources()

    @field_validator("models")
    @classmethod
    def _models_have_names_of_their_own(cls, value: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        by_name: dict[str, list[str]] = {}
        for model in value:
            by_name.setdefault(short_name(model), []).append(model.name)
        for name, models in by_name.items():
            if len(models) > 1:
                raise ValueError(
                    f"trials go by the last part of their model's name, and {name} would mean {' and '.join(models)}; "
                    "name each model once, and put models of one name into two studies"
                )
        return value

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"{list(value)} holds a seed twice, which would be one trial; name each seed once")
        return value

    @model_validator(mode="after")
    def _trained_methods_have_data(self) -> "Study":
        trained = [name for name, method in self.methods.items() if method.kind != "frozen"]
        bare = [track for track, data in self.tasks.items() if not data.train]
        if trained and bare:
            raise ValueError(f"no training data for {', '.join(bare)}, which {', '.join(trained)} would train on")
        for name, method in self.methods.items():
            unvalidated = [track for track, data in self.tasks.items() if not data.validation]
            if method.training and method.training.validate_every and unvalidated:
                raise ValueError(
                    f"methods.{name} validates every {method.training.validate_every} steps, but "
                    f"{', '.join(unvalidated)} has no validation data"
                )
        return self

    def tracks_of(self, task: Task) -> tuple[str, ...]:
        """The study's tracks of one task, in the file's order."""
        return tuple(track for track in self.tasks if Track.parse(track).task is task)


def short_name(model: ModelSpec) -> str:
    """What people call a model in a trial's name: the last part of its id or path."""
    return model.name.removeprefix("builtin:").rsplit("/", 1)[-1]


def plain_form(raw: dict[str, Any]) -> dict[str, Any]:
    """Write out a file's short forms: model names, source names, shared training settings, limits.

    Values of a wrong type are passed on as they are, for validation to name.
    """
    plain = {key: value for key, value in raw.items() if key not in ("training", "lora")}
    if isinstance(raw.get("models"), list):
        plain["models"] = [{"name": model} if isinstance(model, str) else model for model in raw["models"]]
    data = raw.get("data") if isinstance(raw.get("data"), dict) else {}
    if isinstance(raw.get("tasks"), dict):
        plain["tasks"] = {str(track): _plain_task(entry, data or {}) for track, entry in raw["tasks"].items()}
    if isinstance(raw.get("methods"), dict):
        plain["methods"] = {str(name): _plain_method(entry, raw) for name, entry in raw["methods"].items()}
    return plain


def _plain_task(entry: Any, data: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {
        role: _plain_sources(value, role=role, limit=data.get(f"{role}_limit")) if role in ROLES else value
        for role, value in entry.items()
    }


def _plain_sources(value: Any, *, role: str, limit: Any) -> Any:
    sources = value if isinstance(value, list) else [value]
    plain = []
    for source in sources:
        source = {"reader": source} if isinstance(source, str) else source
        if isinstance(source, dict):
            source = {"split": role, **({"limit": limit} if limit is not None else {}), **source}
        plain.append(source)
    return plain


def _plain_method(entry: Any, raw: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    plain = dict(entry)
    if entry.get("kind") in ("lora", "qlora", "full"):
        plain["training"] = _merged(raw.get("training"), entry.get("training"))
    if entry.get("kind") in ("lora", "qlora"):
        plain["lora"] = _merged(raw.get("lora"), entry.get("lora")) or {}
    if isinstance(entry.get("search"), dict):
        plain["search"] = _plain_search(entry["search"], plain)
    return plain


def _plain_search(search: dict[str, Any], method: dict[str, Any]) -> dict[str, Any]:
    """A search with a word on each setting that the study fixes besides; validation refuses those."""
    if not isinstance(search.get("space"), dict):
        return search
    space = dict(search["space"])
    for key, entry in space.items():
        room, _, name = str(key).partition(".")
        block = method.get(room)
        if isinstance(block, dict) and name in block and isinstance(entry, dict):
            space[key] = {**entry, "fixed": block[name]}
    return {**search, "space": space}


def stored_form(study: Study) -> dict[str, Any]:
    """A study as it is kept under its name: what a search looks for has no other value there."""
    plain: dict[str, Any] = study.model_dump(mode="json")
    for method in plain["methods"].values():
        if method["search"] is None:
            continue
        method["search"]["chosen"] = {}
        for key in method["search"]["space"]:
            room, _, name = key.partition(".")
            if method[room] is not None:
                method[room].pop(name)
    return plain


def _merged(shared: Any, own: Any) -> Any:
    """A method's own settings over the shared ones; what is no mapping is left for validation to name."""
    for block in (own, shared):
        if block is not None and not isinstance(block, dict):
            return block
    if shared is None or own is None:
        return shared if own is None else own
    merged = {**shared, **own}
    if own.keys() & {"epochs", "max_steps"}:
        # A method that says how long replaces the shared wording of it, whichever that is.
        merged = {key: value for key, value in merged.items() if key in own or key not in ("epochs", "max_steps")}
    return merged


def validate(raw: dict[str, Any]) -> Study:
    """The study that a plain form describes.

    Raises:
        ValidationError: with every fault found.
    """
    return Study.model_validate(raw)


__all__ = [
    "DataSettings",
    "Evaluation",
    "Method",
    "Resources",
    "Study",
    "TaskData",
    "ValidationError",
    "plain_form",
    "short_name",
    "stored_form",
    "validate",
]
