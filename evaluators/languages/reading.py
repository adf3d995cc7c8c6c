"""Reading code by the language that it is in: whether it parses, its tree, and which values flow.

One decision: the language is looked up here alone; what reads (`syntax`, `flows`) is given a grammar or rules.
"""

from collections import Counter

import tree_sitter

from evaluators.languages.flows import Flow, flows_of
from evaluators.languages.syntax import SyntaxTree, flatten, grammar_of, parse_with, parser_of
from evaluators.languages.table import LANGUAGES
from tasks.records import Language


def parses(code: str, *, language: Language) -> bool:
    """Whether `code` is a program in the language.

    Python is judged by the interpreter's own `ast`; Java and C# by tree-sitter, as they stand or as
    the members of a class, since our problems ask for bare static methods. An output without any
    code (empty, or comments alone) is not a program, though grammars accept it.
    """
    return LANGUAGES[language].parses(code)


def holds_no_code(code: str, *, language: Language) -> bool:
    """Whether a text is an empty file of the language, or one of comments alone: right, and no program."""
    grammar = LANGUAGES[language].grammar
    root = parse_with(grammar, code.encode("utf-8", errors="replace"))
    return not root.has_error and all(child.type in grammar.comments for child in root.children)


def parser(language: Language) -> tree_sitter.Parser:
    """A parser of the language's grammar."""
    return parser_of(LANGUAGES[language].grammar)


def parse(source: bytes, *, language: Language) -> tree_sitter.Node:
    """The root of tree-sitter's own tree."""
    return parse_with(LANGUAGES[language].grammar, source)


def read_tree(code: str, *, language: Language) -> SyntaxTree:
    """The tree of `code` as it stands, broken or not."""
    source = code.encode("utf-8", errors="replace")
    return flatten(parse(source, language=language), source, grammar_of(LANGUAGES[language].grammar))


def extract_flows(tree: SyntaxTree, *, language: Language) -> Counter[Flow]:
    """The flows of a program, with names numbered in the order in which the flows bring them up.

    Empty where no value flows from one place to another, and where nothing is known of the language's flows.
    """
    rules = LANGUAGES[language].flows
    return Counter() if rules is None else flows_of(tree, rules=rules())


__all__ = ["extract_flows", "holds_no_code", "parse", "parser", "parses", "read_tree"]
