"""Laws of the project as a whole: stages keep their versions true, documents and code keep their word."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
import stage_code
import typer
from stage_code import PACKAGES, ROOT, changed, code_of, recorded

from orchestrator.cli import app
from orchestrator.study.stages import STAGES, StageName

DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# A machine's own folders, and the registries that only some networks have. In brackets, so that this
# file does not break its own law.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(?:[w]ork|[U]sers|[h]ome/(?!ubuntu\b|ray\b)\w+|[r]oot/\w+)/",
    "a registry of one's own": r"--[t]rusted-host|\b[a]rtifactory\b|https?://(?!pypi\.org)[\w.:@-]+/(?:[\w-]+/)*[s]imple\b",
    "a host without a public name": r"https?://[\w.-]+\.(?:[i]nternal|[l]ocal|[l]an)\b",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_s_code_changes_only_with_its_version(stage: StageName) -> None:
    version, files = recorded()[stage]["version"], changed(stage)
    if version != STAGES[stage].version:
        pytest.fail(
            f"{stage} has version {STAGES[stage].version} and its code was recorded under version {version}; "
            "record it with: python -m tests.orchestrator.stage_code"
        )
    if files:
        pytest.fail(
            f"the code of {stage} changed under version {version}: {', '.join(files)}. If it may give other "
            f"numbers, raise the version of {stage} in orchestrator/study/stages.py, so that finished stages "
            "run again. Then, or if it gives the same, record it with: python -m tests.orchestrator.stage_code"
        )


@pytest.mark.parametrize(
    ("stage", "present", "absent"),
    [
        (
            "train",
            ("trainers/engines/zero.py", "trainers/methods/lora.py", "trainers/objective/token_losses.py",
             "models/loading.py", "tasks/prompts.py"),
            ("evaluators", "tasks/readers"),
        ),
        (
            "generate",
            ("evaluators/generation/shelf.py", "models/loading.py", "models/quantised.py", "tasks/prompts.py"),
            ("trainers/loop", "trainers/engines"),
        ),
        (
            "execute",
            ("evaluators/isolation/python_candidate.py", "evaluators/languages/java/PolytuneDriver.java",
             "evaluators/languages/csharp/CompileServer.cs", "evaluators/extraction/programs.py"),
            ("trainers", "evaluators/quality", "evaluators/languages/flows.py"),
        ),
        (
            "score",
            ("evaluators/similarity/codebleu.py", "evaluators/quality/pylint_process.py", "evaluators/health.py",
             "evaluators/languages/java/flows.py"),
            ("trainers", "evaluators/sandbox", "evaluators/languages/runtimes.py", "evaluators/languages/warm.py"),
        ),
    ],
)  # fmt: skip
def test_code_of_a_stage_is_all_that_it_reaches(
    stage: StageName, present: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    files = code_of(stage)
    assert set(present) <= files.keys()
    assert not [file for file in files if file.startswith(absent)]


def test_every_engine_of_generation_is_code_of_generate() -> None:
    modules = {name_of(path) for path in (ROOT / "evaluators" / "generation").glob("*.py")}
    assert modules - code_of(StageName.GENERATE).keys() == set()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ('"""Says more."""\n\ndef f(x):  # why\n    """Adds."""\n    return (x +\n        1)\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    return x + 1.0\n", False),
        ("def f(x, y=None):\n    return x + 1\n", False),
    ],
)
def test_wording_and_layout_are_no_code(other: str, same: bool) -> None:
    digests = {stage_code._digest(ast.parse(text)) for text in ("def f(x):\n    return x + 1\n", other)}
    assert (len(digests) == 1) is same


def test_every_command_of_make_in_the_documents_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    said = {name for path in DOCUMENTS for name in re.findall(r"^ +make (\S+)", path.read_text("utf-8"), re.MULTILINE)}
    assert {"quickstart", "test"} <= said <= targets


def test_every_command_of_polytune_in_the_documents_is_there() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    said = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"(?:^ +|`)polytune ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert said and said <= commands.keys()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_of_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    local = [target.partition("#")[0] for target in targets if not target.startswith(("https://", "#"))]
    assert [target for target in local if target and not (path.parent / target).exists()] == []


def files_of_the_project() -> list[Path]:
    """What git tracks, and what it would if it were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"no git checkout at {ROOT}")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_one_machine_or_registry() -> None:
    found = []
    for path in files_of_the_project():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for what, pattern in FORBIDDEN.items():
            found += [f"{name_of(path)}: {match[0]} ({what})" for match in re.finditer(pattern, text)]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_short_and_says_why_it_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    long = [
        f"{node.name}: {length} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > 80
    ]
    assert long == []
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(tree)
    assert not {"utils", "helpers", "common"} & {part.removesuffix(".py") for part in path.parts}


def test_recorded_code_is_sorted_as_the_script_writes_it() -> None:
    found = json.loads(stage_code.STORED.read_text(encoding="utf-8"))
    assert list(found) == list(STAGES)
