"""What Polytune must know of a language to read, run and measure programs in it.

One decision: no field has a default. A language says of each capability what it has, or None where it has
none, so that a capability cannot be forgotten in silence. What only some callers need, and what is slow to
import or large, is a function that loads it: reading code imports no runtime.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from evaluators.languages.syntax import GrammarSource
from tasks.records import Language

if TYPE_CHECKING:
    from evaluators.languages.flows import Rule
    from evaluators.languages.runtimes import RuntimeSupport


class Dialect(Protocol):
    """How programs are laid out: what the extraction of a program from an answer asks.

    `given` is how many characters at the front of a program are the problem's own, where the answer is a body
    that follows on from them; else 0.
    """

    @property
    def literals(self) -> re.Pattern[str]:
        """String literals, as the group `literal`, and comments; of text that is prose for the greater part."""

    def last_defined(self, code: str) -> str | None:
        """The last function that `code` begins or defines; None if there is none."""

    def first_defined(self, code: str) -> str | None:
        """The first function or method that `code`, broken or not, defines; None if there is none."""

    def definition(self, code: str, name: str) -> re.Match[str] | None:
        """Where `code`, broken or not, begins to define `name`, from the start of the line."""

    def is_body(self, code: str) -> bool:
        """Whether `code`, which begins at the margin, is a function's body that wants an indentation."""

    def continues(self, code: str, name: str | None) -> bool:
        """Whether `code` goes on with what a preamble began, and does not define `name` itself at first."""

    def put_before(self, head: str, code: str) -> str:
        """A whole definition, preceded by what a preamble has before its own."""

    def follow_on(self, preamble: str, code: str) -> str:
        """A body that follows on from a preamble, with what closes the preamble where nothing else does."""

    def completes(self, program: str, name: str | None, given: int) -> bool:
        """Whether a program parses and defines `name`, in more than what was given."""

    def cut(self, program: str, name: str, given: int) -> str | None:
        """A broken program without its end, if it then completes the definition; else None."""

    def code_in(self, text: str, name: str) -> Iterator[str]:
        """What may be the code, from some place to the end, in a text that may open with prose; likeliest first."""

    def answer(self, program: str, name: str | None, given: int) -> str:
        """A complete program without all that runs, tests or goes on after the answer and is not needed by it."""

    def begins_another(self, line: str) -> str | None:
        """What a whole line begins that is no part of the answer above it, unless that uses it: its name.

        Empty for a statement that only shows or tests the answer; None where the line may belong to the answer.
        """

    def goes_on_alone(self, preamble: str, code: str) -> bool:
        """Whether `code` goes on with what a preamble began, and has ended it, whatever is written behind it."""

    def needs_no_more(self, program: str, name: str, *, begun: str) -> bool:
        """Whether a complete program has all that `name` needs, when a line below it begins `begun`.

        It may say no where that is not certain.
        """

    def supply(self, program: str, others: Sequence[str]) -> str:
        """A program with what it uses and only other programs define or import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What must be installed to run programs.

    `title` is how a list of tools names it, `absent` what is told where it is not there, `advice` the words
    before `remedy`, the command that installs it. `version` asks for the version, which takes a process.
    """

    title: str
    absent: str
    advice: str
    remedy: str
    is_present: Callable[[], bool]
    version: Callable[[], str]

    @property
    def reason(self) -> str:
        """What is absent, and the command that installs it."""
        return f"{self.absent}; {self.advice}: {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSupport:
    """All that is known of one language.

    `suffix` is that of source files. `keywords` are the reserved words, which CodeBLEU counts in full; they
    are written out from the language's specification, not read off a grammar or the running interpreter, so
    that an upgrade of either changes no score. `parses` says whether a text is a program. `int_bits` is the
    width of the type that tests declare as int, None where ints have any size. `analyzers` are tools of
    `evaluators.quality`, in the order in which they are listed.

    None means: of `flows`, that CodeBLEU has no dataflow part; of `runtime`, that programs cannot be run,
    so that all stay unjudged (`toolchain` is then None too).
    """

    language: Language
    suffix: str
    keywords: frozenset[str]
    grammar: GrammarSource
    parses: Callable[[str], bool]
    dialect: Dialect
    int_bits: int | None
    analyzers: tuple[str, ...]
    toolchain: Toolchain | None
    flows: "Callable[[], Mapping[str, Rule]] | None"
    runtime: "Callable[[], RuntimeSupport] | None"

    def __post_init__(self) -> None:
        """Refuse a runtime without the tools that it needs, and tools for no runtime."""
        if (self.toolchain is None) is not (self.runtime is None):
            raise ValueError(f"{self.language}: toolchain and runtime must both be given, or both be None")


__all__ = ["Dialect", "LanguageSupport", "Toolchain"]
