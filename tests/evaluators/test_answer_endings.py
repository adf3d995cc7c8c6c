"""Where an answer is over while it is written: the program that is taken is the one that the whole text gives.

One decision: every text of the corpus of answers is asked, and each again with another behind it, as a model that
runs on would write it.
"""

import random
import re
from collections.abc import Mapping
from typing import Any

import pytest

from evaluators.extraction import answer_end, ends_at_last_line, extract_program, extract_summary
from evaluators.extraction.marks import has_thoughts
from evaluators.languages import LANGUAGES
from tasks.records import CodeTests, Problem
from tests.evaluators.answers_corpus import ENTRIES, lines_of, problem_of


def text_of(entry: Mapping[str, Any]) -> str:
    return "\n".join(entry["text"])


def program(text: str, problem: Problem) -> list[str]:
    return lines_of(extract_program(text, problem=problem))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_text_that_ends_with_its_answer_gives_the_same_program(entry: Mapping[str, Any]) -> None:
    text, problem = text_of(entry), problem_of(entry)
    end = answer_end(text, problem=problem)
    assert program(text[:end], problem) == program(text, problem)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_reading_line_by_line_finds_the_same_end(entry: Mapping[str, Any]) -> None:
    text, problem = text_of(entry), problem_of(entry)
    ends = [at + 1 for at, sign in enumerate(text) if sign == "\n"]
    first = next((end for end in ends if ends_at_last_line(text[:end], problem=problem)), None)
    assert answer_end(text, problem=problem) == (None if first is None else answer_end(text[:first], problem=problem))


def test_a_good_part_of_the_corpus_ends_early() -> None:
    ended = [entry["id"] for entry in ENTRIES if answer_end(text_of(entry), problem=problem_of(entry)) is not None]
    assert len(ended) >= 35
    assert {"py-body-next-def", "py-mbpp-done", "py-chatml-next-turns", "b-java-06", "b-cs-21"} <= set(ended)


def test_what_another_answer_writes_behind_it_changes_nothing_where_an_answer_is_over() -> None:
    """But for what a stop gives up: a thought, or the asked function once more, behind what the model went on with."""
    drawn, by_language = random.Random(0), dict[Any, list[Mapping[str, Any]]]()
    for entry in ENTRIES:
        by_language.setdefault(problem_of(entry).parsed_track.target, []).append(entry)
    ended, differing = 0, list[str]()
    for _ in range(1500):
        language = drawn.choice(list(by_language))
        entry, other = drawn.sample(by_language[language], 2)
        text, problem = f"{text_of(entry)}\n\n{text_of(other)}\n", problem_of(entry)
        end = answer_end(text, problem=problem)
        behind = text[end:]
        unquoted = re.sub(r"^[> ]+", "", behind, flags=re.MULTILINE)
        again = LANGUAGES[language].dialect.definition(unquoted, entry["entry_point"])
        if end is None or again or any(map(has_thoughts, behind.split("\n"))):
            continue
        ended += 1
        if program(text[:end], problem) != program(text, problem):
            differing.append(f"{entry['id']}+{other['id']}")
    assert ended > 250
    assert not differing


ASKED = Problem(
    id="p",
    track="generation/python",
    dataset="d",
    input="f",
    reference="",
    tests=CodeTests(entry_point="f", code="f()"),
)
BODY = ASKED.model_copy(update={"preamble": "def f(x):\n"})
JAVA = ASKED.model_copy(update={"track": "generation/java"})


@pytest.mark.parametrize(
    ("problem", "answer", "behind"),
    [
        (ASKED, "def f(x):\n    return x\n\n", "print(f(1))\n"),
        (ASKED, "import math\n\ndef f(x):\n    return math.floor(x)\n\n", "def g(x):\n"),
        (ASKED, "class Solution:\n    def f(self, x):\n        return x\n\n", "if __name__ == '__main__':\n"),
        (BODY, "    return x\n\n", "class Other:\n"),
        (BODY, "    return x\n", "<|im_end|>\n"),
        (JAVA, "static int f(int x) {\n    return x;\n}\n\n", "public static void main(String[] args) {\n"),
        (JAVA, "class A {\n    static int f(int x) {\n        return x;\n    }\n}\n", "public class Main {\n"),
        (JAVA, "```java\nstatic int f(int x) { return x; }\n```\n", "<|im_start|>user\n"),
    ],
)
def test_answer_is_over_where_something_else_begins(problem: Problem, answer: str, behind: str) -> None:
    assert not ends_at_last_line(answer, problem=problem)
    assert ends_at_last_line(answer + behind, problem=problem)
    assert answer_end(answer + behind + "more\n", problem=problem) == len(answer)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ASKED, "```python\ndef f(x):\n    return x\n```\nThis returns x.\n\ndef g(x):\n"),
        (ASKED, "Sure:\n\ndef f(x):\n    return x\n\nIt returns x.\nprint(f(1))\n"),
        (ASKED, "def f(x):\n    return helper(x)\n\ndef g(x):\n"),
        (ASKED, "def f(x):\n    return f.cache[x]\n\nprint(1)\n"),
        (ASKED, "CACHE = {}\n\ndef f(x):\n    return CACHE[x]\n\nprint(1)\n"),
        (ASKED, "def f(x):\n    return sum(x)\n\ndef sum(x):\n"),
        (ASKED, "def f(x):\n    text = '''\nprint(1)\n"),
        (ASKED, "def f(x):\n    return x\n\ndef f(x):\n"),
        (ASKED, "<think>\ndef f(x):\n    return x\n\nprint(1)\n"),
        (ASKED, "def f(x):\r\n    return x\r\n\r\nprint(1)\r\n"),
        (BODY, "    return x\n\n# Another way\n"),
        (JAVA, "static int f(int x) {\n    return g(x);\n}\n\npublic static void main(String[] args) {\n"),
        (
            JAVA,
            "class A {\n    static int f(int x) {\n        return x;\n    }\n    static void main(String[] a) {\n",
        ),
        (JAVA, "/*\nstatic int f(int x) { return x; }\npublic static int g(int x) {\n"),
        (ASKED.model_copy(update={"tests": None}), "def f(x):\n    return x\n\ndef g(x):\n"),
    ],
)
def test_answer_that_may_go_on_is_not_over(problem: Problem, text: str) -> None:
    assert answer_end(text, problem=problem) is None


def test_summary_ends_at_a_mark_of_a_chat_alone() -> None:
    prose = ASKED.model_copy(update={"track": "summarization/python", "tests": None})
    text = "Returns x.\n\nIt does no more.\n<|im_end|>\n<|im_start|>user\nThanks\n"
    end = answer_end(text, problem=prose)
    assert extract_summary(text[:end]) == extract_summary(text) == "Returns x.\n\nIt does no more."
    assert answer_end("Returns x.\n\nIt does no more.\n\ndef g(x):\n", problem=prose) is None
    assert answer_end("<|im_end|>\n", problem=prose) is None
