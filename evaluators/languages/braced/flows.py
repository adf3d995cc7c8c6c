"""Which values flow into which names in Java and C#, node by node.

One decision: the rules are shared as far as the two grammars name things alike; each language's own folder
adds what its grammar alone has.
"""

from collections.abc import Mapping

from evaluators.languages.flows import (
    Reading,
    Rule,
    Walk,
    define,
    for_each,
    fork,
    inside,
    repeat,
    repeat_whole,
    visit,
    walk,
    write_distinct,
)  # fmt: skip


def _assign(reading: Reading, node: int) -> Walk:
    left, right = reading.tree.child(node, "left"), reading.tree.child(node, "right")
    if left is None or right is None:
        yield inside(reading, node)
        return
    yield visit(reading, right)
    write_distinct(reading, left, right, "computedFrom")


def _update(reading: Reading, node: int) -> Walk:
    """`i++`: what is updated is computed from itself."""
    write_distinct(reading, node, node, "computedFrom")
    yield from ()


def _branch(reading: Reading, node: int) -> Walk:
    """Condition and consequence, then the alternative, which begins anew; all ends are possible."""
    children, kinds = reading.tree.children(node), reading.tree.kinds
    split = next((i for i, child in enumerate(children) if kinds[child] in {"if_statement", "else"}), len(children))
    # With an alternative too, what was before stays possible, as in the reference implementation.
    yield fork(reading, [children[:split], *([child] for child in children[split:])], exhaustive=False)


def _for(reading: Reading, node: int) -> Walk:
    """Read as it stands, then again what follows the declaration of the loop's variable, if it has one."""
    tree = reading.tree
    declared = {"local_variable_declaration", "variable_declaration"}
    heads = [child for child in tree.children(node) if tree.kinds[child] in declared]
    if not heads:
        yield inside(reading, node)
        return
    rest, stop = tree.ends[heads[0]], tree.ends[node]
    yield walk(reading, node + 1, rest)
    yield repeat(reading, lambda: walk(reading, rest, stop))


def _bind(reading: Reading, target: int, value: int) -> None:
    """The variable of a for-each loop."""
    write_distinct(reading, target, value, "computedFrom")


RULES: Mapping[str, Rule] = {
    "variable_declarator": define,
    "assignment_expression": _assign,
    "if_statement": _branch,
    "for_statement": _for,
    "while_statement": repeat_whole,
}
"""What both grammars name alike."""

update: Rule = _update
iterate: Rule = for_each(_bind)

__all__ = ["RULES", "iterate", "update"]
