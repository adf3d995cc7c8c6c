"""What Polytune must know of a language to read, run and measure programs in it.

One decision: no field has a default. A language says of each capability what it has, or None where it has
none, so that a capability cannot be forgotten in silence. What only some callers need, and what is slow to
import or large, is a function that loads it: reading code imports no runtime.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from evaluators.languages.syntax import GrammarSource
from tasks.records import Language

if TYPE_CHECKING:
    from evaluators.languages.flows import Rule
    from evaluators.languages.runtimes import RuntimeSupport


class Dialect(Protocol):
    """How programs are laid out: what the extraction of a program from an answer asks."""

    @property
    def first_line(self) -> re.Pattern[str]:
        """Where code begins in an answer that opens with prose."""

    def last_defined(self, code: str) -> str | None:
        """The last function that `code` begins or defines; None if there is none."""

    def definition(self, code: str, name: str) -> re.Match[str] | None:
        """Where `code` defines `name`, from the start of the line."""

    def is_body(self, code: str) -> bool:
        """Whether `code`, which begins at the margin, is a function's body that wants an indentation."""

    def put_before(self, head: str, code: str) -> str:
        """A whole definition, preceded by what a preamble has before its own."""

    def follow_on(self, preamble: str, code: str) -> str:
        """A body that follows on from a preamble, with what closes the preamble where nothing else does."""

    def whole(self, program: str, definition: re.Match[str]) -> str | None:
        """The program up to the end of a definition; None if its end cannot be told from the text alone."""

    def ends(self, lines: list[re.Match[str]]) -> list[int]:
        """The starts of those lines before which a program may end whatever stands in them, the last first."""


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
