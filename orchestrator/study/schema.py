"""The study file's schema.

One decision: the file is first made plain (short forms written out, defaults filled in, `--set`
applied) and then validated once by frozen pydantic models. What runs, and what is stored under the
study's name, is the plain form, so a study means the same wherever it came from.
"""

from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, field_validator, model_validator

from evaluators.generation.settings import EngineName, GenerationSettings
from evaluators.sandbox.records import Limits
from evaluators.similarity import faults_for_studies
from models.spec import ModelSpec
from orchestrator.study.question import Question
from orchestrator.study.resources import Resources
from orchestrator.study.space import Search, fit, with_values
from tasks.readers import Source
from tasks.records import Seed, Settings, Task, Track
from trainers.methods.table import MethodKind, MethodTraits, traits_of
from trainers.spec import LoraSettings, TrainingSettings

# Names become names of folders, of which file systems take 255 bytes.
LONGEST_NAME = 100
# Where studies go that say nothing of it, beside whatever is run from the same folder.
DEFAULT_STORAGE = "runs"


def _known(track: str) -> str:
    Track.parse(track)
    return track


def _short_enough(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a method's name has 1 to {LONGEST_NAME} printable characters, got {len(name)}")
    return name


_MethodName = Annotated[str, AfterValidator(_short_enough)]
# Checked by key, so that each unknown track is a fault of its own with its own line.
_TrackName = Annotated[str, AfterValidator(_known)]


class TaskData(Settings):
    """The data of one track. Each role takes a source or a list of sources."""

    train: tuple[Source, ...] = Field(default=(), examples=["micro", [{"reader": "mbpp", "path": "mbpp"}]])
    """Examples to train on. A study with a method that trains needs them."""

    validation: tuple[Source, ...] = Field(default=(), examples=["micro"])
    """Examples to validate on while training."""

    test: tuple[Source, ...] = Field(min_length=1, examples=["micro"])
    """Problems to test on."""


class Method(Settings):
    """How a model is adapted."""

    kind: MethodKind = Field(examples=["qlora"])
    """`frozen` is the base as it is; `lora` trains adapters; `qlora` trains them on the base in 4 bits; `full` trains
    all weights (DeepSpeed)."""

    grouping: Literal["together", "apart"] = "together"
    """One model for all tasks (`together`) or one for each (`apart`)."""

    lora: LoraSettings | None = Field(default=None, examples=[{"rank": 16}])
    """Adapter settings of this method; those that it leaves out are the study's own."""

    training: TrainingSettings | None = Field(default=None, examples=[{"learning_rate": 1e-3}])
    """Training settings of this method; those that it leaves out are the study's own."""

    search: Search | None = Field(
        default=None,
        examples=[{"algorithm": "asha", "num_trials": 9, "space": {"lora.rank": {"choice": [8, 16]}}}],
    )
    """A search for the best settings before the test split is looked at."""

    @property
    def traits(self) -> MethodTraits:
        """What is true of its kind."""
        return traits_of(self.kind)

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
        if self.traits.in_many_processes and self.search.algorithm == "asha":
            raise ValueError(f"asha follows a training in one process; use algorithm: random with kind: {self.kind}")
        if self.traits.has_own_weights and any(key.startswith("lora.") for key in self.search.space):
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
        if not self.traits.is_trained:
            if self.lora or self.training:
                raise ValueError("a frozen model is not trained; leave lora and training out")
            if self.grouping == "apart":
                raise ValueError("a frozen model is the same for every task; leave grouping out")
        elif self.training is None:
            raise ValueError(f"{self.kind} needs training settings, here or in the study's own training block")
        if self.traits.has_own_weights and self.lora:
            raise ValueError("full fine-tuning trains all weights; leave lora out, or use kind: lora")
        if self.lora and (why := self.lora.unfit_for(self.kind)):
            raise ValueError(why)
        return self


class DataSettings(Settings):
    """Where local data lies and how much of each source is taken unless it says so itself."""

    root: str = Field(default=".", examples=["../data"])
    """Folder that the paths of sources are relative to, itself relative to the working directory."""

    train_limit: int | None = Field(default=None, ge=1, examples=[300])
    """Records of each training source that names no `limit`."""

    validation_limit: int | None = Field(default=None, ge=1, examples=[16])
    """Records of each validation source that names no `limit`."""

    test_limit: int | None = Field(default=None, ge=1, examples=[100])
    """Records of each test source that names no `limit`."""


class Evaluation(Settings):
    """What is asked of the trained models and how it is judged."""

    generation: GenerationSettings = Field(default=GenerationSettings(), examples=[{"max_new_tokens": 160}])
    """How completions are decoded."""

    limits: Limits = Field(default=Limits(), examples=[{"cpu_s": 10}])
    """What a generated program may use while it is run."""

    quality: bool = True
    """Whether the quality of generated code is measured, by static analysis."""

    metrics: tuple[str, ...] | None = Field(
        default=None, examples=[["codebleu", "chrf"]], json_schema_extra={"since": 2}
    )
    """Similarity metrics, each where it applies. Without it, the usual ones of each track."""


class Study(Settings):
    """One question: every model by every method on every task with every seed."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME, examples=["quickstart"])
    """Name of the study, by which commands find it once it was run."""

    question: Question = Field(
        default=Question(),
        examples=[{"text": "Is one adapter as good as one for each task?", "compare": [["together", "apart"]]}],
    )
    """What the study asks, and what would answer it; a text alone is its `text`."""

    storage: str = Field(default=DEFAULT_STORAGE, examples=["s3://BUCKET/PREFIX"])
    """Where the ledger lies: a folder that all nodes see, or a bucket (`s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`).
    Studies of one storage share what they have in common."""

    models: tuple[ModelSpec, ...] = Field(min_length=1, examples=[["builtin:micro"]])
    """Base models, each a name or a block. The last parts of their names differ."""

    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1, examples=[[0, 1, 2]])
    """Seeds; every cell is run once with each. They decide the order of examples, dropout and an adapter's first
    weights."""

    data: DataSettings = Field(default=DataSettings(), examples=[{"root": "../data", "train_limit": 300}])
    """Where local data lies and how much of it is taken."""

    tasks: dict[_TrackName, TaskData] = Field(
        min_length=1, examples=[{"generation/python": {"train": "micro", "validation": "micro", "test": "micro"}}]
    )
    """The data of each track. A track is a task in one language or direction."""

    methods: dict[_MethodName, Method] = Field(
        min_length=1, examples=[{"frozen": {"kind": "frozen"}, "qlora": {"kind": "qlora"}}]
    )
    """The methods to compare, by names of your own."""

    evaluation: Evaluation = Field(default=Evaluation(), examples=[{"generation": {"max_new_tokens": 160}}])
    """What is asked of the trained models and how it is judged."""

    resources: Resources = Field(default=Resources(), examples=[{"trial_gpus": 1, "generators": 2}])
    """Where and how the study runs."""

    _replaced: tuple[str, ...] = PrivateAttr(default=())
    _engine_note: str = PrivateAttr(default="")

    @property
    def replaced(self) -> tuple[str, ...]:
        """What a stored study says that is no setting any more, with what took its place; such a study is not run."""
        return self._replaced

    @property
    def engine_note(self) -> str:
        """What `generation.engine: auto` came to, and why; empty where the study names an engine."""
        return self._engine_note

    def with_engine(self, engine: EngineName, *, note: str) -> "Study":
        """The same study with an engine in place of `auto`, and what is to be said of it."""
        generation = self.evaluation.generation.model_copy(update={"engine": engine})
        found = self.model_copy(update={"evaluation": self.evaluation.model_copy(update={"generation": generation})})
        found._engine_note = note
        return found

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
        trained = [name for name, method in self.methods.items() if method.traits.is_trained]
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

    @model_validator(mode="after")
    def _metrics_apply(self) -> "Study":
        if self.evaluation.metrics is not None:
            tracks = [Track.parse(track) for track in self.tasks]
            faults = faults_for_studies(self.evaluation.metrics, tracks=tracks)
            if faults:
                raise ValueError(f"evaluation.metrics: {'; '.join(faults)}")
        return self

    def tracks_of(self, task: Task) -> tuple[str, ...]:
        """The study's tracks of one task, in the file's order."""
        return tuple(track for track in self.tasks if Track.parse(track).task is task)


def short_name(model: ModelSpec) -> str:
    """What people call a model in a trial's name: the last part of its id or path."""
    name = model.name.removeprefix("builtin:").rstrip("/")
    return PurePath(name).name or Path(model.name).resolve().name


def validate(raw: dict[str, Any]) -> Study:
    """The study that a plain form describes.

    Raises:
        ValidationError: with every fault found.
    """
    return Study.model_validate(raw)


__all__ = [
    "DEFAULT_STORAGE",
    "DataSettings",
    "Evaluation",
    "Method",
    "Study",
    "TaskData",
    "ValidationError",
    "short_name",
    "validate",
]
