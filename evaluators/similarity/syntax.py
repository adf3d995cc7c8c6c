"""Reading code: one flat tree of a program for all who compare or judge its shape, and whether it parses.

One decision: a tree-sitter tree is copied at once, by a cursor, into flat tuples in reading order.
Nothing walks a tree by recursion, so an output of 3,000 nested brackets is scored like any other.
"""

import ast
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
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

# A literal is one token, as in the reference implementation of CodeBLEU.
_LITERALS = frozenset(
    {"string", "string_literal", "character_literal", "verbatim_string_literal", "raw_string_literal", "text_block"}
)
_COMMENTS = frozenset({"comment", "line_comment", "block_comment", "line_continuation"})
_BODIES = frozenset({"class_body", "declaration_list"})

# Problems ask for bare methods; a constructor is only grammatical inside a class.
_WRAPPER_HEAD, _WRAPPER_TAIL = b"class Wrapper {\n", b"\n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxTree:
    """A syntax tree without comments and docstrings, as parallel tuples over its nodes.

    Nodes stand in reading order, the root first, so a child's number exceeds its parent's. `texts`
    is empty for inner nodes. `tokens` are the leaves' texts in order, together with whatever text
    the grammar skipped over, so that broken code does not lose its unreadable parts.
    """

    kinds: tuple[str, ...]
    fields: tuple[str, ...]
    named: tuple[bool, ...]
    texts: tuple[str, ...]
    children: tuple[tuple[int, ...], ...]
    tokens: tuple[str, ...]
    has_error: bool

    def child(self, node: int, field: str) -> int | None:
        """The first child of `node` in the grammar's `field`."""
        return next((child for child in self.children[node] if self.fields[child] == field), None)


def parses(code: str, *, language: Language) -> bool:
    """Whether `code` is a program that the language's grammar accepts.

    Python is judged by the interpreter's own `ast`; Java and C# by tree-sitter, as they stand or as
    the members of a class, since our problems ask for bare static methods. An output without any
    code (empty, or comments alone) is not a program, though grammars accept it.
    """
    if language is Language.PYTHON:
        return _python_parses(code)
    tree = read_tree(code, language=language)
    return bool(tree.tokens) and not tree.has_error


def read_tree(code: str, *, language: Language) -> SyntaxTree:
    """The tree of `code`, which may be broken: as it stands, or else as the members of a class.

    The second reading is taken only where it removes every error of the first.
    """
    source = code.encode("utf-8", errors="replace")
    parser = tree_sitter.Parser(_grammar(language))
    root = parser.parse(source).root_node
    if root.has_error and language is not Language.PYTHON:
        wrapped = _WRAPPER_HEAD + source + _WRAPPER_TAIL
        body = _wrapper_body(parser.parse(wrapped).root_node)
        if body is not None:
            return _flatten(body, wrapped, inside=True)
    return _flatten(root, source, inside=False)


def count_subtrees(tree: SyntaxTree) -> Counter[int]:
    """How often each shape of subtree occurs, by a hash that means something in this process only.

    A shape is what tree-sitter prints of a node: kinds and fields of named nodes, neither names nor
    operators (Ren et al. 2020, section 3.2: the leaves' names are left out). Shapes are hashed from
    the leaves up, 64 bits each, so that a deep tree costs no more than a wide one.
    """
    shapes: list[int] = [0] * len(tree.kinds)
    counts: Counter[int] = Counter()
    for node in reversed(range(len(tree.kinds))):
        inner = tuple((tree.fields[child], shapes[child]) for child in tree.children[node] if tree.named[child])
        shapes[node] = hash((tree.kinds[node], inner))
        if tree.children[node]:
            counts[shapes[node]] += 1
    return counts


def _python_parses(code: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(ast.parse(code).body)
        # ValueError: a NUL byte; MemoryError and RecursionError: nesting beyond the parser's stack.
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False


@cache
def _grammar(language: Language) -> tree_sitter.Language:
    return tree_sitter.Language(_GRAMMARS[language]())


def _wrapper_body(root: tree_sitter.Node) -> tree_sitter.Node | None:
    """The body of the wrapper class, unless the code breaks out of it (`} class Other {`)."""
    if root.has_error or root.named_child_count != 1:
        return None
    declaration = root.named_children[0]
    return next((child for child in declaration.children if child.type in _BODIES), None)


def _visit(root: tree_sitter.Node) -> Iterator[tuple[int, tree_sitter.Node, str]]:
    """Depth, node and field of every node in reading order; leaves and remarks are not entered."""
    cursor = root.walk()
    depth = 0
    while True:
        node = cursor.node
        assert node is not None
        yield depth, node, cursor.field_name or ""
        if not _is_leaf(node) and not _is_remark(node) and cursor.goto_first_child():
            depth += 1
            continue
        while not cursor.goto_next_sibling():
            if depth == 0:
                return
            cursor.goto_parent()
            depth -= 1


def _flatten(root: tree_sitter.Node, source: bytes, *, inside: bool) -> SyntaxTree:
    """Copy the tree below `root`; `inside` says that it is the wrapper's body, whose braces are ours."""
    rows: list[tuple[str, str, bool, str]] = []
    children: list[list[int]] = []
    path: list[int] = []
    tokens: list[str] = []
    covered, stop = (root.start_byte, root.end_byte) if inside else (0, len(source))
    for depth, node, field in _visit(root):
        ours = inside and depth == 1 and node.type in {"{", "}"}
        dropped = ours or _is_remark(node)
        text = ""
        if dropped or _is_leaf(node):
            tokens += _text(source, covered, node.start_byte).split()
            covered = max(covered, node.end_byte)
            text = "" if dropped else _text(source, node.start_byte, node.end_byte)
            tokens += [text] if text else []
        if dropped:
            continue
        del path[depth:]
        if path:
            children[path[-1]].append(len(rows))
        path.append(len(rows))
        children.append([])
        rows.append((f"MISSING {node.type}" if node.is_missing else node.type, field, node.is_named, text))
    tokens += _text(source, covered, stop).split()
    kinds, fields, named, texts = zip(*rows, strict=True)
    return SyntaxTree(
        kinds=kinds,
        fields=fields,
        named=named,
        texts=texts,
        children=tuple(map(tuple, children)),
        tokens=tuple(tokens),
        has_error=root.has_error,
    )


def _text(source: bytes, start: int, end: int) -> str:
    return source[start:end].decode("utf-8", errors="replace")


def _is_leaf(node: tree_sitter.Node) -> bool:
    if node.child_count == 0:
        return True
    # The values inside an f-string are code, the rest of a literal is not.
    return node.type in _LITERALS and all(child.type != "interpolation" for child in node.children)


def _is_remark(node: tree_sitter.Node) -> bool:
    if node.type in _COMMENTS:
        return True
    return node.type == "expression_statement" and node.child_count == 1 and node.children[0].type == "string"
