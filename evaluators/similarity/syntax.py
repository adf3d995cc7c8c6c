"""Reading code: one flat tree of a program for all who compare its shape, and whether it parses.

One decision: a tree-sitter tree is copied at once, by a cursor, into flat lists in reading order.
Nothing walks a tree by recursion, so an output of 3,000 nested brackets is scored like any other.
"""

import ast
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import tree_sitter
import tree_sitter_c_sharp
import tree_sitter_java
import tree_sitter_python

from tasks.records import Language

_GRAMMARS = {
    Language.PYTHON: tree_sitter_python.language,
    Language.JAVA: tree_sitter_java.language,
    Language.CSHARP: tree_sitter_c_sharp.language,
}

# A literal is one value, as in the reference implementation of CodeBLEU.
_LITERALS = frozenset({"string", "string_literal", "character_literal"})
_COMMENTS = frozenset({"comment", "line_comment", "block_comment", "line_continuation"})
_BODIES = frozenset({"class_body", "declaration_list"})
_KEPT_MARKS = frozenset({"=", "else"})
"""Of keywords and punctuation, what the reading of dataflow looks for."""
_ERROR = 65535
"""tree-sitter's symbol of text that fits no rule."""

# Problems ask for bare methods; a constructor is only grammatical inside a class.
_WRAPPER_HEAD, _WRAPPER_TAIL = b"class Wrapper {\n", b"\n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """A language's grammar with its names by number, which spares a string for each node.

    `kept` are the kinds that a `SyntaxTree` holds even as leaves without a field, `remarks` those that may be
    comments or docstrings.
    """

    language: tree_sitter.Language
    kinds: tuple[str, ...]
    named: tuple[bool, ...]
    kept: tuple[bool, ...]
    remarks: frozenset[int]
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


def parses(code: str, *, language: Language) -> bool:
    """Whether `code` is a program that the language's grammar accepts.

    Python is judged by the interpreter's own `ast`; Java and C# by tree-sitter, as they stand or as
    the members of a class, since our problems ask for bare static methods. An output without any
    code (empty, or comments alone) is not a program, though grammars accept it.
    """
    if language is Language.PYTHON:
        return _python_parses(code)
    source = code.encode("utf-8", errors="replace")
    root: tree_sitter.Node | None = parse(source, language=language)
    if root is not None and root.has_error:
        root = _wrapper_body(parse(_WRAPPER_HEAD + source + _WRAPPER_TAIL, language=language))
    return root is not None and any(c.type not in _COMMENTS and c.type not in {"{", "}"} for c in root.children)


def parse(source: bytes, *, language: Language) -> tree_sitter.Node:
    """The root of tree-sitter's own tree."""
    return parser(language).parse(source).root_node


def read_tree(code: str, *, language: Language) -> SyntaxTree:
    """The tree of `code` as it stands, broken or not."""
    source = code.encode("utf-8", errors="replace")
    return _flatten(parse(source, language=language), source, grammar_of(language))


@cache
def grammar_of(language: Language) -> Grammar:
    """The grammar of a language."""
    made = tree_sitter.Language(_GRAMMARS[language]())
    kinds = range(made.node_kind_count)
    return Grammar(
        language=made,
        kinds=tuple(made.node_kind_for_id(number) or "" for number in kinds),
        named=tuple(made.node_kind_is_named(number) for number in kinds),
        kept=tuple(made.node_kind_is_named(n) or made.node_kind_for_id(n) in _KEPT_MARKS for n in kinds),
        remarks=frozenset(n for n in kinds if made.node_kind_for_id(n) in {*_COMMENTS, "expression_statement"}),
        fields=tuple(made.field_name_for_id(number) or "" for number in range(made.field_count + 1)),
    )


def parser(language: Language) -> tree_sitter.Parser:
    """A parser of the language's grammar."""
    return tree_sitter.Parser(grammar_of(language).language)


def _python_parses(code: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(ast.parse(code).body)
        # ValueError: a NUL byte; MemoryError and RecursionError: nesting beyond the parser's stack.
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False


def _wrapper_body(root: tree_sitter.Node) -> tree_sitter.Node | None:
    """The body of the wrapper class, unless the code breaks out of it (`} class Other {`)."""
    if root.has_error or root.named_child_count != 1:
        return None
    declaration = root.named_children[0]
    return next((child for child in declaration.children if child.type in _BODIES), None)


def _flatten(root: tree_sitter.Node, source: bytes, grammar: Grammar) -> SyntaxTree:
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
                    names.append(_text(node, source) if kind in _LITERALS and _is_whole(node) else "")
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
