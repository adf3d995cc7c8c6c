"""Whether a program that mono's compiler refused is one of today's C#, for which that compiler is too old.

One decision: it is told by evidence. A current grammar must accept the program, and either the program holds a
construct that mono's `mcs` does not know, or the compiler's own message says that it lacks something which the
language or its library has since. Everything else that is refused is the program's own fault. Found by trying:
each construct of C# 7 to 13 was given to mcs 6.8.
"""

import re

import tree_sitter

from evaluators.languages.syntax import GrammarSource, parse_with

GRAMMAR = GrammarSource(
    package="tree-sitter-c-sharp",
    comments=frozenset({"comment"}),
    literals=frozenset({"string_literal", "character_literal"}),
)
_CONSTRUCTS = frozenset(
    {
        *("switch_expression", "local_function_statement", "implicit_object_creation_expression", "range_expression"),
        *("record_declaration", "raw_string_literal", "collection_expression", "with_expression", "when_clause"),
        *("negated_pattern", "or_pattern", "and_pattern", "relational_pattern", "recursive_pattern", "list_pattern"),
        *("init", "required", "??=", ">>>", "string_literal_encoding", "file_scoped_type"),
    }
)
_REFERENCES = frozenset({"string", "object", "dynamic"})
_TYPES = (
    "nint nuint unmanaged notnull Span ReadOnlySpan Memory ReadOnlyMemory Index Range IAsyncEnumerable PriorityQueue "
    "HashCode DateOnly TimeOnly Half Int128 UInt128 FrozenSet FrozenDictionary ImmutableArray ImmutableList "
    "ImmutableDictionary ImmutableHashSet BitOperations"
)
_MEMBERS = (
    "Clamp TakeLast SkipLast Chunk MaxBy MinBy DistinctBy UnionBy ExceptBy IntersectBy ToHashSet TryAdd Order "
    "GetValueOrDefault OrderDescending CountBy AggregateBy Index TryGetNonEnumeratedCount EnsureCapacity "
    "TryPop TryPeek TryDequeue AsSpan Cbrt Log2 PopCount IsAsciiDigit IsAsciiLetter Shared Combine ThrowIfNull "
    "ReplaceLineEndings Shuffle CopySign IsPow2"
)
_MESSAGES = tuple(
    re.compile(pattern)
    for pattern in (
        r"^CS(?:1644|8025|8026|8346|1738|0404)\b",  # a feature by its name, spans of the stack, late positions, ...
        r"^CS0019\b.*type `\(",  # tuples are compared
        r"^CS0230\b",  # a loop takes its item apart
        r"^CS0531\b",  # an interface's own method
        r"^CS0815\b.*(?:lambda|anonymous|method group)",  # the natural type of a lambda
        r"^CS0100\b.*`_'",
        r"^CS0225\b",
        r"^CS1646\b",  # @$"..."
        r"^CS0134\b.*type `string'",  # a constant made of constants
        r"^CS0173\b.*`(?:null|<null>)'",  # a conditional expression takes its type from where it is used
        r"^CS0825\b.*`var'",
        rf"^CS0(?:246|103)\b.*`(?:{'|'.join(map(re.escape, _TYPES.split()))})[`'<]",
        rf"^CS(?:0117|1061)\b.*definition for `(?:{'|'.join(_MEMBERS.split())})'",
    )
)


def is_newer(source: str, message: str, *, grammar: GrammarSource) -> bool:
    """Whether a refused program is refused for its compiler's age; `message` is the compiler's first."""
    root = _accepted(source, grammar)
    if root is None:
        return False
    said = re.sub(r"^line \d+: ", "", message)
    return any(pattern.search(said) for pattern in _MESSAGES) or any(map(_is_since, _nodes(root)))


def _accepted(source: str, grammar: GrammarSource) -> tree_sitter.Node | None:
    """The tree of a program, as it stands or as the members of a class; None if neither is grammatical."""
    text = source.encode("utf-8", errors="replace")
    root = parse_with(grammar, text)
    if not root.has_error and all(child.type != "global_statement" for child in root.children):
        return root
    root = parse_with(grammar, b"class Wrapper {\n" + text + b"\n}")
    return None if root.has_error else root


def _nodes(root: tree_sitter.Node) -> list[tree_sitter.Node]:
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += node.children
    return found


def _is_since(node: tree_sitter.Node) -> bool:
    """Whether a node is a construct that mcs does not know."""
    kind, first = node.type, node.children[0] if node.children else None
    if kind in _CONSTRUCTS:
        return True
    if first is None:
        return False
    if kind == "nullable_type":  # `string?`; that of a value type is as old as the hills
        named = first.text is not None and first.text.decode(errors="replace") in _REFERENCES
        return named or first.type in ("array_type", "generic_name")
    words = {child.type for child in node.children}
    return (
        (kind == "prefix_unary_expression" and first.type == "^")
        or (kind == "postfix_unary_expression" and node.children[-1].type == "!")
        or (kind == "local_declaration_statement" and "using" in words)
        or (kind == "foreach_statement" and "await" in words)
        or (kind == "lambda_expression" and _is_new_lambda(node))
        or (kind == "using_directive" and (first.type == "global" or "tuple_type" in words))
    )


def _is_new_lambda(node: tree_sitter.Node) -> bool:
    """Static, or with its return type written out."""
    before = [child for child in node.children if child.type not in ("async", "attribute_list")]
    modifiers = {child.text for child in node.children if child.type == "modifier"}
    return b"static" in modifiers or (before and before[0].type == "static") or "type" in _fields(node)


def _fields(node: tree_sitter.Node) -> set[str]:
    names = (node.field_name_for_child(index) for index in range(node.child_count))
    return {name for name in names if name is not None}


__all__ = ["GRAMMAR", "is_newer"]
