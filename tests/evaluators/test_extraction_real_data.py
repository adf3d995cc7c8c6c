"""Extraction over every reference solution of the published files, wrapped as models wrap their answers."""

import ast
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluators.extraction import answer_end, extract_program
from evaluators.languages.reading import parses
from tasks.readers import Source, read_problems
from tasks.records import Language, Problem, Track

DATA = Path(os.environ.get("POLYTUNE_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no published data at {DATA}; set POLYTUNE_DATA")

Wrap = Callable[[Problem, str], str]
"""From a problem and the part of its reference that follows the prompt to what a model might write."""

WRAPS: dict[str, Wrap] = {
    "body": lambda p, body: body,
    "whole": lambda p, body: p.reference,
    "fenced body": lambda p, body: f"```\n{body}```",
    "fenced whole": lambda p, body: f"```{p.parsed_track.target}\n{p.reference}\n```",
    "prose around a fence": lambda p, body: f"Here is how:\n\n```\n{p.reference}\n```\n\nIt handles `None`: see above.",
    "open fence": lambda p, body: f"Sure!\n```\n{p.reference}",
    "prose after": lambda p, body: f"{body}\n\nThis function works as follows: it looks at each item.\n",
    "chat mark": lambda p, body: f"{body}<|im_end|>\n<|im_start|>user\nThanks! def f(",
    "assistant header": lambda p, body: f"<|im_start|>assistant\n{p.reference}<|im_end|>",
    "thoughts": lambda p, body: f"<think>\ndef no(:\n</think>\n{p.reference}",
}
PYTHON_WRAPS: dict[str, Wrap] = {
    **WRAPS,
    "prose before": lambda p, body: f"Certainly, here it is:\n\n{p.reference}",
    "unfinished tail": lambda p, body: f'{body}\n\ndef check_it(values):\n    print("',
    "usage after": lambda p, body: f"{body}\n\n# Try it.\nresult = {_name(p)}\nprint(result)\nassert result\n",
    "usage and a guard in a fence": lambda p, body: (
        f"~~~~python\n{p.reference}\n\ndef main():\n    print({_name(p)}(1))\n\n"
        'if __name__ == "__main__":\n    main()\n~~~~\n\nOutput:\n```\n1\n```\n'
    ),
    "a first draft": lambda p, body: (
        f"```python\ndef {_name(p)}(*args):\n    pass\n```\nIn full:\n```python\n{p.reference}\n```"
    ),
    "fenced at its margin": lambda p, body: f"```python\n{_dedented(body)}```",
}
JAVA_WRAPS: dict[str, Wrap] = {
    **WRAPS,
    "prose before": lambda p, body: f"Certainly, here it is:\n\n{p.reference}",
    "unfinished tail": lambda p, body: (
        f"{_without_class_end(body)}\n\n    public static void main(String[] args) {{\n  Sys"
    ),
    "a class that shows it": lambda p, body: (
        f"```java\n{p.reference}\n\npublic class Main {{\n    public static void main(String[] args) {{\n"
        "        System.out.println(new Solution());\n    }\n}\n```\n"
    ),
    "without class end": lambda p, body: _without_class_end(body),
}


def _name(problem: Problem) -> str:
    assert problem.tests is not None
    return str(problem.tests.entry_point)


def _dedented(body: str) -> str:
    # Lines within a string keep their place; none of the 164 bodies has such a line.
    return re.sub(r"^    ", "", body, flags=re.MULTILINE)


def _without_class_end(body: str) -> str:
    return body.rstrip().removesuffix("}").rstrip() + "\n"


def _problems(folder: str, track: str) -> tuple[Problem, ...]:
    reader = folder if folder in ("humaneval", "mbpp") else "humanevalpack"
    return read_problems(Source(reader=reader, path=folder, split="test"), track=Track.parse(track), root=DATA)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrap", PYTHON_WRAPS)
def test_all_164_python_references_survive_their_wrapping(wrap: str) -> None:
    problems = _problems("humaneval", "generation/python")
    damaged = []
    for problem in problems:
        text = PYTHON_WRAPS[wrap](problem, problem.reference.removeprefix(problem.preamble))
        found = extract_program(text, problem=problem)
        assert _lines(found) == _lines(extract_program(text[: answer_end(text, problem=problem)], problem=problem))
        if not parses(found, language=Language.PYTHON) or not _same_code(found, problem.reference):
            damaged.append(problem.id)
    assert (len(problems), damaged) == (164, [])


def _same_code(found: str, reference: str) -> bool:
    """Whether a program ends in the reference's statements; a whole answer may repeat what the prompt imports."""
    ours, theirs = (list(map(ast.dump, ast.parse(code).body)) for code in (found, reference))
    return ours[-len(theirs) :] == theirs and set(ours) == set(theirs)


def test_raw_python_bodies_follow_their_prompts_to_the_letter() -> None:
    for problem in _problems("humaneval", "generation/python"):
        body = problem.reference.removeprefix(problem.preamble)
        assert extract_program(body, problem=problem) == problem.preamble + body


@pytest.mark.parametrize("wrap", JAVA_WRAPS)
def test_all_164_java_references_survive_their_wrapping(wrap: str) -> None:
    problems = _problems("humanevalpack", "generation/java")
    damaged = []
    for problem in problems:
        text = JAVA_WRAPS[wrap](problem, problem.reference.removeprefix(problem.preamble))
        found = extract_program(text, problem=problem)
        assert _lines(found) == _lines(extract_program(text[: answer_end(text, problem=problem)], problem=problem))
        if _tokens(found) != _tokens(problem.reference):
            damaged.append(problem.id)
    assert (len(problems), damaged) == (164, [])


RUN_ONS = {
    Language.PYTHON: (
        "\n\nprint('it works')\n",
        "\n\ndef check(candidate):\n    assert candidate\n",
        "\nclass Test:\n    pass\n",
    ),
    Language.JAVA: ("\n\npublic class Main {\n    public static void main(String[] args) {\n    }\n}\n",),
}


@pytest.mark.parametrize(
    ("folder", "track", "least"),
    [
        ("humaneval", "generation/python", 490),
        ("humanevalpack", "generation/java", 130),
        ("mbpp", "generation/python", 800),
    ],
)
def test_references_that_a_model_runs_on_behind_end_where_they_are_whole(folder: str, track: str, least: int) -> None:
    """Fewer of them end early than are run on: what uses a name that nothing declares may still get it."""
    problems = _problems(folder, track)
    ended = 0
    for problem in problems:
        for run_on in RUN_ONS[problem.parsed_track.target or Language.PYTHON]:
            text = problem.reference.removeprefix(problem.preamble) + run_on
            end = answer_end(text, problem=problem)
            ended += end is not None
            whole, cut = (extract_program(part, problem=problem) for part in (text, text[:end]))
            assert _lines(cut) == _lines(whole), problem.id
    assert ended >= least, ended


def _lines(code: str) -> list[str]:
    return [line.rstrip() for line in code.splitlines() if line.strip()]


def _tokens(code: str) -> str:
    """Java without comments and white space, in which the same program is the same text."""
    return re.sub(r"\s+", "", re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL))
