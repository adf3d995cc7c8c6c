"""Which values flow into which names in Python, node by node.

One decision: `a, b = c, d` is two assignments, in an assignment as in the head of a loop.
"""

from collections.abc import Mapping

from evaluators.languages.flows import (
    Reading,
    Rule,
    Walk,
    define,
    for_each,
    fork,
    places,
    repeat_whole,
    visit,
    write,
)  # fmt: skip

_TUPLES = frozenset({"pattern_list", "tuple_pattern", "expression_list", "tuple"})


def _assign(reading: Reading, node: int) -> Walk:
    """An annotation without a value (`x: int`) is none; in `for x in y`, y comes last."""
    tree = reading.tree
    left, right = tree.child(node, "left"), tree.child(node, "right")
    if left is not None and right is not None:
        yield visit(reading, right)
        _unpack(reading, left, right)


def _unpack(reading: Reading, left: int, right: int) -> None:
    """`a, b = c, d` is two assignments."""
    tree = reading.tree
    pairs = [(left, right)]
    if tree.kinds[left] in _TUPLES and tree.kinds[right] in _TUPLES:
        marks = {",", "(", ")"}
        sides = [[c for c in tree.children(side) if tree.kinds[c] not in marks] for side in (left, right)]
        if len(sides[0]) == len(sides[1]):
            pairs = list(zip(*sides, strict=True))
    for target, value in pairs:
        write(reading, places(tree, target), places(tree, value), "computedFrom")


def _branch(reading: Reading, node: int) -> Walk:
    """With an `else` one of the branches is taken; without, what was before stays possible."""
    children, kinds = reading.tree.children(node), reading.tree.kinds
    clauses = [child for child in children if kinds[child] in {"elif_clause", "else_clause"}]
    first = [child for child in children if kinds[child] not in {"elif_clause", "else_clause"}]
    exhaustive = any(kinds[child] == "else_clause" for child in clauses)
    yield fork(reading, [first, *([child] for child in clauses)], exhaustive=exhaustive)


def _comprehend(reading: Reading, node: int) -> Walk:
    """A comprehension's clauses come before the expression that uses their names."""
    kinds = reading.tree.kinds
    for child in sorted(reading.tree.children(node), key=lambda child: kinds[child] != "for_in_clause"):
        yield visit(reading, child)


RULES: Mapping[str, Rule] = {
    "default_parameter": define,
    "assignment": _assign,
    "augmented_assignment": _assign,
    "for_in_clause": _assign,
    "if_statement": _branch,
    "for_statement": for_each(_unpack),
    "while_statement": repeat_whole,
    "list_comprehension": _comprehend,
    "set_comprehension": _comprehend,
    "dictionary_comprehension": _comprehend,
    "generator_expression": _comprehend,
}

__all__ = ["RULES"]
