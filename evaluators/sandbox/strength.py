"""Whether a problem's Python tests can run apart from the candidate, decided from the problem alone.

One decision: the names that tests use and nobody gives them are the candidate's. Where the reference
defines all of them as functions, each gets a proxy, and the tests run apart; where one is a class, or
anything else that plain data cannot stand for, the tests run in the candidate's process. A module that
the reference imports and the tests use is imported for them; what no reference defines is a class if it
is spelt like one.
"""

import ast
import builtins
import functools
import symtable
from dataclasses import dataclass

from tasks.records import CodeTests, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a problem's tests are run.

    If `apart`, `names` get proxies, and `imports` are statements of the reference that the tests rely
    on; else `reason` says why not.
    """

    apart: bool
    names: tuple[str, ...] = ()
    imports: str = ""
    reason: str = ""


def _table(code: str) -> symtable.SymbolTable | None:
    try:
        return symtable.symtable(code, "<tests>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return None


def _globals_used(table: symtable.SymbolTable) -> set[str]:
    """Names that a block and those within it look up among the globals."""
    top = table.get_type() == "module"
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return used.union(*(_globals_used(child) for child in table.get_children()))


def _defined(table: symtable.SymbolTable) -> set[str]:
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def _top_level(code: str) -> list[ast.stmt]:
    try:
        return ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError):
        return []


def _made(code: str) -> dict[str, ast.AST]:
    """A program's top-level names, each with what makes it: a definition, or the value assigned."""
    made: dict[str, ast.AST] = {}
    for node in _top_level(code):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made[node.name] = node
        elif isinstance(node, ast.Assign):
            made.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})
    return made


def _to_be_written(preamble: str) -> set[str]:
    """The function that a preamble leaves for the program to finish: its last, with nothing but a docstring."""
    last = next(reversed(_top_level(preamble)), None)
    if not isinstance(last, ast.FunctionDef):
        return set()
    empty = all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in last.body
    )
    return {last.name} if empty else set()


def _imports(code: str, names: set[str]) -> tuple[str, set[str]]:
    """The imports of a program that bind any of `names`, and the names that they bind."""
    found, bound = [], set[str]()
    for node in _top_level(code):
        if isinstance(node, ast.Import | ast.ImportFrom):
            binds = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            if binds & names:
                found.append(f"{ast.unparse(node)}\n")
                bound |= binds
    return "".join(found), bound


@functools.lru_cache(maxsize=4096)
def plan(problem: Problem) -> Plan:
    """Decide how the Python tests of a problem are run; `problem.tests` must be code."""
    tests = problem.tests
    assert isinstance(tests, CodeTests)
    table, preamble = _table(f"{tests.setup}\n{tests.code}"), _table(problem.preamble)
    if table is None:
        return Plan(apart=False, reason="the tests do not parse")
    own = _defined(table) | {"__name__"}
    needed = (_globals_used(table) | ({tests.entry_point} if tests.entry_point else set())) - own
    made = _made(problem.reference)  # a program may well define a `sum` of its own
    given = (set(dir(builtins)) - made.keys()) | (set() if preamble is None else _defined(preamble))
    given -= _to_be_written(problem.preamble)
    missing = needed - (given - {tests.entry_point})
    imports, imported = _imports(problem.reference, missing)
    # The function under test is handed over, even where the tests give its name to something of their own.
    names = tuple(sorted((missing - imported) | ({tests.entry_point} if tests.entry_point else set())))
    for name in names:
        if not isinstance(made[name], ast.FunctionDef | ast.Lambda) if name in made else name[:1].isupper():
            return Plan(apart=False, reason=f"the tests use {name}, which the program defines and is no function")
    return Plan(apart=True, names=names, imports=imports)


__all__ = ["Plan", "plan"]
