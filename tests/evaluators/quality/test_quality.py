"""Quality: counts of single files, independent of company, and never flattering."""

import random
import sys
from importlib.metadata import version

import pytest

from evaluators.quality import analyze
from tasks.records import Language

pytestmark = pytest.mark.slow

CLEAN = '"""A module."""\n\n\ndef add(left, right):\n    """Add two numbers."""\n    return left + right\n'
SOURCES = [
    CLEAN,
    "import os\n\ndef f(x):\n    y = 1\n    return undefined_name\n",
    "import threading\nthreading.Thread().flavour = 1\nprint(threading.Thread().flavour)\n",
    "import threading\nprint(threading.Thread().flavour)\n",
    "def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n",
    "from typing import List\n\ndef f(x: List[int]):\n    return [i for i in x]\n",
    "import argparse\nargparse.Namespace.extra = 3\n",
    "import argparse\nprint(argparse.Namespace.extra)\n",
    "def f(:\n",
    "",
]


def test_messages_are_counted_by_category() -> None:
    clean, faulty = analyze([CLEAN, SOURCES[1]], language=Language.PYTHON).files
    assert {name: clean.counts[name] for name in clean.counts if name.startswith("pylint.")} == {
        "pylint.error": 0,
        "pylint.warning": 0,
        "pylint.convention": 0,
        "pylint.refactor": 0,
    }
    # undefined-variable; unused-import, unused-variable, unused-argument; two missing docstrings.
    assert faulty.counts["pylint.error"] == 1
    assert faulty.counts["pylint.warning"] == 3
    assert faulty.counts["pylint.convention"] == 2


def test_counts_depend_neither_on_order_nor_on_company() -> None:
    together = analyze(SOURCES, language=Language.PYTHON).files
    order = list(range(len(SOURCES)))
    random.Random(0).shuffle(order)
    shuffled = analyze([SOURCES[index] for index in order], language=Language.PYTHON).files
    assert [shuffled[order.index(index)] for index in range(len(SOURCES))] == list(together)
    assert analyze(SOURCES[3:4], language=Language.PYTHON).files == together[3:4]


def test_file_that_does_not_parse_has_no_counts_at_all() -> None:
    report = analyze(["def f(:\n", "", CLEAN], language=Language.PYTHON)
    assert [file.parses for file in report.files] == [False, False, True]
    assert report.files[0].counts == report.files[1].counts == {}
    assert {figure.files for figure in report.totals().values()} == {1}


def test_size_and_complexity_agree_with_a_count_by_hand() -> None:
    code = "def f(x):\n    if x > 0 and x < 9:\n        return 1\n    return 2\n\n\ndef g():\n    return 3\n"
    counts = analyze([code], language=Language.PYTHON).files[0].counts
    # f has the one path, the if and the and; g has its one path. The file: two decisions plus one.
    assert counts["radon.cyclomatic_max"] == 3
    assert counts["radon.cyclomatic_total"] == 3
    assert counts["lizard.ccn"] == 4
    assert counts["lizard.ccn_max"] == 3
    assert counts["radon.lloc"] == 6
    assert counts["lizard.nloc"] == 6
    assert 0 < counts["radon.maintainability"] <= 100


@pytest.mark.parametrize(
    ("language", "code"),
    [
        (Language.JAVA, "public static int f(int x) { if (x > 0) { return 1; } return x; }"),
        (Language.CSHARP, "public static int F(int x) { if (x > 0) { return 1; } return x; }"),
    ],
)
def test_bare_method_is_measured_by_lizard(language: Language, code: str) -> None:
    report = analyze([code], language=language)
    counts = {name: value for name, value in report.files[0].counts.items() if name.startswith("lizard.")}
    assert counts == {"lizard.nloc": 1, "lizard.tokens": 24, "lizard.ccn": 2, "lizard.ccn_max": 2}
    assert report.tools["lizard"] == version("lizard")


def test_code_cannot_ask_a_tool_to_look_away() -> None:
    asking = analyze(["# pylint: skip-file\nimport os\n"], language=Language.PYTHON).files[0]
    assert asking.counts["pylint.warning"] == 1
    method = "int f(int x) { return x > 0 ? 1 : 2; }"
    for mark in ("// #lizard forgives", "// GENERATED CODE"):
        assert analyze([f"{mark}\n{method}"], language=Language.JAVA).files[0].counts["lizard.ccn"] == 2


def test_installed_packages_do_not_show_in_the_counts() -> None:
    # pytest and numpy are installed here, `no_such_package` nowhere: none of them can be looked into.
    sources = [f"import {name}\nprint({name}.no_such_thing)\n" for name in ("numpy", "pytest", "no_such_package")]
    counts = [file.counts for file in analyze(sources, language=Language.PYTHON).files]
    assert [count["pylint.error"] for count in counts] == [0, 0, 0]
    standard = analyze(["import math\nprint(math.no_such_thing)\n"], language=Language.PYTHON).files[0]
    assert standard.counts["pylint.error"] == 1


def test_missing_tool_is_named_and_its_counts_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pylint", "lizard", "bandit"):
        monkeypatch.setitem(sys.modules, name, None)
    report = analyze([CLEAN], language=Language.PYTHON)
    assert set(report.missing) == {"pylint", "lizard", "bandit"}
    assert "pip install pylint" in report.missing["pylint"]
    assert set(report.tools) == {"radon", "complexipy"}
    assert {name.partition(".")[0] for name in report.files[0].counts} == {"radon", "complexipy"}


def test_totals_are_means_with_the_files_behind_them() -> None:
    longer = CLEAN + '\n\ndef twice(value):\n    """Double it."""\n    unused = 1\n    return 2 * value\n'
    totals = analyze([CLEAN, longer, "def f(:\n"], language=Language.PYTHON).totals()
    # One warning in two files of 4 and 8 lines with code, docstrings among them.
    lines = totals["lizard.nloc"]
    assert (lines.files, lines.per_100_lines) == (2, None)
    warnings = totals["pylint.warning"]
    assert (warnings.files, warnings.per_file) == (2, 0.5)
    assert warnings.per_100_lines == pytest.approx(100 * 1 / (2 * lines.per_file))
    assert totals["radon.maintainability"].per_100_lines is None
    assert totals["lizard.ccn_max"].per_100_lines is None


def test_no_files_give_an_empty_report() -> None:
    report = analyze([], language=Language.PYTHON)
    assert report.files == ()
    assert report.totals() == {}


def test_report_survives_the_way_to_disk() -> None:
    report = analyze([CLEAN, "def f(:\n"], language=Language.PYTHON)
    assert type(report).model_validate_json(report.model_dump_json()) == report
