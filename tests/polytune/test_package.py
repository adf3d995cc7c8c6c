"""The package itself: light, documented, typed, and found from wherever Python is started."""

import doctest
import importlib
import inspect
import os
import pkgutil
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import polytune

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "ray", "mlflow", "pandas", "numpy", "pyarrow", "transformers", "scipy", "typer", "rich")
MODULES = [f"polytune.{module.name}" for module in pkgutil.iter_modules(polytune.__path__)]


def test_importing_it_loads_nothing_heavy() -> None:
    code = f"import sys, polytune; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_all_names_are_there_and_documented() -> None:
    public = {n for n, value in vars(polytune).items() if not n.startswith("_") and not inspect.ismodule(value)}
    assert sorted(polytune.__all__) == polytune.__all__
    assert set(polytune.__all__) == public
    assert all(inspect.getdoc(getattr(polytune, name)) for name in polytune.__all__)


def test_it_says_that_it_is_typed() -> None:
    assert (ROOT / "polytune" / "py.typed").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str, quickstart: Path) -> None:
    module = importlib.import_module(name)
    with pd.option_context("display.width", 120, "display.max_columns", 20):
        result = doctest.testmod(module, extraglobs={"polytune": polytune, "pd": pd})
    assert result.failed == 0


def test_each_function_has_an_example_that_runs() -> None:
    functions = [getattr(polytune, name) for name in polytune.__all__ if name[0].islower()]
    assert len(functions) == 5
    assert [f.__name__ for f in functions if not doctest.DocTestFinder().find(f, f.__name__)[0].examples] == []


def test_the_example_of_the_documents_shows_where_methods_disagree(
    quickstart: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / "docs" / "examples" / "disagreements.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 15
    runpy.run_path(str(script))
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("==")] == [
        f"== generation/python small/{number}" for number in (1, 2, 3)
    ]
    assert "-- together: passed\nHere it is:" in printed
    assert "-- apart: wrong_answer\ndef solve(x):\n    return x" in printed


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkout called `polytune`, and the folder of an editable install of it."""
    parent = tmp_path_factory.mktemp("home")
    checkout, site, wheels = parent / "polytune", parent.parent / "site", parent.parent / "wheels"
    for folder in (checkout, wheels):
        folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    for name in ("polytune", "orchestrator", "trainers", "evaluators", "models", "tasks"):
        (checkout / name).symlink_to(ROOT / name)
    build = f"from setuptools import build_meta; print(build_meta.build_editable({str(wheels)!r}))"
    subprocess.run([sys.executable, "-c", build], cwd=checkout, capture_output=True, check=True)
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return checkout, site


@pytest.mark.parametrize("where", ["parent", "checkout", "elsewhere"])
def test_a_checkout_called_polytune_does_not_stand_in_for_the_package(
    installed: tuple[Path, Path], where: str, tmp_path: Path
) -> None:
    checkout, site = installed
    cwd = {"parent": checkout.parent, "checkout": checkout, "elsewhere": tmp_path}[where]
    code = f"import site; site.addsitedir({str(site)!r}); import polytune; print(polytune.load, polytune.__file__)"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # -S: what is installed for these tests does not help.
    found = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip().endswith(str(checkout / "polytune" / "__init__.py"))
