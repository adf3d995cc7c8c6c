"""What a definition in a Python program needs: statements that bind the names it uses, through any number of steps.

One decision: names are told apart as the compiler tells them (`symtable`), so that a local variable of the
answer is not taken for a constant of the same name in the example below it.
"""

import ast
import builtins
import symtable
from collections.abc import Sequence

from evaluators.languages.python.reading import Broken, read

_BUILTINS = frozenset(dir(builtins))
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LASTING = (*_DEFINITIONS, ast.Assign, ast.AnnAssign, ast.If, ast.Try)
"""What a later definition of the answer may be; a loop's variable of the same name is none."""
# Frameworks that are no part of Python, which an answer imports for the tests that it shows.
_TEST_TOOLS = frozenset({"pytest", "nose", "nose2", "hypothesis", "parameterized", "testtools"})


def definitions(tree: ast.Module, name: str) -> list[int]:
    """The statements that define a name, in order; or else the classes that have such a method. An import is none."""
    places = [
        place
        for place, statement in enumerate(tree.body)
        if not isinstance(statement, ast.Import | ast.ImportFrom) and name in _bound(statement)
    ]
    if places:
        return places
    return [
        place
        for place, statement in enumerate(tree.body)
        if isinstance(statement, ast.ClassDef) and _method(statement, name) is not None
    ]


def _method(owner: ast.ClassDef, name: str) -> ast.stmt | None:
    return next((part for part in owner.body if isinstance(part, _DEFINITIONS) and part.name == name), None)


def ends_after(statement: ast.stmt, name: str, line: int, column: int) -> bool:
    """Whether what defines `name` in the statement goes on behind a place; columns are in characters."""
    inner = statement
    if isinstance(statement, ast.ClassDef) and statement.name != name:
        inner = _method(statement, name) or statement
    return (inner.end_lineno or 0, inner.end_col_offset or 0) > (line, column)


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement at the margin gives a value, or changes: `f.cache = {}` changes `f`."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    names, waiting = set[str](), list[ast.AST]([statement])
    while waiting:
        node = waiting.pop()
        if isinstance(node, _DEFINITIONS):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(part.asname or part.name).partition(".")[0] for part in node.names}
        elif isinstance(node, ast.For):
            waiting += [*node.body, *node.orelse]  # nobody needs a loop for its variable
            continue
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            names |= _root(node)
        waiting += ast.iter_child_nodes(node)
    return names


def _root(node: ast.expr) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _filled(statement: ast.stmt) -> set[str]:
    """The names whose methods a statement calls for their effect, as in `TABLE.append(1)`."""
    calls = (node.value for node in ast.walk(statement) if isinstance(node, ast.Expr))
    return {
        name
        for call in calls
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        for name in _root(call.func)
    }


def _used(source: str) -> set[str]:
    """The names that a piece of code takes from the module; empty if the compiler refuses it."""
    try:
        waiting = [symtable.symtable(source, "<answer>", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = set[str]()
    while waiting:
        table = waiting.pop()
        top = table.get_type() == "module"
        # `counter += 1` with `global counter` assigns, and reads all the same.
        names |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_declared_global() or (symbol.is_referenced() and (top or symbol.is_global()))
        }
        waiting += table.get_children()
    return names


def _first_line(statement: ast.stmt) -> int:
    decorators = statement.decorator_list if isinstance(statement, _DEFINITIONS) else []
    return min(statement.lineno, *(decorator.lineno for decorator in decorators)) if decorators else statement.lineno


def _source(lines: Sequence[str], statement: ast.stmt) -> str:
    return "\n".join(lines[_first_line(statement) - 1 : statement.end_lineno])


def only_needed(program: str, name: str, *, is_body: bool) -> str:
    """The program up to the definition of `name`, and of what follows that what it needs.

    Comments at the margin go with the statement that they introduce. In a program that began as a body, a
    second definition of `name` is a repetition.
    """
    tree = read(program)
    if isinstance(tree, Broken) or not (places := definitions(tree, name)):
        return program
    lines, first = program.split("\n"), places[0]
    own = set() if is_body else {place for place in places[1:] if isinstance(tree.body[place], _LASTING)}
    kept = _needed_after(tree, lines, first, own) if len(tree.body) > first + 1 else set()
    return _rebuilt(tree, lines, first, kept)


def without_test_tools(program: str) -> str:
    """The program without imports of test frameworks that nothing in it uses; they are not installed where it runs."""
    tree = read(program)
    if isinstance(tree, Broken):
        return program
    lines = program.split("\n")
    others = [part for part in tree.body if not _is_test_tool(part)]
    used = _used("\n".join(_source(lines, part) for part in others))
    for part in reversed(tree.body):
        alone = lines[part.lineno - 1 : part.end_lineno] == _source(lines, part).split("\n")
        if part not in others and alone and not _bound(part) & used:
            del lines[part.lineno - 1 : part.end_lineno]
    return "\n".join(lines)


def _is_test_tool(part: ast.stmt) -> bool:
    names = [alias.name for alias in part.names] if isinstance(part, ast.Import) else []
    if isinstance(part, ast.ImportFrom) and part.module and not part.level:
        names = [part.module]
    return bool(names) and all(name.partition(".")[0] in _TEST_TOOLS for name in names)


def _needed_after(tree: ast.Module, lines: Sequence[str], first: int, own: set[int]) -> set[int]:
    """The statements behind the first definition that are needed; those that are the answer's `own` are."""
    earlier = {part.name for part in tree.body[: first + 1] if isinstance(part, _DEFINITIONS)}
    changes, values = dict[int, set[str]](), _values(tree)
    for place in range(first + 1, len(tree.body)):
        statement = tree.body[place]
        if place not in own and not _is_main_guard(statement):
            changes[place] = _changed(statement, values, earlier)
    kept, names = set(own), set[str]()
    waiting = [*tree.body[: first + 1], *(tree.body[place] for place in own)]
    while waiting:
        names |= _used("\n".join(_source(lines, statement) for statement in waiting))
        found = {place for place, changed in changes.items() if place not in kept and changed & names}
        kept |= found
        waiting = [tree.body[place] for place in found]
    return kept


def _changed(statement: ast.stmt, values: set[str], earlier: set[str]) -> set[str]:
    """The names for whose sake a statement behind the answer may be needed."""
    if isinstance(statement, ast.Assert):
        return set()
    if isinstance(statement, _DEFINITIONS):
        return {statement.name} - earlier  # a second definition of what stands above is a repetition
    return (_bound(statement) | _filled(statement) & values) - _BUILTINS


def _values(tree: ast.Module) -> set[str]:
    """The names that assignments give a value, which may be filled later; functions and modules are not."""
    return {name for part in tree.body if isinstance(part, ast.Assign | ast.AnnAssign) for name in _bound(part)}


def _is_main_guard(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _rebuilt(tree: ast.Module, lines: Sequence[str], first: int, kept: set[int]) -> str:
    """The lines up to the definition and of the statements that are kept, each with the comments above it."""
    end = tree.body[first].end_lineno or 0
    found, taken = list(lines[:end]), True
    for place in range(first + 1, len(tree.body)):
        statement = tree.body[place]
        own, above = _parted(lines[end : _first_line(statement) - 1])
        found += own if taken else []
        taken = place in kept
        begin = max(end, _first_line(statement) - 1)
        found += [*above, *lines[begin : statement.end_lineno]] if taken else []
        end = max(end, statement.end_lineno or 0)
    own, above = _parted(lines[end:])
    if len(kept) == len(tree.body) - first - 1 and not above:
        return "\n".join(lines)
    return "\n".join([*found, *(own if taken else [])]).rstrip() + "\n"


def _parted(gap: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The lines of a gap that belong to what stands above, and from the first comment at the margin on."""
    at = next((place for place, line in enumerate(gap) if line.strip() and not line[0].isspace()), len(gap))
    return gap[:at], gap[at:]


def is_settled(program: str, name: str, *, begun: str) -> bool:
    """Whether a program has all names that it uses, and a definition of `begun` or any statement changes none of them.

    Values at the margin may be filled or set again by what follows, and so may attributes of the answer itself.
    """
    tree, used = read(program), _used(program)
    if isinstance(tree, Broken) or not used <= {n for part in tree.body for n in _bound(part)} | _BUILTINS:
        return False
    own = any(isinstance(node, ast.Attribute) and _root(node) == {name} for node in ast.walk(tree))
    return not own and begun not in used and not used & _values(tree)


def supplies(program: str, others: Sequence[str]) -> list[str]:
    """The statements of other programs that bind names which this one uses and does not have."""
    tree = read(program)
    if isinstance(tree, Broken):
        return []
    has = {name for statement in tree.body for name in _bound(statement)} | _BUILTINS
    if not (missing := _used(program) - has):
        return []
    pool = [
        (statement, _source(other.split("\n"), statement), _bound(statement))
        for other in others
        if not isinstance(parts := read(other), Broken)
        for statement in parts.body
        if not isinstance(statement, ast.Expr | ast.Assert) and not _is_main_guard(statement)
    ]
    taken = set[int]()
    while wanted := [at for at, (_, _, bound) in enumerate(pool) if at not in taken and bound & missing]:
        taken |= set(wanted)
        missing |= {name for at in wanted for name in _used(pool[at][1])} - has
    return [pool[at][1] for at in sorted(taken)]


__all__ = ["definitions", "ends_after", "is_settled", "only_needed", "supplies"]
