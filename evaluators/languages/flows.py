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

from evaluators.languages.syntax import SyntaxTree

Flow = tuple[int, str, tuple[int, ...]]
"""A name, how its value arises, and the names it arises from; names are numbered as they appear."""

_LOOPS_READ_TWICE = 4


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
class Reading:
    """What one tree has shown so far.

    `used` are the places that a value was read from, `values` the origin of each name's value here,
    `branches` what the names held before each branch that is being read, outermost first.
    """

    tree: SyntaxTree
    rules: "Mapping[str, Rule]"
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


Walk = Generator["Walk", None, None]
"""A part of the walk; what it yields is walked before it goes on."""
Rule = Callable[[Reading, int], Walk]


def flows_of(tree: SyntaxTree, *, rules: Mapping[str, Rule]) -> Counter[Flow]:
    """The flows of a program, with names numbered in the order in which the flows bring them up.

    `rules` say how nodes of some kinds are read. Empty where no value flows from one place to another.
    """
    reading = Reading(tree=tree, rules=rules)
    # The walk is driven by a stack of our own: code nests deeper than Python's stack allows.
    stack = [walk(reading, 0, tree.ends[0])]
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


def walk(reading: Reading, start: int, stop: int) -> Walk:
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


def _read(reading: Reading, place: int) -> None:
    name = reading.tree.names[place]
    origin = reading.values.get(name)
    if origin is not None:
        reading.mark(origin)
        reading.record(place, "comesFrom", (name,), has_source=True)
        return
    reading.record(place, "comesFrom", (), has_source=False)
    if reading.tree.kinds[place] == "identifier":
        reading.assign(name, _Origin(place))


def write(reading: Reading, targets: Sequence[int], values: Sequence[int], relation: str) -> None:
    """`targets` get their value from `values`, all of them places."""
    names = [reading.tree.names[value] for value in values]
    reading.used.update(values if targets else ())
    for place in targets:
        reading.record(place, relation, names, has_source=bool(values))
        reading.assign(reading.tree.names[place], _Origin(place))


def write_distinct(reading: Reading, target: int, value: int, relation: str) -> None:
    """As `write` for the nodes of an assignment in which a name counts once, and no value is no edge."""
    tree = reading.tree
    targets, values = places(tree, target), places(tree, value)
    names = list(dict.fromkeys(tree.names[place] for place in values))
    reading.used.update(values if targets else ())
    for place in targets:
        if names:
            reading.record(place, relation, names, has_source=True)
        reading.assign(tree.names[place], _Origin(place))


def places(tree: SyntaxTree, node: int) -> list[int]:
    """The leaves of `node` that can hold a value, in order of the text."""
    found, stop = [], tree.ends[node]
    while node < stop:
        if tree.names[node]:
            found.append(node)
            node = tree.ends[node]
        else:
            node += 1
    return found


def visit(reading: Reading, node: int) -> Walk:
    """The walk over one node."""
    return walk(reading, node, reading.tree.ends[node])


def inside(reading: Reading, node: int) -> Walk:
    """The walk over all children of a node that has a rule of its own."""
    return walk(reading, node + 1, reading.tree.ends[node])


def fork(reading: Reading, branches: Sequence[Sequence[int]], *, exhaustive: bool) -> Walk:
    """Read branches, each from here; a name's value is then that of any, and of none unless `exhaustive`."""
    ends: list[dict[str, _Origin]] = []
    for nodes in branches:
        reading.branches.append({})
        for node in nodes:
            yield visit(reading, node)
        ends.append(reading.leave_branch())
    for name in dict.fromkeys(name for end in ends for name in end):
        before = reading.values.get(name)
        origins = [end.get(name, before) for end in ends] + ([] if exhaustive else [before])
        parts = tuple({id(origin): origin for origin in origins if origin is not None}.values())
        reading.assign(name, parts[0] if len(parts) == 1 else _Origin(parts=parts))


def repeat(reading: Reading, once: Callable[[], Walk]) -> Walk:
    """Read a loop's part twice, unless it lies too deep."""
    reading.loops += 1
    for _ in range(2 if reading.loops <= _LOOPS_READ_TWICE else 1):
        yield once()
    reading.loops -= 1


def repeat_whole(reading: Reading, node: int) -> Walk:
    """The rule of a loop without a variable of its own."""
    yield repeat(reading, lambda: inside(reading, node))


def define(reading: Reading, node: int) -> Walk:
    """A declaration; C#'s grammar gives its value no field: it follows the "="."""
    tree = reading.tree
    name, value = tree.child(node, "name"), tree.child(node, "value")
    children = tree.children(node)
    if value is None:
        signs = [child for child in children if tree.kinds[child] == "="]
        # What follows may be a keyword (`this`), which holds no value of a name; then the mark stands for it.
        value = next((child for child in children if signs and child > signs[0]), *signs[:1] or (None,))
    if value is not None:
        yield visit(reading, value)
    target = children[0] if name is None else name
    if value is None:
        write(reading, places(tree, target), (), "comesFrom")
    else:
        write_distinct(reading, target, value, "comesFrom")


def for_each(assign: Callable[[Reading, int, int], None]) -> Rule:
    """The rule of a loop over items, whose variable gets them by `assign`."""

    def rule(reading: Reading, node: int) -> Walk:
        yield repeat(reading, lambda: _iterate(reading, node, assign))

    return rule


def _iterate(reading: Reading, node: int, assign: Callable[[Reading, int, int], None]) -> Walk:
    """One round of a for-each loop: what is iterated, the loop's variable, the body."""
    tree = reading.tree
    target = tree.child(node, "left") or tree.child(node, "name")
    value = tree.child(node, "right") or tree.child(node, "value")
    if target is None or value is None:
        yield inside(reading, node)
        return
    yield visit(reading, value)
    assign(reading, target, value)
    for child in tree.children(node):
        if tree.fields[child] in {"body", "alternative"}:
            yield visit(reading, child)


__all__ = [
    "Flow", "Reading", "Rule", "Walk", "define", "flows_of", "for_each", "fork", "inside", "places", "repeat",
    "repeat_whole", "visit", "walk", "write", "write_distinct",
]  # fmt: skip
