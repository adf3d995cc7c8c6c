"""What code each stage runs, so that none changes under a version that stays.

    python -m tests.orchestrator.stage_code     record the code as it is now, beside this file

Recording under an unchanged version declares that no stage gives other numbers for its change. One
decision: code is compared file by file, Python by its syntax tree without docstrings, so that comments,
wording and layout change nothing and a failure can name the files.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.study.stages import STAGES, StageName
from tasks.records import Language

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).with_suffix(".json")
PACKAGES = ("polytune", "orchestrator", "trainers", "evaluators", "models", "tasks")
# What surrounds a stage and decides none of its numbers: specs, records, and readers, whose versions are in keys.
AROUND = ("tasks.readers", "orchestrator.ledger", "orchestrator.study", "orchestrator.errors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Where a stage's code begins. Modules and packages that stand `apart` are left out, with what only they reach."""

    modules: tuple[str, ...]
    apart: tuple[str, ...] = AROUND


# The table of languages knows the way to every capability, but a stage goes few of them.
_RUNS_PROGRAMS = tuple(f"evaluators.languages.{language}.runtime" for language in Language)
_COMPARES_PROGRAMS = tuple(f"evaluators.languages.{language}.flows" for language in Language)

ROOTS: Mapping[StageName, Roots] = {
    # A training that validates by what it writes has the versions of generate and score in its key.
    StageName.TRAIN: Roots(
        modules=("orchestrator.work.train", "trainers.loop.train"),
        apart=(*AROUND, "evaluators", "orchestrator.work.score"),
    ),
    # vLLM imports `vllm_worker` by name, where it runs.
    StageName.GENERATE: Roots(
        modules=(
            "evaluators.generation.transformers_engine",
            "evaluators.generation.vllm_engine",
            "evaluators.generation.vllm_worker",
            "trainers.methods.table",
        )
    ),
    # The warm processes around and in candidates are started by name.
    StageName.EXECUTE: Roots(
        modules=("orchestrator.work.judge", "evaluators.isolation.keeper", "evaluators.isolation.zygote"),
        apart=(*AROUND, *_COMPARES_PROGRAMS),
    ),
    StageName.SCORE: Roots(modules=("orchestrator.work.score",), apart=(*AROUND, *_RUNS_PROGRAMS)),
}


def code_of(stage: StageName) -> dict[str, str]:
    """Digests of all that a stage runs of ours, by file."""
    roots = ROOTS[stage]
    files = _closure(list(roots.modules), apart=roots.apart)
    return {str(path.relative_to(ROOT)): _digest_of_file(path) for path in sorted(files)}


def changed(stage: StageName) -> list[str]:
    """Files whose code is not what was recorded for a stage."""
    before, now = recorded()[stage]["code"], code_of(stage)
    assert isinstance(before, dict)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def recorded() -> dict[StageName, dict[str, int | dict[str, str]]]:
    """Each stage's version and code as they were last recorded."""
    found: dict[StageName, dict[str, int | dict[str, str]]] = json.loads(STORED.read_text(encoding="utf-8"))
    return found


def record() -> None:
    """Write down every stage's version and code as they are now."""
    found = {
        stage: {"version": version, "code": code_of(stage)}
        for stage, version in ((name, found.version) for name, found in STAGES.items())
    }
    STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _closure(modules: list[str], *, apart: tuple[str, ...]) -> set[Path]:
    """Files of modules and all that they import of ours, with the files beside them that they name."""
    waiting, seen, files = list(modules), set[str](), set[Path]()
    while waiting:
        module = waiting.pop()
        path = _path_of(module)
        if path is None or module in seen or any(f"{module}.".startswith(f"{name}.") for name in apart):
            continue
        seen.add(module)
        # A package above a module runs too; what it hands on counts where it is asked for.
        parts = module.split(".")
        files |= {ROOT.joinpath(*parts[:end], "__init__.py") for end in range(1, len(parts))} | {path}
        tree = _parse(path)
        waiting += _imports(tree)
        for beside in _named_beside(tree, folder=path.parent):
            if beside.suffix == ".py":
                waiting.append(".".join(beside.relative_to(ROOT).with_suffix("").parts))
            else:
                files.add(beside)
    return files


def _path_of(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one, but for what only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _walk(child)


def _imports(node: ast.AST) -> Iterator[str]:
    """Modules that code imports wherever it does; a name imported from a package may be one."""
    for child in _walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.module and not child.level, "imports of ours are absolute"
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


def _named_beside(node: ast.AST, *, folder: Path) -> Iterator[Path]:
    """Files that lie beside a module and that it names: drivers and compile servers in three languages."""
    for child in _walk(node):
        if isinstance(child, ast.Constant) and re.fullmatch(r"\w+\.\w+", str(child.value)):
            path = folder / str(child.value)
            if path.is_file():
                yield path


def _digest_of_file(path: Path) -> str:
    return _digest(_parse(path)) if path.suffix == ".py" else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _digest(node: ast.AST) -> str:
    return hashlib.sha256(json.dumps(_plain(node)).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """A syntax tree as lists. What is empty is left out: newer Pythons add fields that mostly are."""
    if isinstance(value, ast.AST):
        fields = ((name, field) for name, field in ast.iter_fields(value) if field not in (None, []) and name != "ctx")
        return [type(value).__name__, *([name, _plain(field)] for name, field in fields)]
    if isinstance(value, list):
        return [_plain(item) for item in value if not _is_docstring(item)]
    return repr(value)


def _is_docstring(item: object) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)


if __name__ == "__main__":
    record()
