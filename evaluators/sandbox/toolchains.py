"""Which languages this machine can run, and what to install for the others.

One decision: the table of languages is asked each time, and looks on PATH each time, so that what is reported
is what a run started now would find.
"""

from dataclasses import dataclass

from evaluators.languages import LANGUAGES, support
from tasks.records import Language, UnjudgedReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """Whether programs in a language can be run here, with which version.

    `title` is what a list calls its tools. Where they are `available` no more is said; else `absent` says what
    is not there, `remedy` is the command that installs it, and `reason` says both.
    """

    language: Language
    title: str
    available: bool
    version: str = ""
    absent: str = ""
    remedy: str = ""
    reason: str = ""


def missing_toolchain(language: Language) -> str | None:
    """Why programs in `language` cannot be judged here, with the remedy; None where they can."""
    found = unrunnable(language)
    return None if found is None else found[1]


def unrunnable(language: Language) -> tuple[UnjudgedReason, str] | None:
    """As `missing_toolchain`, with the kind of the reason."""
    tools = LANGUAGES[language].toolchain
    if tools is None:
        return UnjudgedReason.LANGUAGE_NOT_RUN, f"not judged: Polytune runs no programs in {language.title}"
    return None if tools.is_present() else (UnjudgedReason.TOOLCHAIN_MISSING, f"not judged: {tools.reason}")


def toolchain_version(language: Language) -> str:
    """The version of what compiles and runs a language's programs here; `unknown` where nothing does."""
    tools = LANGUAGES[language].toolchain
    return tools.version() if tools is not None and tools.is_present() else "unknown"


def toolchains() -> tuple[Toolchain, ...]:
    """The state of every language that is run, for `polytune doctor`. Asks each tool for its version."""
    known = ((language, found.toolchain) for language, found in LANGUAGES.items())
    return tuple(_look(language, tools) for language, tools in known if tools is not None)


def _look(language: Language, tools: support.Toolchain) -> Toolchain:
    if tools.is_present():
        return Toolchain(language=language, title=tools.title, available=True, version=tools.version())
    return Toolchain(
        language=language,
        title=tools.title,
        available=False,
        absent=tools.absent,
        remedy=tools.remedy,
        reason=tools.reason,
    )


__all__ = ["Toolchain", "missing_toolchain", "toolchain_version", "toolchains", "unrunnable"]
