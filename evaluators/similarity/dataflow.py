"""Which values flow into which names: the edges that CodeBLEU's dataflow match compares.

After GraphCodeBERT's extraction, which CodeBLEU's reference implementation uses, with one decision
of our own: a loop's body is read once, and what its end hands to its beginning is settled afterwards.
The reference reads it twice, hence 2**depth times when loops nest. Edges of a name to itself at the
same place are dropped, and sources keep the order of the text instead of a set's.
"""

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from evaluators.similarity.syntax import SyntaxTree

Flow = tuple[int, str, tuple[int, ...]]
"""A name, how its value arises, and the names it arises from; names are numbered as they appear."""

_DEFINITIONS = frozenset({"variable_declarator", "default_parameter", "typed_default_parameter", "named_expression"})
_ASSIGNMENTS = frozenset({"assignment_expression", "assignment", "augmented_assignment", "for_in_clause"})
_UPDATES = frozenset({"update_expression", "prefix_unary_expression", "postfix_unary_expression"})
_BRANCHES = frozenset({"if_statement"})
_LOOPS = frozenset({"for_statement", "while_statement", "do_statement", "enhanced_for_statement", "foreach_statement"})
_COMPREHENSIONS = frozenset(
    {"list_comprehension", "set_comprehension", "dictionary_comprehension", "generator_expression"}
)
_TUPLES = frozenset({"pattern_list", "tuple_pattern", "expression_list", "tuple"})

_DEEPEST_LOOP = 16
"""Loops nested deeper are read like straight lines: 3,000 of them would take minutes to settle."""

_Sources = frozenset[int]
_State = dict[str, _Sources]
_Walk = Generator[tuple[int, _State], None, None]


@dataclass(slots=True)
class _Edge:
    relation: str
    names: list[str]
    sources: set[int]


@dataclass(slots=True)
class _Reading:
    """What one tree has shown so far.

    `joins` stand for values that meet at the head of a loop: a source -1-k means whatever reaches
    `joins[k]`. `heads` are the loops being read, outermost first, each with the joins that it has
    made for names never seen before it.
    """

    tree: SyntaxTree
    edges: dict[int, _Edge] = field(default_factory=dict)
    joins: list[set[int]] = field(default_factory=list)
    heads: list[dict[str, int]] = field(default_factory=list)

    def join(self, sources: _Sources) -> int:
        self.joins.append(set(sources))
        return -len(self.joins)

    def reaching(self, name: str, state: _State) -> _Sources:
        """The places whose value `name` may hold here."""
        if name in state:
            return state[name]
        outer: _Sources = frozenset()
        for head in self.heads:
            if name not in head:
                head[name] = self.join(outer)
            outer = frozenset({head[name]})
        return outer

    def settle(self, sources: set[int]) -> set[int]:
        """The places behind `sources`, with every join followed."""
        places, seen, todo = set(), set(sources), list(sources)
        while todo:
            source = todo.pop()
            if source >= 0:
                places.add(source)
                continue
            fresh = self.joins[-1 - source] - seen
            seen |= fresh
            todo += fresh
        return places


def extract_flows(tree: SyntaxTree) -> Counter[Flow]:
    """The flows of a program, with names numbered in the order in which the flows bring them up.

    Empty where no value flows from one place to another.
    """
    reading = _Reading(tree=tree)
    _run(reading)
    for place, edge in reading.edges.items():
        edge.sources = reading.settle(edge.sources) - {place}
    used = {source for edge in reading.edges.values() for source in edge.sources}
    numbers: dict[str, int] = {}
    flows: Counter[Flow] = Counter()
    for place in sorted(reading.edges):
        edge = reading.edges[place]
        if not edge.sources and place not in used:
            continue
        names = edge.names if edge.sources else []
        origins = tuple(numbers.setdefault(name, len(numbers)) for name in names)
        flows[(numbers.setdefault(tree.texts[place], len(numbers)), edge.relation, origins)] += 1
    return flows


def _run(reading: _Reading) -> None:
    """Drive the walk by a stack of our own: code nests deeper than Python's stack allows."""
    stack = [_walk(reading, 0, {})]
    while stack:
        request = next(stack[-1], None)
        if request is None:
            stack.pop()
        else:
            stack.append(_walk(reading, *request))


def _walk(reading: _Reading, node: int, state: _State) -> _Walk:
    """Read one node; a yielded (node, state) is read before the walk goes on. `state` is changed."""
    tree = reading.tree
    kind = tree.kinds[node]
    if not tree.children[node]:
        _read_leaf(reading, node, state)
    elif kind in _DEFINITIONS:
        yield from _define(reading, node, state)
    elif kind in _ASSIGNMENTS and tree.child(node, "right") is not None:
        yield from _assign(reading, node, state)
    elif kind in _UPDATES and any(tree.texts[child] in {"++", "--"} for child in tree.children[node]):
        _update(reading, node, state)
    elif kind in _BRANCHES:
        yield from _branch(reading, node, state)
    elif kind in _LOOPS and len(reading.heads) < _DEEPEST_LOOP:
        yield from _loop(reading, node, state)
    else:
        yield from _read_all(reading, _in_order_of_evaluation(tree, node), state)


def _read_all(reading: _Reading, nodes: Sequence[int], state: _State) -> _Walk:
    for node in nodes:
        if reading.tree.children[node]:
            yield node, state
        else:
            _read_leaf(reading, node, state)


def _in_order_of_evaluation(tree: SyntaxTree, node: int) -> Sequence[int]:
    """The children of `node`, a comprehension's clauses before the expression that uses their names."""
    children = tree.children[node]
    if tree.kinds[node] not in _COMPREHENSIONS:
        return children
    return sorted(children, key=lambda child: tree.kinds[child] != "for_in_clause")


def _read_leaf(reading: _Reading, place: int, state: _State) -> None:
    tree = reading.tree
    if not _is_value(tree, place):
        return
    name = tree.texts[place]
    sources = reading.reaching(name, state)
    _record(reading, place, "comesFrom", [name], sources)
    if name not in state and tree.kinds[place] == "identifier":
        state[name] = sources | {place}


def _define(reading: _Reading, node: int, state: _State) -> _Walk:
    tree = reading.tree
    name = tree.child(node, "name")
    value = tree.child(node, "value")
    if value is None:
        # C#'s grammar gives a declarator's value no field name: it follows the "=".
        signs = [child for child in tree.children[node] if tree.texts[child] == "="]
        value = next((child for child in tree.children[node] if signs and child > signs[0]), None)
    if value is not None:
        yield value, state
    written = [] if name is None else _places(tree, name)
    _write(reading, written, [] if value is None else _places(tree, value), state, relation="comesFrom")


def _assign(reading: _Reading, node: int, state: _State) -> _Walk:
    tree = reading.tree
    left, right = tree.child(node, "left"), tree.child(node, "right")
    assert right is not None
    yield right, state
    for target, value in [] if left is None else _pairs(tree, left, right):
        _write(reading, _places(tree, target), _places(tree, value), state)


def _update(reading: _Reading, node: int, state: _State) -> None:
    for place in _places(reading.tree, node):
        name = reading.tree.texts[place]
        _record(reading, place, "computedFrom", [name], reading.reaching(name, state))
        state[name] = frozenset({place})


def _branch(reading: _Reading, node: int, state: _State) -> _Walk:
    """Each branch starts from what its condition leaves; after it, the values of all are possible."""
    tree = reading.tree
    ends: list[_State] = []
    exhaustive = False
    for part in tree.children[node]:
        # Python's elif is a clause beside the others, with a condition and a consequence of its own.
        for child in tree.children[part] if tree.kinds[part] == "elif_clause" else (part,):
            if tree.fields[child] in {"consequence", "alternative"}:
                exhaustive = exhaustive or tree.fields[child] == "alternative"
                ends.append(dict(state))
                yield child, ends[-1]
            else:
                yield child, state
    _replace(state, _merge(ends if exhaustive else [*ends, state]))


def _loop(reading: _Reading, node: int, state: _State) -> _Walk:
    tree = reading.tree
    parts = tree.children[node]
    first = [child for child in parts if tree.fields[child] in {"init", "initializer"}]
    yield from _read_all(reading, first, state)
    entry = dict(state)
    joins = {name: reading.join(sources) for name, sources in entry.items()}
    reading.heads.append({})
    state.update({name: frozenset({join}) for name, join in joins.items()})
    each = _iteration(tree, node)
    if each is not None:
        yield each[1], state
        for target, value in _pairs(tree, *each):
            _write(reading, _places(tree, target), _places(tree, value), state)
    yield from _read_all(reading, [part for part in parts if part not in (*first, *(each or ()))], state)
    for name, join in {**joins, **reading.heads.pop()}.items():
        reading.joins[-1 - join] |= state.get(name, frozenset())
    # A loop may not run at all.
    _replace(state, _merge([state, entry]))


def _iteration(tree: SyntaxTree, node: int) -> tuple[int, int] | None:
    """What a for-each loop assigns to, and what it iterates over; None for other loops."""
    target = tree.child(node, "left") or tree.child(node, "name")
    iterated = tree.child(node, "right") or tree.child(node, "value")
    return None if target is None or iterated is None else (target, iterated)


def _replace(state: _State, other: _State) -> None:
    state.clear()
    state.update(other)


def _merge(states: Sequence[_State]) -> _State:
    merged: dict[str, set[int]] = {}
    for state in states:
        for name, sources in state.items():
            merged.setdefault(name, set()).update(sources)
    return {name: frozenset(sources) for name, sources in merged.items()}


def _pairs(tree: SyntaxTree, left: int, right: int) -> list[tuple[int, int]]:
    """Targets with their values: `a, b = c, d` is two assignments."""
    if tree.kinds[left] in _TUPLES and tree.kinds[right] in _TUPLES:
        targets, values = ([child for child in tree.children[side] if tree.named[child]] for side in (left, right))
        if len(targets) == len(values):
            return list(zip(targets, values, strict=True))
    return [(left, right)]


def _write(
    reading: _Reading, targets: list[int], values: list[int], state: _State, *, relation: str = "computedFrom"
) -> None:
    names = [reading.tree.texts[value] for value in values]
    for place in targets:
        _record(reading, place, relation, names, frozenset(values))
        state[reading.tree.texts[place]] = frozenset({place})


def _record(reading: _Reading, place: int, relation: str, names: list[str], sources: _Sources) -> None:
    edge = reading.edges.setdefault(place, _Edge(relation=relation, names=[], sources=set()))
    edge.names += [name for name in names if name not in edge.names]
    edge.sources |= sources


def _places(tree: SyntaxTree, node: int) -> list[int]:
    """The leaves below `node` that can hold a value, in order of the text."""
    found, todo = [], [node]
    while todo:
        current = todo.pop()
        todo += reversed(tree.children[current])
        if _is_value(tree, current):
            found.append(current)
    return found


def _is_value(tree: SyntaxTree, node: int) -> bool:
    """Names and literals; keywords and punctuation are leaves whose kind is their text."""
    return not tree.children[node] and tree.named[node] and tree.texts[node] not in {"", tree.kinds[node]}
