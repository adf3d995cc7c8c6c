"""Which values flow into which names: the edges that CodeBLEU's dataflow match compares.

After GraphCodeBERT's extraction (Guo et al. 2021), as CodeBLEU's reference implementation has it, with
one decision of our own: what a name's value may be at a place is kept as a tree of origins that is
marked when read, so that a program of a million branches costs a million steps and not their square.

A loop is read twice, which shows what its end hands to its beginning; one inside of `_LOOPS_READ_TWICE`
others is read once, since reading all twice takes 2**depth readings. Sources keep the order of the text.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluators.similarity.syntax import SyntaxTree
from tasks.records import Language

Flow = tuple[int, str, tuple[int, ...]]
"""A name, how its value arises, and the names it arises from; names are numbered as they appear."""

_LOOPS_READ_TWICE = 4
_TUPLES = frozenset({"pattern_list", "tuple_pattern", "expression_list", "tuple"})


@dataclass(slots=True)
class _Origin:
    """Where a value may come from: a place, or whatever several origins hold."""

    place: int = -1
    parts: "tuple[_Origin, ...]" = ()
    read: bool = False


@dataclass(slots=True)
class _Edge:
    relation: str
    names: list[str]
    has_source: bool


@dataclass(slots=True)
class _Reading:
    """What one tree has shown so far.

    `used` are the places that a value was read from, `values` the origin of each name's value here,
    `branches` what the names held before each branch that is being read, outermost first.
    """

    tree: SyntaxTree
    rules: "Mapping[str, _Rule]"
    edges: dict[int, _Edge] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    values: dict[str, _Origin] = field(default_factory=dict)
    branches: list[dict[str, _Origin | None]] = field(default_factory=list)
    loops: int = 0

    def assign(self, name: str, origin: _Origin) -> None:
        """Give a name a value; the branch that is being read remembers the one before."""
        if self.branches and name not in self.branches[-1]:
            self.branches[-1][name] = self.values.get(name)
        self.values[name] = origin

    def leave_branch(self) -> dict[str, _Origin]:
        """Undo what the innermost branch assigned, and say what it was."""
        before = self.branches.pop()
        after = {name: self.values[name] for name in before}
        for name, origin in before.items():
            if origin is None:
                del self.values[name]
            else:
                self.values[name] = origin
        return after

    def mark(self, origin: _Origin) -> None:
        """Note that the value of `origin` is read."""
        waiting = [origin]
        while waiting:
            origin = waiting.pop()
            if not origin.read:
                origin.read = True
                waiting += origin.parts
                if origin.place >= 0:
                    self.used.add(origin.place)

    def record(self, place: int, relation: str, names: Sequence[str], *, has_source: bool) -> None:
        """Add to what is known of a place; names met again are not repeated."""
        edge = self.edges.get(place)
        if edge is None:
            self.edges[place] = _Edge(relation=relation, names=list(names), has_source=has_source)
            return
        edge.relation = relation
        edge.names = list(dict.fromkeys((*edge.names, *names)))
        edge.has_source = edge.has_source or has_source


_Walk = Generator["_Walk", None, None]
"""A part of the walk; what it yields is walked before it goes on."""
_Rule = Callable[[_Reading, int], _Walk]


def extract_flows(tree: SyntaxTree, *, language: Language) -> Counter[Flow]:
    """The flows of a program, with names numbered in the order in which the flows bring them up.

    Empty where no value flows from one place to another.
    """
    reading = _Reading(tree=tree, rules=_RULES[language])
    # The walk is driven by a stack of our own: code nests deeper than Python's stack allows.
    stack = [_walk(reading, 0, tree.ends[0])]
    while stack:
        inner = next(stack[-1], None)
        if inner is None:
            stack.pop()
        else:
            stack.append(inner)
    numbers: dict[str, int] = {}
    flows: list[Flow] = []
    for place in sorted(reading.edges):
        edge = reading.edges[place]
        if edge.has_source or place in reading.used:
            origins = tuple(numbers.setdefault(name, len(numbers)) for name in edge.names)
            flows.append((numbers.setdefault(tree.names[place], len(numbers)), edge.relation, origins))
    return Counter(flows)


def _walk(reading: _Reading, start: int, stop: int) -> _Walk:
    """Read the nodes from `start` to `stop`."""
    tree, rules = reading.tree, reading.rules
    kinds, names, ends = tree.kinds, tree.names, tree.ends
    node = start
    while node < stop:
        rule = rules.get(kinds[node])
        if names[node]:
            _read(reading, node)
            node = ends[node]
        elif rule is None:
            node += 1
        else:
            yield rule(reading, node)
            node = ends[node]


def _read(reading: _Reading, place: int) -> None:
    name = reading.tree.names[place]
    origin = reading.values.get(name)
    if origin is not None:
        reading.mark(origin)
        reading.record(place, "comesFrom", (name,), has_source=True)
        return
    reading.record(place, "comesFrom", (), has_source=False)
    if reading.tree.kinds[place] == "identifier":
        reading.assign(name, _Origin(place))


def _write(reading: _Reading, targets: Sequence[int], values: Sequence[int], relation: str) -> None:
    """`targets` get their value from `values`, all of them places."""
    names = [reading.tree.names[value] for value in values]
    reading.used.update(values if targets else ())
    for place in targets:
        reading.record(place, relation, names, has_source=bool(values))
        reading.assign(reading.tree.names[place], _Origin(place))


def _write_in_c(reading: _Reading, target: int, value: int, relation: str) -> None:
    """As `_write` for the nodes of a Java or C# assignment: a name counts once, and no value is no edge."""
    tree = reading.tree
    targets, values = _places(tree, target), _places(tree, value)
    names = list(dict.fromkeys(tree.names[place] for place in values))
    reading.used.update(values if targets else ())
    for place in targets:
        if names:
            reading.record(place, relation, names, has_source=True)
        reading.assign(tree.names[place], _Origin(place))


def _places(tree: SyntaxTree, node: int) -> list[int]:
    """The leaves of `node` that can hold a value, in order of the text."""
    found, stop = [], tree.ends[node]
    while node < stop:
        if tree.names[node]:
            found.append(node)
            node = tree.ends[node]
        else:
            node += 1
    return found


def _visit(reading: _Reading, node: int) -> _Walk:
    return _walk(reading, node, reading.tree.ends[node])


def _inside(reading: _Reading, node: int) -> _Walk:
    """The walk over all children of a node that has a rule of its own."""
    return _walk(reading, node + 1, reading.tree.ends[node])


def _define(reading: _Reading, node: int) -> _Walk:
    """A declaration; C#'s grammar gives its value no field: it follows the "="."""
    tree = reading.tree
    name, value = tree.child(node, "name"), tree.child(node, "value")
    children = tree.children(node)
    if value is None:
        signs = [child for child in children if tree.kinds[child] == "="]
        # What follows may be a keyword (`this`), which holds no value of a name; then the mark stands for it.
        value = next((child for child in children if signs and child > signs[0]), *signs[:1] or (None,))
    if value is not None:
        yield _visit(reading, value)
    target = children[0] if name is None else name
    if value is None:
        _write(reading, _places(tree, target), (), "comesFrom")
    else:
        _write_in_c(reading, target, value, "comesFrom")


def _assign_in_c(reading: _Reading, node: int) -> _Walk:
    left, right = reading.tree.child(node, "left"), reading.tree.child(node, "right")
    if left is None or right is None:
        yield _inside(reading, node)
        return
    yield _visit(reading, right)
    _write_in_c(reading, left, right, "computedFrom")


def _update(reading: _Reading, node: int) -> _Walk:
    """`i++`: what is updated is computed from itself."""
    _write_in_c(reading, node, node, "computedFrom")
    yield from ()


def _assign_in_python(reading: _Reading, node: int) -> _Walk:
    """An annotation without a value (`x: int`) is none; in `for x in y`, y comes last."""
    tree = reading.tree
    left, right = tree.child(node, "left"), tree.child(node, "right")
    if left is not None and right is not None:
        yield _visit(reading, right)
        _unpack(reading, left, right)


def _unpack(reading: _Reading, left: int, right: int) -> None:
    """`a, b = c, d` is two assignments."""
    tree = reading.tree
    pairs = [(left, right)]
    if tree.kinds[left] in _TUPLES and tree.kinds[right] in _TUPLES:
        marks = {",", "(", ")"}
        sides = [[c for c in tree.children(side) if tree.kinds[c] not in marks] for side in (left, right)]
        if len(sides[0]) == len(sides[1]):
            pairs = list(zip(*sides, strict=True))
    for target, value in pairs:
        _write(reading, _places(tree, target), _places(tree, value), "computedFrom")


def _branch_in_c(reading: _Reading, node: int) -> _Walk:
    """Condition and consequence, then the alternative, which begins anew; all ends are possible."""
    children, kinds = reading.tree.children(node), reading.tree.kinds
    split = next((i for i, child in enumerate(children) if kinds[child] in {"if_statement", "else"}), len(children))
    # With an alternative too, what was before stays possible, as in the reference implementation.
    yield _fork(reading, [children[:split], *([child] for child in children[split:])], exhaustive=False)


def _branch_in_python(reading: _Reading, node: int) -> _Walk:
    children, kinds = reading.tree.children(node), reading.tree.kinds
    clauses = [child for child in children if kinds[child] in {"elif_clause", "else_clause"}]
    first = [child for child in children if kinds[child] not in {"elif_clause", "else_clause"}]
    exhaustive = any(kinds[child] == "else_clause" for child in clauses)
    yield _fork(reading, [first, *([child] for child in clauses)], exhaustive=exhaustive)


def _fork(reading: _Reading, branches: Sequence[Sequence[int]], *, exhaustive: bool) -> _Walk:
    """Read branches, each from here; a name's value is then that of any, and of none unless `exhaustive`."""
    ends: list[dict[str, _Origin]] = []
    for nodes in branches:
        reading.branches.append({})
        for node in nodes:
            yield _visit(reading, node)
        ends.append(reading.leave_branch())
    for name in dict.fromkeys(name for end in ends for name in end):
        before = reading.values.get(name)
        origins = [end.get(name, before) for end in ends] + ([] if exhaustive else [before])
        parts = tuple({id(origin): origin for origin in origins if origin is not None}.values())
        reading.assign(name, parts[0] if len(parts) == 1 else _Origin(parts=parts))


def _repeat(reading: _Reading, once: Callable[[], _Walk]) -> _Walk:
    """Read a loop's part twice, unless it lies too deep."""
    reading.loops += 1
    for _ in range(2 if reading.loops <= _LOOPS_READ_TWICE else 1):
        yield once()
    reading.loops -= 1


def _while(reading: _Reading, node: int) -> _Walk:
    yield _repeat(reading, lambda: _inside(reading, node))


def _for(reading: _Reading, node: int) -> _Walk:
    """Read as it stands, then again what follows the declaration of the loop's variable, if it has one."""
    tree = reading.tree
    declared = {"local_variable_declaration", "variable_declaration"}
    heads = [child for child in tree.children(node) if tree.kinds[child] in declared]
    if not heads:
        yield _inside(reading, node)
        return
    rest, stop = tree.ends[heads[0]], tree.ends[node]
    yield _walk(reading, node + 1, rest)
    yield _repeat(reading, lambda: _walk(reading, rest, stop))


def _for_each(reading: _Reading, node: int) -> _Walk:
    yield _repeat(reading, lambda: _iterate(reading, node))


def _iterate(reading: _Reading, node: int) -> _Walk:
    """One round of a for-each loop: what is iterated, the loop's variable, the body."""
    tree = reading.tree
    target = tree.child(node, "left") or tree.child(node, "name")
    value = tree.child(node, "right") or tree.child(node, "value")
    if target is None or value is None:
        yield _inside(reading, node)
        return
    yield _visit(reading, value)
    if tree.kinds[node] == "for_statement":
        _unpack(reading, target, value)
    else:
        _write_in_c(reading, target, value, "computedFrom")
    for child in tree.children(node):
        if tree.fields[child] in {"body", "alternative"}:
            yield _visit(reading, child)


def _comprehend(reading: _Reading, node: int) -> _Walk:
    """A comprehension's clauses come before the expression that uses their names."""
    kinds = reading.tree.kinds
    for child in sorted(reading.tree.children(node), key=lambda child: kinds[child] != "for_in_clause"):
        yield _visit(reading, child)


_IN_C: Mapping[str, _Rule] = {
    "variable_declarator": _define,
    "assignment_expression": _assign_in_c,
    "if_statement": _branch_in_c,
    "for_statement": _for,
    "while_statement": _while,
}
_RULES: Mapping[Language, Mapping[str, _Rule]] = {
    Language.JAVA: {**_IN_C, "update_expression": _update, "enhanced_for_statement": _for_each},
    Language.CSHARP: {**_IN_C, "postfix_unary_expression": _update, "foreach_statement": _for_each},
    Language.PYTHON: {
        "default_parameter": _define,
        "assignment": _assign_in_python,
        "augmented_assignment": _assign_in_python,
        "for_in_clause": _assign_in_python,
        "if_statement": _branch_in_python,
        "for_statement": _for_each,
        "while_statement": _while,
        "list_comprehension": _comprehend,
        "set_comprehension": _comprehend,
        "dictionary_comprehension": _comprehend,
        "generator_expression": _comprehend,
    },
}
