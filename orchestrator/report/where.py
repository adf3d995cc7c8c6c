"""The little language that picks outputs: `together passes and (apart fails or apart is empty)`.

    condition = "not" condition | condition ("and" | "or") condition | "(" condition ")" | name ["is"] state

One decision: a name is whatever the report calls a trial or a method by, or enough of it to mean one of them alone.
What stands for several, as a method does for its seeds, is true where it is true of each. The page reads the same
language (samplefilter.js), so that a filter is carried from one to the other by copying it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

from orchestrator.errors import InputError
from orchestrator.report.evidence import Evidence
from orchestrator.report.samples import Item, Output
from tasks.records import VerdictName

Condition = Callable[[Item], bool]
Words = tuple[str, ...]

_TOKEN = re.compile(r"""\s*(?:([()])|"([^"]*)"|'([^']*)'|([^\s()"']+))""")


def _has(verdict: VerdictName, output: Output) -> bool:
    return output.verdict == verdict


_STATES: Mapping[str, Callable[[Output], bool]] = {
    "passes": lambda output: output.verdict == "passed",
    "fails": lambda output: output.verdict not in (None, "passed", "unjudged"),
    "empty": lambda output: output.empty,
    "cut": lambda output: output.finish == "length",
    **{name: partial(_has, name) for name in get_args(VerdictName) if name != "passed"},
}
"""What can be said of an output, by the word that says it."""
_SAME = {"pass": "passes", "passed": "passes", "fail": "fails", "failed": "fails"}
_ABSENT = "missing"
_QUANTIFIED: Mapping[str, Callable[[Iterable[bool]], bool]] = {"any": any, "all": all}
STATES = (*_STATES, _ABSENT)


def name_columns(evidence: Evidence) -> dict[Words, frozenset[str]]:
    """The arms' titles behind every name that a report uses: of an arm, its trials, its method, its way and model."""
    found: dict[Words, set[str]] = {}
    for arm in evidence.arms:
        method = {trial.method for trial in arm.trials}
        own = {trial.trial for trial in arm.trials} | {evidence.names[trial.trial] for trial in arm.trials}
        for name in {arm.title, arm.way, f"{arm.model} {arm.way}"} | method | own:
            found.setdefault(words_of(name), set()).add(arm.title)
    return {name: frozenset(titles) for name, titles in found.items()}


def words_of(name: str) -> Words:
    """A name's words, so that `qlora-apart`, `qlora apart` and `QLoRA · apart` are one."""
    return tuple(re.findall(r"\w+", name.lower().replace("_", " ")))


def parse_where(text: str, names: Mapping[Words, frozenset[str]]) -> Condition:
    """Read a condition on items.

    Args:
        text: As people write it.
        names: The titles of the arms that each name stands for.

    Raises:
        InputError: with the value at fault, the rule that it breaks, and what names or states there are.
    """
    reader = _Reader(text=text, tokens=_tokens(text), names=names)
    condition = reader.either()
    if reader.token:
        raise InputError(f"--where {text!r}: {reader.token!r} stands where the condition has ended; {_GRAMMAR}")
    return condition


_GRAMMAR = "join conditions by and, or, not and parentheses, as in: a passes and not (b passes or b is empty)"


def _tokens(text: str) -> list[str]:
    """Words and parentheses; a quoted name keeps its quotes, so that it is taken as it is."""
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise InputError(f"--where {text!r}: a quote is opened and not closed; close it")
        at, parts = match.end(), match.groups()
        quoted = parts[1] if parts[1] is not None else parts[2]
        found.append(parts[0] or parts[3] or f'"{quoted}"')
    return found


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads a condition word by word."""

    text: str
    tokens: Sequence[str]
    names: Mapping[Words, frozenset[str]]
    at: int = field(default=0)

    @property
    def token(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def takes(self, word: str) -> bool:
        found = self.token.lower() == word
        self.at += found
        return found

    def either(self) -> Condition:
        parts = [self.both()]
        while self.takes("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda item: any(part(item) for part in parts)

    def both(self) -> Condition:
        parts = [self.one()]
        while self.takes("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else lambda item: all(part(item) for part in parts)

    def one(self) -> Condition:
        if self.takes("not"):
            inner = self.one()
            return lambda item: not inner(item)
        if not self.takes("("):
            return self.statement()
        inner = self.either()
        if not self.takes(")"):
            raise InputError(f"--where {self.text!r}: a parenthesis is opened and not closed; close it")
        return inner

    def statement(self) -> Condition:
        name: list[str] = []
        while self.token and not _is_state(self.token) and self.token.lower() not in ("and", "or", "(", ")"):
            name.append(self.token)
            self.at += 1
        state = _SAME.get(self.token.lower().replace("-", "_"), self.token.lower().replace("-", "_"))
        if name and name[-1].lower() == "is":
            name.pop()
        said = " ".join(word.strip('"') for word in name)
        if not said or not _is_state(self.token):
            raise InputError(f"--where {self.text!r}: {_lacking(said, self.token)}")
        self.at += 1
        return _condition(said, state, self.text, self.names)


def _is_state(token: str) -> bool:
    word = token.lower().replace("-", "_")
    return word in STATES or word in _SAME


def _lacking(name: str, token: str) -> str:
    if name:
        return f"{name!r} is followed by no state; say what is to be true of it: {', '.join(STATES)}"
    where = f"before {token!r}" if token else "at the end"
    return f"a name and a state are missing {where}; {_GRAMMAR}"


def _condition(name: str, state: str, text: str, names: Mapping[Words, frozenset[str]]) -> Condition:
    if name.lower() in _QUANTIFIED:
        titles = frozenset().union(*names.values())
        combine = _QUANTIFIED[name.lower()]
        # Of every output that there is: a study half done has problems that some arms have not come to.
        asked = titles if state == _ABSENT else None
    else:
        titles, combine = resolve_name(name, names, text=text), all
        asked = titles

    def holds(item: Item) -> bool:
        shown = [title for title in titles if title in item.outputs] if asked is None else asked
        return bool(shown) and combine(_is(item.outputs.get(title), state) for title in shown)

    return holds


def _is(output: Output | None, state: str) -> bool:
    if state == _ABSENT:
        return output is None
    return output is not None and _STATES[state](output)


def resolve_name(name: str, names: Mapping[Words, frozenset[str]], *, text: str) -> frozenset[str]:
    """The arms that a name means: it is one, begins one, or has words that begin words of one, in their order.

    Raises:
        InputError: if it means none, or several that no name holds together.
    """
    given = words_of(name)
    for fits in (_equals, _begins, _occurs):
        found = {titles for known, titles in names.items() if given and fits(given, known)}
        if not found:
            continue
        together = frozenset().union(*found)
        if together in found:
            return together
        raise InputError(
            f"--where {text!r}: {name!r} may mean {', '.join(sorted(together))}; write enough of the name to mean one"
        )
    known_titles = sorted(frozenset().union(*names.values()))
    raise InputError(f"--where {text!r}: there is no trial or method {name!r}; there are: {', '.join(known_titles)}")


def _equals(given: Words, known: Words) -> bool:
    return given == known


def _begins(given: Words, known: Words) -> bool:
    return " ".join(known).startswith(" ".join(given))


def _occurs(given: Words, known: Words) -> bool:
    rest = iter(known)
    return all(any(word.startswith(part) for word in rest) for part in given)


__all__ = ["STATES", "Condition", "name_columns", "parse_where", "resolve_name", "words_of"]
