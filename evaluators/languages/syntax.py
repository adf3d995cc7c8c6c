"""Code as trees: one flat tree of a program for all who compare its shape.

One decision: a tree-sitter tree is copied at once, by a cursor, into flat lists in reading order.
Nothing walks a tree by recursion, so an output of 3,000 nested brackets is scored like any other.
"""

import importlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import tree_sitter

_KEPT_MARKS = frozenset({"=", "else"})
"""Of keywords and punctuation, what the reading of dataflow looks for."""
_ERROR = 65535
"""tree-sitter's symbol of text that fits no rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarSource:
    """Where a language's grammar comes from, and what it calls the things that are read apart.

    `package` is the distribution, whose version is part of scores' signatures. `comments` are the kinds of
    nodes that say nothing; `literals` those that are one value, as in the reference implementation of
    CodeBLEU, whatever they are made of.
    """

    package: str
    comments: frozenset[str]
    literals: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """A language's grammar with its names by number, which spares a string for each node.

    `kept` are the kinds that a `SyntaxTree` holds even as leaves without a field, `remarks` those that may be
    comments or docstrings, `literals` those that are one value.
    """

    language: tree_sitter.Language
    kinds: tuple[str, ...]
    named: tuple[bool, ...]
    kept: tuple[bool, ...]
    remarks: frozenset[int]
    literals: frozenset[str]
    fields: tuple[str, ...]


@dataclass(slots=True)
class SyntaxTree:
    """A syntax tree without comments, docstrings and most punctuation, as parallel lists over its nodes.

    Nodes stand in reading order, the root first: a node's descendants are the nodes between it and
    its end. `names` holds the text of leaves that can hold a value (names and literals), and is empty
    elsewhere. `shapes` counts the subtrees by a hash that means something in this process only.

    A shape is what tree-sitter prints of a node with children: kinds and fields of named nodes,
    neither names nor operators (Ren et al. 2020, section 3.2: the leaves' names are left out). Shapes
    are hashed from the leaves up, so that a deep tree costs no more than a wide one.
    """

    kinds: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    shapes: Counter[int] = field(default_factory=Counter)

    def children(self, node: int) -> list[int]:
        """The children of `node` in order."""
        found, child, stop = [], node + 1, self.ends[node]
        while child < stop:
            found.append(child)
            child = self.ends[child]
        return found

    def child(self, node: int, field: str) -> int | None:
        """The first child of `node` in the grammar's `field`."""
        return next((child for child in self.children(node) if self.fields[child] == field), None)


@cache
def grammar_of(source: GrammarSource) -> Grammar:
    """The grammar itself, loaded once a process."""
    made = tree_sitter.Language(importlib.import_module(source.package.replace("-", "_")).language())
    kinds = range(made.node_kind_count)
    return Grammar(
        language=made,
        kinds=tuple(made.node_kind_for_id(number) or "" for number in kinds),
        named=tuple(made.node_kind_is_named(number) for number in kinds),
        kept=tuple(made.node_kind_is_named(n) or made.node_kind_for_id(n) in _KEPT_MARKS for n in kinds),
        remarks=frozenset(n for n in kinds if made.node_kind_for_id(n) in {*source.comments, "expression_statement"}),
        literals=source.literals,
        fields=tuple(made.field_name_for_id(number) or "" for number in range(made.field_count + 1)),
    )


def parser_of(source: GrammarSource) -> tree_sitter.Parser:
    """A parser of a grammar."""
    return tree_sitter.Parser(grammar_of(source).language)


def parse_with(grammar: GrammarSource, source: bytes) -> tree_sitter.Node:
    """The root of tree-sitter's own tree."""
    return parser_of(grammar).parse(source).root_node


def flatten(root: tree_sitter.Node, source: bytes, grammar: Grammar) -> SyntaxTree:
    """Copy the tree below `root`, hashing the shape of every node as it is left."""
    tree = SyntaxTree()
    kinds, fields, names, ends = tree.kinds, tree.fields, tree.names, tree.ends
    cursor, has_error = root.walk(), root.has_error
    # Of each open node its place in the lists, field and kind; and what has been printed inside of it.
    opened: list[tuple[int, int, int]] = []
    printed: list[list[int | str]] = [[]]
    shapes: list[int] = []
    while True:
        node = cursor.node
        assert node is not None
        number = node.kind_id
        if number not in grammar.remarks or not _is_remark(node):
            place = cursor.field_id or 0
            inner = cursor.goto_first_child()
            broken = number == _ERROR
            if inner or broken or place or grammar.kept[number]:
                kind = "ERROR" if broken else grammar.kinds[number]
                kinds.append(kind)
                fields.append(grammar.fields[place])
                ends.append(len(ends) + 1)
                if inner:
                    names.append(_text(node, source) if kind in grammar.literals and _is_whole(node) else "")
                    opened.append((len(ends) - 1, place, number))
                    printed.append([])
                    continue
                text = _text(node, source) if broken or grammar.named[number] else kind
                names.append("" if text == kind else text)
            if broken or grammar.named[number] or (has_error and node.is_missing):
                printed[-1] += (place, _print_leaf(node, number) if has_error else number)
        while not cursor.goto_next_sibling():
            if not opened:
                tree.shapes = Counter(shapes)
                return tree
            cursor.goto_parent()
            left, place, number = opened.pop()
            ends[left] = len(ends)
            # A name that is also a keyword has a child of which nothing is printed.
            shape = hash((number, *printed[-1])) if printed[-1] else number
            printed.pop()
            shapes.append(shape)
            if number == _ERROR or grammar.named[number]:
                printed[-1] += (place, shape)


def _print_leaf(node: tree_sitter.Node, number: int) -> int | str:
    """A leaf's shape: its kind, but with what stands there where the parser gave up or made it up."""
    if number != _ERROR and node.end_byte > node.start_byte:
        return number
    shown = str(node)
    return number if shown == "(ERROR)" else shown


def _text(node: tree_sitter.Node, source: bytes) -> str:
    return source[node.start_byte : node.end_byte].decode("utf-8", errors="replace")


def _is_whole(literal: tree_sitter.Node) -> bool:
    """Whether a literal is one value: those inside an f-string are code of their own."""
    return all(child.type != "interpolation" for child in literal.children)


def _is_remark(node: tree_sitter.Node) -> bool:
    """Whether a node is a comment, or a statement that is a string alone."""
    if node.type != "expression_statement":
        return True
    return node.child_count == 1 and node.children[0].type == "string"


__all__ = ["Grammar", "GrammarSource", "SyntaxTree", "flatten", "grammar_of", "parse_with", "parser_of"]
