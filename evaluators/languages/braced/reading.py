"""Whether a text is a program, where programs are classes and problems ask for bare methods.

One decision: a text that does not parse as it stands is tried as the members of a class, since a constructor
is only grammatical inside of one.
"""

from functools import lru_cache

import tree_sitter

from evaluators.languages.syntax import GrammarSource, parse_with

_WRAPPER_HEAD, _WRAPPER_TAIL = b"class Wrapper {\n", b"\n}"
_BODIES = frozenset({"class_body", "declaration_list"})


def parses_as_members(code: str, *, grammar: GrammarSource) -> bool:
    """Whether the grammar accepts a text, as it stands or within a class, and there is code in it."""
    root, _ = tree_of(code.encode("utf-8", errors="replace"), grammar)
    return root is not None and any(c.type not in grammar.comments and c.type not in {"{", "}"} for c in root.children)


@lru_cache(maxsize=8)
def tree_of(source: bytes, grammar: GrammarSource) -> tuple[tree_sitter.Node | None, int]:
    """The node whose children are the members of a program, and by how many bytes its places are ahead.

    Whoever reads a text again gets the same tree. None if the grammar accepts the text neither as it stands nor
    within a class.
    """
    root = parse_with(grammar, source)
    if not root.has_error:
        return root, 0
    return _wrapper_body(parse_with(grammar, _WRAPPER_HEAD + source + _WRAPPER_TAIL)), len(_WRAPPER_HEAD)


def _wrapper_body(root: tree_sitter.Node) -> tree_sitter.Node | None:
    """The body of the wrapper class, unless the code breaks out of it (`} class Other {`)."""
    if root.has_error or root.named_child_count != 1:
        return None
    declaration = root.named_children[0]
    return next((child for child in declaration.children if child.type in _BODIES), None)


__all__ = ["parses_as_members", "tree_of"]
