"""The members of a program in a braced language: which define a name, which that needs, which only show it.

One decision: a member uses what its words name. Words are read from a copy without comments and literals, so
that a grammar's kinds of names need not be known; a word too many keeps a member too many, and breaks nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tree_sitter

from evaluators.languages.braced.reading import tree_of
from evaluators.languages.syntax import GrammarSource

_TYPES = frozenset({
    "class_declaration", "interface_declaration", "record_declaration", "record_struct_declaration",
    "enum_declaration", "struct_declaration", "annotation_type_declaration", "delegate_declaration",
})  # fmt: skip
_METHODS = frozenset({
    "method_declaration", "constructor_declaration", "local_function_statement", "compact_constructor_declaration",
})  # fmt: skip
_PROPERTIES = frozenset({"property_declaration"})
_CONTENTS = ("body", "accessors", "value")
_FIELDS = frozenset({
    "field_declaration", "property_declaration", "local_variable_declaration", "local_declaration_statement",
    "constant_declaration", "event_field_declaration",
})  # fmt: skip
_HEADS = frozenset({
    "import_declaration", "package_declaration", "using_directive", "file_scoped_namespace_declaration",
    "extern_alias_directive", "global_attribute", "module_declaration", "{", "}",
})  # fmt: skip
_IMPORTS = frozenset({"import_declaration", "using_directive"})
_DECLARING = re.compile(
    r"(?:declaration|declarator|parameter|enum_constant|local_function_statement|enhanced_for_statement)$"
)
"""Kinds of nodes whose name is new; a call's name is not."""
_NAMESPACES = frozenset({"namespace_declaration"})
_NOT_WORDS = re.compile(r'"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*[\s\S]*?\*/')
_MAIN = re.compile(r"\bstatic\b[^;{}=]*\b[Mm]ain\s*\(")
_HAS_EXTENSION = re.compile(r"\(\s*this\s+\w")
_EXTENDS = re.compile(r"(\w+)\s*(?:<[^<>()]*>)?\s*\(\s*this\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A member with the comments before it: its place in bytes, and the names that it brings in and uses."""

    start: int
    end: int
    kind: str
    names: frozenset[str]
    text: str
    node: tree_sitter.Node

    def words(self) -> list[str]:
        """The words of its code."""
        return re.findall(r"\w+", _NOT_WORDS.sub(" ", self.text))

    def uses(self) -> frozenset[str]:
        """The words besides the one that names the member itself."""
        rest = self.words()
        for name in self.names:
            if name in rest:
                rest.remove(name)
        return frozenset(rest)


def defines(code: str, name: str, *, grammar: GrammarSource, given: int) -> bool:
    """Whether the code parses, and a definition of `name` with a body ends behind the first `given` characters."""
    source = code.encode("utf-8", errors="replace")
    root, offset = tree_of(source, grammar)
    if root is None:
        return False
    floor = len(code[:given].encode("utf-8", errors="replace"))
    return any(node.end_byte - offset > floor for node in _definitions(root, name))


def _definitions(root: tree_sitter.Node, name: str) -> Iterator[tree_sitter.Node]:
    """The definitions of a name that have a body, types first."""
    wanted, waiting, methods = name.encode(), [root], list[tree_sitter.Node]()
    while waiting:
        node = waiting.pop()
        if node.type in _TYPES or node.type in _METHODS or node.type in _PROPERTIES:
            named = node.child_by_field_name("name")
            if named is not None and named.text == wanted and any(map(node.child_by_field_name, _CONTENTS)):
                if node.type in _TYPES:
                    yield node
                else:
                    methods.append(node)
            if node.type in _METHODS:
                continue
        waiting += reversed(node.named_children)
    yield from methods


def only_needed(program: str, name: str, *, grammar: GrammarSource) -> str:
    """The program with the member that defines `name`, and of the others those that it needs.

    In front of it what is not needed stays too, unless it is a statement, has a `main`, or uses the answer.
    """
    source = program.encode("utf-8", errors="replace")
    root, offset = tree_of(source, grammar)
    if root is None:
        return program
    found = next(_definitions(root, name), None)
    if found is None:
        return program
    container = _container(root, found)
    parts = list(_members(container, source, offset, grammar))
    answer = next((at for at, part in enumerate(parts) if _holds(part.node, found)), None)
    if answer is None or all(at == answer or part.kind == "head" for at, part in enumerate(parts)):
        return program
    kept = _needed(parts, answer)
    shown = parts[answer].names | {name}
    dropped = [
        part
        for at, part in enumerate(parts)
        if at not in kept and part.kind != "head" and (at > answer or _only_shows(part, shown))
    ]
    return _without(source, dropped, parts)


def _container(root: tree_sitter.Node, found: tree_sitter.Node) -> tree_sitter.Node:
    """What the members of the program are in: the file, or the innermost namespace that holds the definition."""
    node = found.parent
    while node is not None and node != root:
        if node.type == "declaration_list" and node.parent is not None and node.parent.type in _NAMESPACES:
            return node
        node = node.parent
    return root


def _holds(outer: tree_sitter.Node, inner: tree_sitter.Node) -> bool:
    return outer.start_byte <= inner.start_byte and inner.end_byte <= outer.end_byte


def _needed(parts: Sequence[_Member], answer: int) -> set[int]:
    """The members that the answer needs, through any number of steps, and itself."""
    kept, waiting, names = {answer}, [answer], set[str]()
    same = re.sub(r"\s", "", parts[answer].text)
    while waiting:
        names |= {word for at in waiting for word in parts[at].uses()}
        waiting = [
            at
            for at, part in enumerate(parts)
            if at not in kept and part.kind in {"type", "method", "field"} and part.names & names
            and re.sub(r"\s", "", part.text) != same
        ]  # fmt: skip
        kept |= set(waiting)
    return kept


def _only_shows(part: _Member, shown: frozenset[str]) -> bool:
    if part.kind in {"statement", "comment"}:
        return part.kind == "statement"
    return bool(_MAIN.search(part.text)) or bool(shown & part.uses())


def _without(source: bytes, dropped: Sequence[_Member], parts: Sequence[_Member]) -> str:
    if not dropped:
        return source.decode("utf-8", errors="replace")
    left, end = list[bytes](), 0
    for part in dropped:
        left.append(source[end : part.start])
        end = part.end
    return b"".join([*left, source[end:]]).decode("utf-8", errors="replace")


def _members(container: tree_sitter.Node, source: bytes, offset: int, grammar: GrammarSource) -> Iterator[_Member]:
    """The members in order, each with the comments above it and on its last line; comments alone are one, too."""
    groups: list[list[tree_sitter.Node]] = [[]]
    for node in container.children:
        last = groups[-2][-1] if len(groups) > 1 else None
        if node.type not in grammar.comments:
            groups[-1].append(node)
            groups.append([])
        elif last is not None and not groups[-1] and node.start_point[0] == last.end_point[0]:
            groups[-2].append(node)
        else:
            groups[-1].append(node)
    for group in groups:
        if group:
            yield _member(group, source, offset, grammar)


def _member(group: list[tree_sitter.Node], source: bytes, offset: int, grammar: GrammarSource) -> _Member:
    node = next((node for node in group if node.type not in grammar.comments), group[-1])
    inner = node.named_children[0] if node.type == "global_statement" and node.named_children else node
    text, kind = _text(source, node, offset), _kind(inner, is_comment=node.type in grammar.comments)
    named = kind in {"type", "method", "field"}
    return _Member(
        start=(node if kind == "head" else group[0]).start_byte - offset,
        end=group[-1].end_byte - offset,
        kind=kind,
        names=frozenset(_names(inner, text)) if named else frozenset(),
        text=text,
        node=node,
    )


def _kind(node: tree_sitter.Node, *, is_comment: bool) -> str:
    if is_comment:
        return "comment"
    if node.type in _HEADS or node.type.startswith("preproc") or node.type in _NAMESPACES:
        return "head"
    kinds = {"type": _TYPES, "method": _METHODS, "field": _FIELDS}
    return next((kind for kind, types in kinds.items() if node.type in types), "statement")


def _names(node: tree_sitter.Node, text: str) -> Iterator[str]:
    named = node.child_by_field_name("name")
    if named is not None and named.text is not None:
        yield named.text.decode("utf-8", errors="replace")
    if node.type in _FIELDS:
        waiting = [node]
        while waiting:
            part = waiting.pop()
            name = part.child_by_field_name("name") if part.type == "variable_declarator" else None
            if name is not None and name.text is not None:
                yield name.text.decode("utf-8", errors="replace")
            waiting += part.named_children if part.type != "variable_declarator" else []
    elif node.type in _TYPES and _HAS_EXTENSION.search(text):
        yield from _EXTENDS.findall(text)


def _text(source: bytes, node: tree_sitter.Node, offset: int) -> str:
    return source[node.start_byte - offset : node.end_byte - offset].decode("utf-8", errors="replace")


def supplies(program: str, others: Sequence[str], *, grammar: GrammarSource) -> list[str]:
    """The members of other programs that bring in names which this one uses and does not have."""
    own = _parts(program, grammar)
    has = {name for part in own for name in _declared(part.node)}
    missing = {word for part in own for word in part.uses()} - has
    texts = {part.text for part in own}
    pool = [part for other in others for part in _parts(other, grammar) if part.text not in texts]
    taken = set[int]()
    while wanted := [at for at, part in enumerate(pool) if at not in taken and _brings(part, missing)]:
        taken |= set(wanted)
        missing |= {word for at in wanted for word in pool[at].uses()} - has
    heads = [pool[at].text for at in sorted(taken) if pool[at].kind == "head"]
    return [*heads, *(pool[at].text for at in sorted(taken) if pool[at].kind != "head")]


def undeclared(program: str, *, grammar: GrammarSource) -> set[str]:
    """The words of a program that it neither declares nor imports, but for those behind a dot; all if it is broken."""
    parts = _parts(program, grammar)
    texts = {part.text: _NOT_WORDS.sub(" ", part.text) for part in parts}
    imported = {part.words()[-1] for part in parts if part.node.type in _IMPORTS and part.words()}
    code = "\n".join(texts[part.text] for part in parts if part.node.type not in _IMPORTS)
    declared = {name for part in parts for name in _declared(part.node, only=_DECLARING)}
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", code)) - declared - imported


def _declared(node: tree_sitter.Node, *, only: re.Pattern[str] | None = None) -> Iterator[str]:
    """The names that a member declares, at any depth; or that nodes of `only` some kinds have."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        named = node.child_by_field_name("name") if only is None or only.search(node.type) else None
        if named is not None and named.text is not None:
            yield named.text.decode("utf-8", errors="replace")
        waiting += node.named_children


def _brings(part: _Member, missing: set[str]) -> bool:
    if part.node.type in _IMPORTS:
        return part.words()[-1] in missing
    return part.kind in {"type", "method", "field"} and bool(part.names & missing)


def _parts(code: str, grammar: GrammarSource) -> list[_Member]:
    source = code.encode("utf-8", errors="replace")
    root, offset = tree_of(source, grammar)
    return [] if root is None else list(_members(root, source, offset, grammar))


__all__ = ["defines", "only_needed", "supplies", "undeclared"]
