"""Extraction: what is cut, what is added, and what stays broken."""

import pytest

from evaluators.extraction import extract_program, extract_summary
from evaluators.languages.reading import parses
from tasks.records import CodeTests, Language, Problem

PREAMBLE = 'import math\n\ndef helper(x):\n    return x + 1\n\ndef f(x):\n    """Add."""\n'
BODY = "    return helper(x)\n"
WHOLE = "def f(x):\n    return helper(x)\n"


def problem(preamble: str = "", *, track: str = "generation/python", entry_point: str | None = "f") -> Problem:
    return Problem(
        id="p",
        track=track,
        dataset="d",
        input="Add.",
        reference=BODY,
        preamble=preamble,
        tests=CodeTests(entry_point=entry_point, code="assert f(1) == 2") if entry_point else None,
    )


def run(program: str) -> object:
    names: dict[str, object] = {}
    exec(program, names)
    function = names["f"]
    assert callable(function)
    return function(1)


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        WHOLE,
        PREAMBLE + BODY,
        f"Here it is:\n```python\n{WHOLE}```\nIt adds one.",
        f"```\n{BODY}```",
        f"```py\n{WHOLE}",
        f"{BODY}```\nThis adds one.",
        f"1. Do this:\n   ```python\n   {WHOLE.replace(chr(10), chr(10) + '   ')}\n   ```\n",
        f"{BODY}<|im_end|>\n<|im_start|>user\nThanks!",
        f"<think>\nEasy.\n</think>\n```python\n{WHOLE}```",
        f"{BODY}\n\nThis function adds one by calling a helper.\n\nNote that x = 1 works.",
        f"```python\nfrom __future__ import annotations\n{WHOLE}```",
    ],
)
def test_body_or_whole_function_becomes_a_program_that_runs(text: str) -> None:
    assert run(extract_program(text, problem=problem(PREAMBLE))) == 2


def test_raw_body_follows_the_preamble_to_the_letter() -> None:
    assert extract_program(BODY, problem=problem(PREAMBLE)) == PREAMBLE + BODY


def test_last_of_several_complete_blocks_is_taken() -> None:
    text = "```python\ndef f(x):\n    return 1\n```\nor\n```python\ndef f(x):\n    return 2\n```"
    assert extract_program(text, problem=problem()) == "def f(x):\n    return 2\n"


@pytest.mark.parametrize(
    "text",
    [
        "def f(x:\n    return 1\n",
        "ef f(x):\n    return 1\n",
        "def f(x):\n    return (1\n\nThis function returns one.",
        " def f(x):\nreturn 1\n",
    ],
)
def test_broken_code_is_not_repaired(text: str) -> None:
    program = extract_program(text, problem=problem())
    assert program == text
    assert not parses(program, language=Language.PYTHON)


@pytest.mark.parametrize(
    "tail",
    [
        "\ndef g(",
        "\n\nprint(f(1)\n",
        "\nif __name__ == '__main__':\n    main(",
        "\n# Test\nassert f(1) == 2\nassert f(",
    ],
)
def test_unfinished_tail_after_a_complete_answer_is_cut(tail: str) -> None:
    assert run(extract_program(WHOLE.replace("helper(x)", "x + 1") + tail, problem=problem())) == 2
    assert run(extract_program(BODY + tail, problem=problem(PREAMBLE))) == 2


@pytest.mark.parametrize("text", ["I cannot write this function.", "return helper(x", "    return helper(x"])
def test_preamble_alone_is_no_answer(text: str) -> None:
    program = extract_program(text, problem=problem(PREAMBLE))
    assert program == PREAMBLE + text
    assert not parses(program, language=Language.PYTHON)


def test_block_that_defines_the_function_is_taken_before_one_that_installs_things() -> None:
    text = f"First:\n```bash\npip install numpy\n```\nThen:\n```python\n{WHOLE}```\nCall it:\n```python\nf(1)\n```"
    assert run(extract_program(text, problem=problem(PREAMBLE))) == 2


def test_block_at_its_own_margin_is_a_body_once_indented() -> None:
    assert run(extract_program("```python\ny = helper(x)\nreturn y\n```", problem=problem(PREAMBLE))) == 2


@pytest.mark.parametrize(
    "text",
    [
        f"Sure! Here is the function:\n\n{WHOLE}",
        f"Sure! Here is the function:\n\nimport math\n{WHOLE}\nThis function adds one.",
        f"[BEGIN]\n{WHOLE}\n[DONE]\nAnd then?",
        f"[/INST]\n{WHOLE}[INST] Thanks [/INST]",
        f"### Response:\n{WHOLE}\n### Instruction:\nNow in C",
        f"<start_of_turn>model\n```python\n{WHOLE}```<end_of_turn>",
    ],
)
def test_prose_before_bare_code_and_chat_marks_are_cut(text: str) -> None:
    assert run(extract_program(text, problem=problem(PREAMBLE))) == 2


def test_prose_alone_is_not_cut_down_to_a_program() -> None:
    text = "# Solution\nI cannot write this function.\n"
    assert extract_program(text, problem=problem(entry_point=None)) == text


def test_empty_completion_stays_empty_though_the_preamble_would_parse() -> None:
    assert extract_program("", problem=problem(PREAMBLE)).strip() == ""
    assert extract_program("```python\n```", problem=problem(PREAMBLE)).strip() == ""


JAVA_PREAMBLE = (
    "import java.util.*;\n\nclass Solution {\n    /** Calls f(x) { once. */\n    public static int f(int x) {\n"
)


@pytest.mark.parametrize(
    "text",
    [
        "        return x + 1;\n    }\n}",
        "        return x + 1;\n    }\n",
        "public static int f(int x) {\n  return x + 1;\n}",
        "```java\nimport java.util.List;\nclass Solution {\n  static int f(int x) { return g(x); }\n}\n```",
        JAVA_PREAMBLE + "        return x + 1;\n    }\n}\n",
        "        return x + 1;\n    }\n}\nThis method adds one.\n",
    ],
)
def test_java_body_method_or_class_becomes_one_class(text: str) -> None:
    program = extract_program(text, problem=problem(JAVA_PREAMBLE, track="generation/java"))
    assert parses(program, language=Language.JAVA)
    assert program.count("class Solution") == 1
    assert program.count("int f(int x)") == 1
    assert program.count("import java.util.*;") == 1


def test_method_that_was_cut_off_is_not_closed() -> None:
    program = extract_program("        return x + 1;\n", problem=problem(JAVA_PREAMBLE, track="generation/java"))
    assert not parses(program, language=Language.JAVA)


def test_csharp_method_is_put_into_the_class_and_namespace_that_the_preamble_opens() -> None:
    preamble = (
        "using System;\n\nnamespace N\n{\n    public class P\n    {\n        public static int F (int x) \n        {"
    )
    for text in ("\n            return x;\n        }\n", "public static int F(int x)\n{\n    return x;\n}\n"):
        program = extract_program(text, problem=problem(preamble, track="generation/csharp", entry_point=None))
        assert parses(program, language=Language.CSHARP)
        assert program.count("{") == program.count("}") == 3


CSHARP_PREAMBLE = (
    "using System;\n\nnamespace N\n{\n    public class P\n    {\n        public static int F (int x) \n        {"
)


@pytest.mark.parametrize(
    "text",
    [
        "```csharp\npublic static int F(int x)\n{\n    return x;\n}\n```\nThat is all.",
        "Here you are:\n\npublic static int F(int x)\n{\n    return x;\n}\n\nIt gives x back.\n",
        "\n            return x;\n        }\n    }\n}\n\nNote that it gives x back.\n",
        "\n            return x;\n        }\n\n        public static void Main(string[] args)\n        {\n  Consol",
        "using System;\nnamespace N\n{\n class P\n {\n  public static int F(int x) { return x; }\n }\n}<|im_end|>",
    ],
)
def test_csharp_answers_lose_what_is_around_them(text: str) -> None:
    asked = problem(CSHARP_PREAMBLE, track="generation/csharp", entry_point="F")
    program = extract_program(text, problem=asked)
    assert parses(program, language=Language.CSHARP)
    assert program.count("class P") == program.count("return x;") == 1
    assert program.count("using System;") == 1


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text",
    [
        "line of words here\n" * 3000,
        "a " * 20_000 + "f(",
        "{" * 20_000,
        "def f(x:\n" * 5000,
        "[/INST] def f(x:\n" * 1000,
        "```python\ndef f(x:\n```\n" * 2000,
        "-  " * 40 + "x\n```\n",
        WHOLE + "print(f(1))\n" * 3000,
    ],
)
def test_endless_output_is_read_in_short_time(text: str) -> None:
    for language in Language:
        assert extract_program(text, problem=problem(track=f"generation/{language}"))
    assert extract_program(text, problem=problem(JAVA_PREAMBLE, track="generation/java"))


def test_track_that_writes_prose_has_no_program() -> None:
    with pytest.raises(ValueError, match="extract_summary"):
        extract_program("x", problem=problem(track="summarization/python"))


@pytest.mark.parametrize(
    "text",
    [
        "Returns x.",
        "  Returns x.\n",
        "```\nReturns x.\n```",
        "Returns x.</s>",
        "Returns x.<|im_end|>\n<|im_start|>user",
    ],
)
def test_summary_loses_fences_marks_and_white_space(text: str) -> None:
    assert extract_summary(text) == "Returns x."


def test_summary_keeps_code_that_it_quotes() -> None:
    assert extract_summary("Calls `f`, as in:\n```\nf(1)\n```") == "Calls `f`, as in:\n```\nf(1)\n```"
