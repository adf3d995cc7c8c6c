"""CodeBLEU: cases by hand, values of the reference implementation, and what must not flatter."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluators.similarity import score_pairs
from evaluators.similarity.scores import Scores
from tasks.records import Language

PARTS = ("codebleu_ngram", "codebleu_weighted", "codebleu_syntax", "codebleu_dataflow")
ALL = ("codebleu", *PARTS)
DATA = Path(os.environ.get("POLYTUNE_DATA", Path(__file__).parents[3] / "shared" / "data"))

SIGN = "public static int Sign ( double d ) { return ( int ) ( ( d == 0 ) ? 0 : ( d < 0 ) ? - 1 : 1 ) ; }"


def score(output: str, reference: str, language: Language) -> dict[str, float | None]:
    scores = score_pairs([output], [reference], metrics=ALL, language=language)
    return {metric: scores.per_instance[metric][0] for metric in ALL}


def test_all_four_parts_agree_with_a_count_by_hand() -> None:
    # Eight tokens, of which `g` differs: 7/8 words, 5/7, 4/6 and 3/5 longer n-grams agree. Weighted,
    # the two keywords count 1 and six other words 0.2, so 3.0 of 3.2. The shapes are the same, and
    # so is the one flow, from the parameter to the value returned.
    found = score("def g ( a ) :\n    return a\n", "def f ( a ) :\n    return a\n", Language.PYTHON)
    ngram = 100 * (7 / 8 * 5 / 7 * 4 / 6 * 3 / 5) ** 0.25
    weighted = 100 * (3.0 / 3.2 * 5 / 7 * 4 / 6 * 3 / 5) ** 0.25
    assert found["codebleu_ngram"] == pytest.approx(ngram)
    assert found["codebleu_weighted"] == pytest.approx(weighted)
    assert found["codebleu_syntax"] == 100.0
    assert found["codebleu_dataflow"] == 100.0
    assert found["codebleu"] == pytest.approx((ngram + weighted + 200) / 4)


def test_short_output_pays_the_brevity_penalty_in_the_ngram_part() -> None:
    found = score("return a", "return a + b", Language.PYTHON)
    # 2 of 4 tokens; words and pairs agree, the two longer orders are smoothed to 0.1.
    assert found["codebleu_ngram"] == pytest.approx(100 * math.exp(1 - 4 / 2) * (1 * 1 * 0.1 * 0.1) ** 0.25)


# Values of codebleu 0.7.0 (tree-sitter-python 0.21.0, -java 0.21.0, -c-sharp 0.21.3) on these texts.
@pytest.mark.parametrize(
    ("language", "output", "reference", "expected"),
    [
        (
            Language.PYTHON,
            "def bar ( y , x ) :\n    a = x * x\n    return a",
            "def foo ( x ) :\n    return x",
            (8.085298080223222, 17.286039232097053, 20.0, 100.0),
        ),
        (
            Language.JAVA,
            SIGN.replace(" d ", " c "),
            SIGN,
            (76.48646542374046, 77.20547729987196, 100.0, 100.0),
        ),
        (
            Language.CSHARP,
            "public int foo ( int x ) { int y = x ; return y ; }",
            "public int bar ( int y ) { return y ; }",
            (22.786788980326644, 34.172334076593075, 50.0, 100.0),
        ),
    ],
)
def test_parts_equal_the_reference_implementation_on_tokenised_text(
    language: Language, output: str, reference: str, expected: tuple[float, ...]
) -> None:
    found = score(output, reference, language)
    assert tuple(found[part] for part in PARTS) == pytest.approx(expected)


def test_subtree_of_the_output_matches_once_and_not_any_number_of_times() -> None:
    # The reference's three calls have one shape; the output has it once.
    found = score("f(a)\n", "f(a)\ng(b)\nh(c)\n", Language.PYTHON)
    # Shapes of the reference: the module, and a statement, a call and its arguments three times.
    assert found["codebleu_syntax"] == pytest.approx(100 * 3 / 10)


@pytest.mark.parametrize("language", list(Language))
def test_empty_output_scores_zero_in_every_part(language: Language) -> None:
    for output in ("", " \n\t", "# nothing\n" if language is Language.PYTHON else "// nothing\n"):
        found = score(output, "int f(int x) { return x; }" if language is not Language.PYTHON else "y = x\n", language)
        assert set(found.values()) <= {0.0}


def test_output_that_shares_nothing_scores_zero_and_not_a_quarter() -> None:
    # codebleu 0.7.0 gives 0.25 here.
    found = score("some rannnndom words in length more than 3", "def test ( ) :\n pass", Language.PYTHON)
    assert found["codebleu"] == 0.0
    assert found["codebleu_dataflow"] is None


def test_weight_of_an_absent_dataflow_is_shared_by_the_other_parts() -> None:
    found = score("def g():\n    pass\n", "def f():\n    pass\n", Language.PYTHON)
    others = [found[part] for part in PARTS[:3]]
    assert found["codebleu_dataflow"] is None
    assert found["codebleu"] == pytest.approx(sum(value for value in others if value is not None) / 3)


@pytest.mark.parametrize("code", ["x", "x = 1", "return", "def f(a):\n    return a", "for i in x:\n    i += 1\n"])
def test_identical_code_scores_a_hundred_however_short(code: str) -> None:
    assert score(code, code, Language.PYTHON)["codebleu"] == 100.0


def test_comments_carry_no_weight_in_syntax_and_dataflow() -> None:
    found = score("int f(int x){return x+1;}", "int f(int x) {\n  // add one\n  return x + 1;\n}\n", Language.JAVA)
    assert (found["codebleu_syntax"], found["codebleu_dataflow"]) == (100.0, 100.0)


# What codebleu 0.7.0 (with the grammars named above) gives for these texts, and what is right. The numbers
# are those of the list in evaluators/similarity/codebleu.py.
DEPARTURES = (
    ("1 absent dataflow", Language.PYTHON, "", "x", "codebleu", 25.0, 0.0),
    ("2 clipped subtrees", Language.PYTHON, "f(a)\n", "f(a)\ng(b)\nh(c)\n", "codebleu_syntax", 90.0, 30.0),
    ("4 short copies", Language.PYTHON, "x = 1", "x = 1", "codebleu_ngram", 56.23413251903491, 100.0),
    ("4 weighted short copies", Language.PYTHON, "x = 1", "x = 1", "codebleu_weighted", 49.49232003839766, 100.0),
    ("5 no brevity penalty", Language.JAVA, "return", "return x ;", "codebleu_weighted", 5.057268482495311,
     100 * (1 / 1.4 * 0.1 / 2 * 0.1) ** (1 / 3)),
    ("6 C# declarations", Language.CSHARP, "int f ( int a ) { int c = 1 ; return c ; }",
     "int f ( int a ) { int b = a ; return b ; }", "codebleu_dataflow", 100.0, 75.0),
    ("7 columns in bytes", Language.JAVA, 'String s = "\u00e9" ; x = s ; return x ;',
     'String s = "e" ; x = s ; return x ;', "codebleu_dataflow", 60.0, 100.0),
    ("8 one assignment", Language.PYTHON, "a.b = d.c\nf(b)", "a.b = c.d\nf(b)", "codebleu_dataflow", 100.0, 100.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("language", "output", "reference", "part", "library", "ours"),
    [row[1:] for row in DEPARTURES],
    ids=[row[0] for row in DEPARTURES],
)
def test_departure_from_the_reference_implementation(
    language: Language, output: str, reference: str, part: str, library: float, ours: float
) -> None:
    found = score(output, reference, language)[part]
    assert found == pytest.approx(ours)
    assert found != pytest.approx(library) or library == ours


def test_values_inside_an_f_string_flow() -> None:
    # codebleu 0.7.0 finds no dataflow here, and so gives 25 for nothing.
    found = score("def f(a):\n    return f'{a}'", "def f(b):\n    return f'{b}'", Language.PYTHON)
    assert found["codebleu_dataflow"] == 100.0


def test_token_that_the_parser_invented_is_no_variable() -> None:
    # The bracket that is missing would be one of an empty name, and renumber the others.
    whole = "int f(int a) { a = g(a); return h(a); }"
    assert score(whole.replace("h(a)", "h(a"), whole, Language.JAVA)["codebleu_dataflow"] == 100.0


def test_sources_are_listed_in_the_order_of_the_text() -> None:
    # With two sources renamed alike, a hash's order matches them or not, by chance.
    reference = "int f(int a, int b) { int c = a + b; return c; }"
    output = "int f(int p, int q) { int r = p + q; return r; }"
    assert score(output, reference, Language.JAVA)["codebleu_dataflow"] == 100.0


def test_renaming_a_variable_keeps_the_dataflow() -> None:
    found = score("int f(int b) { int c = b; return c; }", "int f(int x) { int y = x; return y; }", Language.CSHARP)
    assert found["codebleu_dataflow"] == 100.0
    assert found["codebleu_ngram"] is not None
    assert found["codebleu_ngram"] < 100.0


def test_corpus_is_scored_by_summed_counts() -> None:
    outputs, references = ["def f(a):\n    return a\n", ""], ["def f(a):\n    return a\n"] * 2
    scores = score_pairs(outputs, references, metrics=ALL, language=Language.PYTHON)
    # Half of the subtrees and flows, and half of the words against the whole length.
    assert scores.corpus["codebleu_syntax"] == 50.0
    assert scores.corpus["codebleu_dataflow"] == 50.0
    assert scores.corpus["codebleu_ngram"] == pytest.approx(100 * math.exp(1 - 2))


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("code", ["(" * 3000 + ")" * 3000, "f(" * 3000 + "1" + ")" * 3000, "{" * 3000, "if(a)" * 3000])
def test_three_thousand_nested_brackets_are_scored(language: Language, code: str) -> None:
    for output, reference in ((code, "x = 1"), ("x = 1", code)):
        value = score(output, reference, language)["codebleu"]
        assert value is not None
        assert 0.0 <= value <= 100.0


@pytest.mark.timeout(60)
def test_nested_loops_take_no_exponential_time() -> None:
    code = "".join("    " * depth + f"for x{depth} in y:\n" for depth in range(60)) + "    " * 60 + "y = x0\n"
    assert score(code, code, Language.PYTHON)["codebleu"] == 100.0


def test_scores_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "from evaluators.similarity import score_pairs; from tasks.records import Language\n"
        "a = 'public int f(int x, int y) { int z = x * y + x; while (z > y) { z -= x; y++; } return z; }'\n"
        "b = 'public int g(int p, int q) { int r = q + p; while (r > p) { r = r - q; p++; } return r + q; }'\n"
        f"print(score_pairs([a], [b], metrics={ALL!r}, language=Language.JAVA))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(("language", "suffix"), [(Language.JAVA, "java"), (Language.CSHARP, "cs")])
def test_thousand_references_score_a_hundred_against_themselves(language: Language, suffix: str) -> None:
    file = DATA / "codexglue_java_cs" / f"test.java-cs.txt.{suffix}"
    if not file.exists():
        pytest.skip(f"no CodeXGLUE translation data at {file}; set POLYTUNE_DATA")
    references = file.read_text(encoding="utf-8").splitlines()
    started = time.perf_counter()
    scores: Scores = score_pairs(references, references, metrics=ALL, language=language)
    print(f"{len(references)} CodeBLEU pairs in {time.perf_counter() - started:.2f} s")
    assert len(references) == 1000
    assert set(scores.per_instance["codebleu"]) == {100.0}
    assert scores.corpus["codebleu"] == 100.0
