"""The records that every room shares: tracks, training examples, evaluation problems and their tests.

One decision: a problem carries its tests as plain data (`CallTests`: arguments and expected values,
the same in every language) wherever that can be said, and as code (`CodeTests`) only where a data
set gives nothing else. Plain data can be judged outside the process that runs generated code.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator


class Record(BaseModel):
    """Base of all that touches disk: immutable, and refusing fields that it does not know.

    A field that is added to a record which decides a stage's key carries `json_schema_extra={"since": N}`, N the
    version of study files that knows it first. Its default is neutral: a record that holds it is what it was before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


# What PyTorch's generators take.
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Settings(Record):
    """Base of what people write in study files: numbers are finite, and true is no number."""

    model_config = ConfigDict(allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any) -> Any:
        for name, info in cls.model_fields.items() if isinstance(value, dict) else ():
            if isinstance(value.get(name), bool) and _is_number(info.annotation):
                raise ValueError(f"{name} is a number, got {str(value[name]).lower()}; write the number")
        return value


def _is_number(annotation: Any) -> bool:
    """Whether a field holds a number and never a truth value."""
    kinds = {annotation, *get_args(annotation)}
    return bool(kinds & {int, float}) and bool not in kinds


def is_neutral(record: BaseModel, field: str) -> bool:
    """Whether a field was added later and holds its default, so that identity leaves it out."""
    info = type(record).model_fields[field]
    extra = info.json_schema_extra
    return isinstance(extra, dict) and "since" in extra and getattr(record, field) == info.get_default()


def neutral_fields(record: BaseModel) -> dict[str, Any]:
    """What identity leaves out of a record and of records in it, as pydantic's `exclude` takes it."""
    found: dict[str, Any] = {}
    for field in type(record).model_fields:
        value = getattr(record, field)
        if is_neutral(record, field):
            found[field] = True
        elif isinstance(value, BaseModel) and (inner := neutral_fields(value)):
            found[field] = inner
    return found


class Task(StrEnum):
    """What a model is asked to do."""

    GENERATION = "generation"
    TRANSLATION = "translation"
    SUMMARIZATION = "summarization"


class Language(StrEnum):
    """A programming language that Polytune can prompt for, run and analyse."""

    PYTHON = "python"
    JAVA = "java"
    CSHARP = "csharp"

    @property
    def title(self) -> str:  # type: ignore[override]
        """The name as prose writes it, for prompts and tables."""
        return {"python": "Python", "java": "Java", "csharp": "C#"}[self.value]


class Track(Record):
    """A task in one language or direction, written `generation/python` or `translation/java-csharp`.

    `source` is the language that the model reads (None for generation, which reads prose) and
    `target` the one that it writes (None for summarization, which writes prose).
    """

    task: Task
    source: Language | None = None
    target: Language | None = None

    @classmethod
    def parse(cls, text: str) -> "Track":
        """Read a track as studies write it.

        Raises:
            ValueError: if the task or a language is unknown, or translation names no pair.
        """
        task_name, _, rest = text.partition("/")
        known = ", ".join(str(track) for track in BUILTIN_TRACKS)
        try:
            task = Task(task_name)
            languages = tuple(Language(part) for part in rest.split("-"))
        except ValueError:
            raise ValueError(f"unknown track {text!r}; a track reads like one of: {known}") from None
        if task is Task.TRANSLATION:
            if len(languages) != 2 or languages[0] == languages[1]:
                raise ValueError(f"track {text!r} needs two different languages, as in translation/java-csharp")
            return cls(task=task, source=languages[0], target=languages[1])
        if len(languages) != 1:
            raise ValueError(f"track {text!r} needs exactly one language, as in {task}/python")
        if task is Task.GENERATION:
            return cls(task=task, target=languages[0])
        return cls(task=task, source=languages[0])

    def __str__(self) -> str:
        return f"{self.task}/{'-'.join(lang for lang in (self.source, self.target) if lang is not None)}"

    @property
    def writes_code(self) -> bool:
        """Whether an output of this track is code, which can be parsed and perhaps run."""
        return self.target is not None


BUILTIN_TRACKS = (
    Track(task=Task.GENERATION, target=Language.PYTHON),
    Track(task=Task.GENERATION, target=Language.JAVA),
    Track(task=Task.TRANSLATION, source=Language.JAVA, target=Language.CSHARP),
    Track(task=Task.TRANSLATION, source=Language.CSHARP, target=Language.JAVA),
    Track(task=Task.SUMMARIZATION, source=Language.PYTHON),
    Track(task=Task.SUMMARIZATION, source=Language.JAVA),
)

ValueType = Literal["int", "float", "bool", "str", "list[int]", "list[float]", "list[str]"]


class Parameter(Record):
    """One parameter of a function under test."""

    name: str
    type: ValueType


class Case(Record):
    """One call and the value that it must return, as plain JSON data."""

    arguments: tuple[JsonValue, ...]
    expected: JsonValue


class CallTests(Record):
    """Tests said as data: call `entry_point` with each case's arguments, compare what it returns.

    For Java and C# the entry point is a static method, and a completion may be a bare method or a
    whole class that holds it.
    """

    kind: Literal["calls"] = "calls"
    entry_point: str
    parameters: tuple[Parameter, ...]
    returns: ValueType
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


class CodeTests(Record):
    """Tests that a data set gives as code in the problem's target language.

    `setup` runs before the tests and after the candidate (MBPP's order: code, set-up, tests). In Java
    and C#, `code` is what follows the program in one file. Where they run is the sandbox's choice,
    made from the problem alone.

    `each_call` says that the limits of time hold for each call of the function under test, as EvalPlus has it,
    and a multiple of what the reference takes for all calls together. Python code may keep what is the same for
    every program of the problem in the dict `__kept__`, where it runs apart.
    """

    kind: Literal["code"] = "code"
    entry_point: str | None = None
    setup: str = ""
    code: str
    each_call: bool = False


Tests = Annotated[CallTests | CodeTests, Field(discriminator="kind")]


class Example(Record):
    """A training pair: what the model reads and what it should write, without any prompt wording."""

    id: str
    track: str
    input: str
    output: str

    @field_validator("track")
    @classmethod
    def _track_is_known(cls, value: str) -> str:
        return str(Track.parse(value))

    @property
    def parsed_track(self) -> Track:
        """The track as a record, for code that asks for its languages."""
        return Track.parse(self.track)


class Problem(Record):
    """An evaluation item.

    `dataset` names where it comes from, so that two test sets of one track are never mixed in a
    table. `preamble` is code that comes before a completion when it is run or parsed (HumanEval's
    imports and signature): a completion may follow on from it or repeat it. `reference` is the data
    set's own answer.
    """

    id: str
    track: str
    dataset: str
    input: str
    reference: str
    preamble: str = ""
    tests: Tests | None = None

    @field_validator("track")
    @classmethod
    def _track_is_known(cls, value: str) -> str:
        return str(Track.parse(value))

    @property
    def parsed_track(self) -> Track:
        """The track as a record, for code that asks for its languages."""
        return Track.parse(self.track)


class Completion(Record):
    """What a model wrote for one problem, exactly as decoded, and why it stopped.

    `sample` counts from 0 within its problem. `prompt_tokens` and `new_tokens` are counts of the
    model's own tokens. `finish` is `stop` where the model or a stop string ended it, `answered` where
    the answer was whole and the model went on with something else, `length` at the limit of tokens,
    and `skipped` when the prompt leaves no room in the model's context.
    """

    problem_id: str
    track: str
    dataset: str
    sample: int = 0
    text: str
    finish: Literal["stop", "answered", "length", "skipped"]
    prompt_tokens: int
    new_tokens: int


VerdictName = Literal[
    "passed",
    "wrong_answer",
    "exception",
    "compile_error",
    "timeout",
    "memory",
    "output_limit",
    "forbidden",
    "unjudged",
]


class UnjudgedReason(StrEnum):
    """Why a completion has no verdict.

    `toolchain_missing`: the language's compiler or runtime is not installed here. `toolchain_too_old`: the program
    is one of the language as it is today, and the compiler installed here is older. `language_not_run`: Polytune
    runs no programs in the language. `harness_fault`: what runs programs failed twice. `only_waited`: the
    program used up its wall time without using its CPU time, twice. `unsayable`: an argument of the problem's
    tests cannot be said in the language. `no_tests`: the problem has none. `needs_project`: the tests run in
    the data set's own project environments alone.
    """

    TOOLCHAIN_MISSING = "toolchain_missing"
    TOOLCHAIN_TOO_OLD = "toolchain_too_old"
    LANGUAGE_NOT_RUN = "language_not_run"
    HARNESS_FAULT = "harness_fault"
    ONLY_WAITED = "only_waited"
    UNSAYABLE = "unsayable"
    NO_TESTS = "no_tests"
    NEEDS_PROJECT = "needs_project"


class Verdict(Record):
    """What running one completion showed.

    `unjudged` says that this machine could not tell; `reason` is then why, and `detail` says it in words with
    the remedy. `reason` is None for every other verdict, and on lines written before there were reasons
    (`reason_in_words` reads those). `strength` is `apart` when the expected answers were never
    in the candidate's process, and `none` where nothing ran. `isolation` is the class that the process
    was confined by, None where none was started. Times are seconds.
    """

    task_id: str
    sample: int = 0
    verdict: VerdictName
    detail: str = ""
    reason: UnjudgedReason | None = None
    strength: Literal["apart", "in-process", "none"] = "apart"
    isolation: Literal["strict", "landlock", "none"] | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @model_validator(mode="after")
    def _reason_is_of_what_is_unjudged(self) -> Self:
        if self.reason is not None and self.verdict != "unjudged":
            raise ValueError(f"reason {self.reason} is for unjudged verdicts alone, got verdict {self.verdict}")
        return self


# In the order in which they are looked for; each is all or the beginning of what one place once worded.
_REASONS_IN_WORDS: tuple[tuple[re.Pattern[str], UnjudgedReason], ...] = (
    (re.compile(r"not judged: the harness failed"), UnjudgedReason.HARNESS_FAULT),
    (re.compile(r"not judged: no [^;]*; install "), UnjudgedReason.TOOLCHAIN_MISSING),
    (re.compile(r"not judged: the problem has no tests"), UnjudgedReason.NO_TESTS),
    (re.compile(r"not judged: needs CoderEval's project"), UnjudgedReason.NEEDS_PROJECT),
    (re.compile(r"not judged: .*; the problem's tests need changing$", re.DOTALL), UnjudgedReason.UNSAYABLE),
    (re.compile(r".* not finished after [\d.e+]+ s of wall time ", re.DOTALL), UnjudgedReason.ONLY_WAITED),
)


def reason_in_words(detail: str) -> UnjudgedReason | None:
    """The reason that the words of an unjudged verdict give, for verdicts written before they had one.

    Only a reader of old records has a use for it. None where the words are none of ours.
    """
    return next((reason for words, reason in _REASONS_IN_WORDS if words.match(detail)), None)


__all__ = [
    "BUILTIN_TRACKS",
    "CallTests",
    "Case",
    "CodeTests",
    "Completion",
    "Example",
    "Language",
    "Parameter",
    "Problem",
    "Record",
    "Seed",
    "Settings",
    "Task",
    "Tests",
    "Track",
    "UnjudgedReason",
    "ValueType",
    "Verdict",
    "VerdictName",
    "is_neutral",
    "neutral_fields",
    "reason_in_words",
]
