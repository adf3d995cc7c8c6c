"""One program of the built-in suite: a description and the same function in three languages.

One decision: a program's *composition* is its family and the ordered kinds of its steps, without
constants and names. Splits are drawn over compositions, so a test program's composition was never
seen in training, in whatever constants or wording.
"""

import dataclasses
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.records import Language, Parameter, ValueType


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One building block: wording and code for it, with `{k}` where its constant goes.

    `code` holds a fragment for each language; what a fragment is (an expression, a statement, a
    stream call) is decided by the family that owns the step.
    """

    kind: str
    phrases: tuple[str, ...]
    code: dict[Language, str] = field(hash=False)
    constants: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A step with its constant chosen."""

    step: Step
    k: int | str | None = None

    @property
    def kind(self) -> str:
        """The step's kind: what a composition is made of."""
        return self.step.kind

    def fragment(self, language: Language) -> str:
        """The step's code with its constant in place."""
        return self.step.code[language].replace("{k}", str(self.k))

    def phrase(self, rng: random.Random | None) -> str:
        """The step's wording; the first variant when `rng` is None."""
        chosen = self.step.phrases[0] if rng is None else rng.choice(self.step.phrases)
        return chosen.replace("{k}", str(self.k))


def draw(rng: random.Random, steps: tuple[Step, ...]) -> Drawn:
    """Choose a step and, where it has one, its constant."""
    step = rng.choice(steps)
    return Drawn(step=step, k=rng.choice(step.constants) if step.constants else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A function in three languages with its description.

    `describe` words it: with a random source it paraphrases, with None it gives the plain wording
    that serves as the reference summary. `sample_input` draws one tuple of arguments.
    """

    family: str
    kinds: tuple[str, ...]
    name: str
    parameters: tuple[Parameter, ...]
    returns: ValueType
    code: dict[Language, str] = field(hash=False)
    describe: Callable[[random.Random | None], str]
    sample_input: Callable[[random.Random], tuple[object, ...]]

    @property
    def composition(self) -> str:
        """Family and kinds of steps, as one string: the unit of splitting."""
        return ":".join((self.family, *self.kinds))

    @property
    def split(self) -> str:
        """The split that this program's composition belongs to: 8 of 10 train, 1 validation, 1 test."""
        bucket = int(hashlib.sha256(self.composition.encode()).hexdigest()[:8], 16) % 10
        return {0: "test", 1: "validation"}.get(bucket, "train")

    def renamed(self, name: str) -> "Program":
        """The same program under another function name."""
        code = {language: text.replace(f"{self.name}(", f"{name}(", 1) for language, text in self.code.items()}
        return dataclasses.replace(self, name=name, code=code)

    def signature(self, language: Language) -> str:
        """The first line of the function in `language`, as prompts show it."""
        return self.code[language].split("\n", 1)[0].removesuffix("{").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a language spells what all programs of the suite share.

    `head` begins a function, with `{returns}`, `{name}` and `{parameters}` in it; `parameter` is one of these,
    with `{type}` and `{name}`. `types` are the declared types, empty where none are declared. `test` begins a
    guarded statement, with its condition as `{c}`. `close` are the lines that end a block, `end` what ends a
    statement, `comment` what begins a remark.
    """

    head: str
    parameter: str
    types: dict[ValueType, str] = field(hash=False)
    test: str
    close: tuple[str, ...]
    end: str
    comment: str


SPELLINGS: dict[Language, Spelling] = {
    Language.PYTHON: Spelling(
        head="def {name}({parameters}):", parameter="{name}", types={}, test="if {c}:", close=(), end="", comment="#"
    ),
    Language.JAVA: Spelling(
        head="static {returns} {name}({parameters}) {",
        parameter="{type} {name}",
        types={
            "int": "int",
            "bool": "boolean",
            "str": "String",
            "list[int]": "List<Integer>",
            "list[str]": "List<String>",
        },
        test="if ({c}) {",
        close=("}",),
        end=";",
        comment="//",
    ),
    Language.CSHARP: Spelling(
        head="public static {returns} {name}({parameters}) {",
        parameter="{type} {name}",
        types={
            "int": "int",
            "bool": "bool",
            "str": "string",
            "list[int]": "List<int>",
            "list[str]": "List<string>",
        },
        test="if ({c}) {",
        close=("}",),
        end=";",
        comment="//",
    ),
}
WRITTEN: tuple[Language, ...] = tuple(SPELLINGS)
"""The languages of the suite. Those that Polytune knows besides change no program of it."""


def function(
    language: Language, *, name: str, parameters: tuple[Parameter, ...], returns: ValueType, body: list[str]
) -> str:
    """A whole function: a `def` in Python, a static method in Java and C#, four spaces an indent."""
    spelling = SPELLINGS[language]
    listed = ", ".join(
        spelling.parameter.replace("{type}", spelling.types.get(p.type, "")).replace("{name}", p.name)
        for p in parameters
    )
    head = spelling.head.replace("{returns}", spelling.types.get(returns, ""))
    head = head.replace("{name}", name).replace("{parameters}", listed)
    return "\n".join(block(language, head, body))


def block(language: Language, head: str, inner: list[str]) -> list[str]:
    """The lines of a block: its head, what it holds, and what ends it."""
    return [head, *(f"    {line}" for line in inner), *SPELLINGS[language].close]


def listed(phrases: list[str], *, last: str = "and") -> str:
    """`a, b and c`, as prose lists things."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} {last} {phrases[-1]}"


def recipe(subject: str, steps: list[str], result: str, *, rng: random.Random | None) -> str:
    """Word a pipeline: its subject, its steps in order and what it returns."""
    chosen = 0 if rng is None else rng.randrange(4)
    if chosen == 0:
        return f"Given {subject}, {', then '.join(steps)}, and return {result}."
    if chosen == 1:
        return f"For {subject}: {listed(steps)}. Return {result}."
    if chosen == 2:
        return f"{' Then '.join(s[0].upper() + s[1:] + '.' for s in steps)} Return {result}."
    return f"Take {subject}, {listed(steps)}, and give back {result}."


NAMES = ("solve", "compute", "process", "apply", "run", "evaluate", "transform", "calculate")
