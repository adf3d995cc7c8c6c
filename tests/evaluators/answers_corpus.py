"""The corpus of answers as records, and a table of how many of them the extraction reads as a person does.

    python -m tests.evaluators.answers_corpus     print the table of the code as it is now

One decision: two programs are one if they agree line by line without trailing blanks and without empty lines,
since nobody can say how many empty lines stand where something was taken out.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluators.extraction import extract_program
from tasks.records import CodeTests, Problem

FOLDER = Path(__file__).parent / "answers"
ENTRIES: tuple[Mapping[str, Any], ...] = tuple(
    entry for path in sorted(FOLDER.glob("*.json")) for entry in json.loads(path.read_text(encoding="utf-8"))
)

# The first family of which a word stands in the form's name.
FAMILIES = {
    "broken or cut": ("broken", "cut", "truncated", "diff", "line-numbers", "no-break", "indent-lost"),
    "thoughts": ("think", "reasoning", "harmony"),
    "marks inside strings": ("in-string", "inside-string", "fence-in-doc", "fence-inside-doc", "fence-inside"),
    "chat marks": ("template", "mark", "headings", "tags", "tagged", "xml", "user-turn", "done", "bracket"),
    "several blocks": ("block", "version", "other-language", "other-function", "draft", "skeleton", "second-fence",
                       "repeated", "shell", "then-fence", "usage-fence", "another-language"),
    "what runs": ("usage", "asserts", "main", "demo", "program-class", "test", "top-level", "repl", "output",
                  "notebook", "async", "lambda", "class-as", "assignment", "entry-is", "harness"),
    "goes on": ("next", "string-literal"),
    "helpers": ("helper", "needed", "table", "attribute-set", "decorators", "guarded", "statement-before"),
    "preambles": ("repeats", "body"),
    "bare": ("bare", "prose-without", "inline", "method", "one-line"),
    "fences": ("fence", "tag", "language", "html", "latex", "indented"),
}  # fmt: skip


def family_of(form: str) -> str:
    """The family that a form belongs to."""
    found = (name for name, words in FAMILIES.items() if any(word in form for word in words))
    return next(found, "whole programs")


def problem_of(entry: Mapping[str, Any]) -> Problem:
    """The problem that an entry answers."""
    return Problem(
        id=entry["id"],
        track=entry["track"],
        dataset="answers",
        input=entry["input"],
        reference="",
        preamble="\n".join(entry["preamble"]),
        tests=CodeTests(entry_point=entry["entry_point"], code="pass"),
    )


def lines_of(program: str) -> list[str]:
    """The lines that count when programs are compared."""
    return [line.rstrip() for line in program.splitlines() if line.strip()]


def extracted(entry: Mapping[str, Any]) -> list[str]:
    """The lines of the program that is extracted from an entry."""
    return lines_of(extract_program("\n".join(entry["text"]), problem=problem_of(entry)))


def expected(entry: Mapping[str, Any]) -> list[str]:
    """The lines of the program that a person takes from it."""
    return lines_of("\n".join(entry["expected"]))


def _print_table() -> None:
    languages = ("python", "java", "csharp")
    asked, found = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for entry in ENTRIES:
        language = entry["track"].rpartition("/")[2].rpartition("-")[2]
        right = extracted(entry) == expected(entry)
        for key in ((family, where) for family in (family_of(entry["form"]), "all") for where in (language, "all")):
            asked[key] += 1
            found[key] += right
        if not right and "--failed" in sys.argv:
            print(entry["id"], entry["form"])
    print("| kind | Python | Java | C# | all |\n|---|---|---|---|---|")
    for family in [*sorted({family for family, _ in asked} - {"all"}), "all"]:
        cells = [f"{found[family, where]}/{asked[family, where]}" for where in (*languages, "all")]
        print(f"| {family} | " + " | ".join("" if cell == "0/0" else cell for cell in cells) + " |")


if __name__ == "__main__":
    _print_table()
