"""The table of languages: every capability of every language works, or is known to be absent."""

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evaluators.extraction import extract_program
from evaluators.languages import LANGUAGES
from evaluators.languages.reading import extract_flows, parses, read_tree
from evaluators.languages.support import LanguageSupport
from evaluators.quality import analyze
from evaluators.quality.analysis import TOOLS
from evaluators.sandbox import Limits, Program, execute, missing_toolchain, toolchains
from evaluators.similarity import score_pairs
from tasks.records import CallTests, Case, Language, Parameter, Problem, UnjudgedReason

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "evaluators" / "languages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A program that adds 1 to an int by way of a variable, and what is known of it.

    `head` is the line that a preamble would end in, `body` what would follow on from it; together with what
    closes it they are `program`. `remark` is a comment.
    """

    program: str
    head: str
    body: str
    remark: str


# A new language needs a line here, or the tests below do not know what its programs look like.
SAMPLES = {
    Language.PYTHON: Sample(
        program="def solve(n):\n    m = n + 1\n    return m\n",
        head="def solve(n):\n",
        body="    m = n + 1\n    return m\n",
        remark="# later\n",
    ),
    Language.JAVA: Sample(
        program="static int solve(int n) {\n    int m = n + 1;\n    return m;\n}\n",
        head="static int solve(int n) {\n",
        body="    int m = n + 1;\n    return m;\n}\n",
        remark="// later\n",
    ),
    Language.CSHARP: Sample(
        program="public static int solve(int n) {\n    int m = n + 1;\n    return m;\n}\n",
        head="public static int solve(int n) {\n",
        body="    int m = n + 1;\n    return m;\n}\n",
        remark="// later\n",
    ),
}
# What a language is known not to have. A capability that is None without standing here was forgotten.
ABSENT: dict[Language, frozenset[str]] = {
    Language.PYTHON: frozenset({"int_bits"}),
    Language.JAVA: frozenset(),
    Language.CSHARP: frozenset(),
}

ADDING = CallTests(
    entry_point="solve",
    parameters=(Parameter(name="n", type="int"),),
    returns="int",
    cases=(Case(arguments=(1,), expected=2), Case(arguments=(-7,), expected=-6)),
)


def problem_of(language: Language, *, preamble: str = "", tests: CallTests | None = ADDING) -> Problem:
    return Problem(
        id="p",
        track=f"generation/{language}",
        dataset="d",
        input="Add 1.",
        reference="",
        preamble=preamble,
        tests=tests,
    )


@pytest.fixture(params=list(Language))
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


def test_every_language_has_its_line_and_its_sample() -> None:
    assert list(LANGUAGES) == list(Language)
    assert all(support.language is language for language, support in LANGUAGES.items())
    assert SAMPLES.keys() == ABSENT.keys() == set(Language)


def test_no_capability_has_a_default_that_would_hide_that_it_was_forgotten() -> None:
    fields = dataclasses.fields(LanguageSupport)
    assert all(f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING for f in fields)


def test_what_a_language_lacks_is_known(language: Language) -> None:
    support = LANGUAGES[language]
    empty = {f.name for f in dataclasses.fields(support) if getattr(support, f.name) in (None, "", (), frozenset())}
    assert empty == ABSENT[language]


def test_runtime_without_a_toolchain_is_refused() -> None:
    with pytest.raises(ValueError, match="java: toolchain and runtime must both be given"):
        dataclasses.replace(LANGUAGES[Language.JAVA], toolchain=None)


def test_source_files_of_two_languages_end_differently() -> None:
    suffixes = [support.suffix for support in LANGUAGES.values()]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.startswith(".") for suffix in suffixes)


def test_programs_parse_and_remarks_and_halves_do_not(language: Language) -> None:
    sample = SAMPLES[language]
    assert parses(sample.program, language=language)
    assert not any(parses(code, language=language) for code in ("", sample.remark, sample.head))


def test_remarks_are_not_of_the_tree_and_values_flow(language: Language) -> None:
    sample = SAMPLES[language]
    bare, remarked = (
        read_tree(code, language=language)
        for code in (sample.program, sample.program.replace("\n", "\n" + sample.remark))
    )
    assert bare.shapes == remarked.shapes
    assert {"solve", "n", "m"} <= set(bare.names)
    assert bool(extract_flows(bare, language=language)) is (LANGUAGES[language].flows is not None)


def test_a_literal_is_one_value(language: Language) -> None:
    tree = read_tree('f("x y");', language=language)
    assert '"x y"' in tree.names


def test_keywords_weigh_more_than_names(language: Language) -> None:
    assert {"return", "if"} <= LANGUAGES[language].keywords
    assert "solve" not in LANGUAGES[language].keywords


def test_codebleu_of_a_program_with_itself_is_full_and_names_the_grammar(language: Language) -> None:
    program = SAMPLES[language].program
    scores = score_pairs([program], [program], metrics=["codebleu", "codebleu_dataflow"], language=language)
    dataflow = None if LANGUAGES[language].flows is None else 100.0
    assert scores.corpus == {"codebleu": 100.0, "codebleu_dataflow": dataflow}
    assert f"|{LANGUAGES[language].grammar.package}:" in scores.signatures["codebleu"]


@pytest.mark.parametrize("around", ["{}", "```\n{}```\nIt adds one.\n", "Sure, here it is.\n\n{}\nThis adds one.\n"])
def test_programs_are_found_in_answers(language: Language, around: str) -> None:
    program = SAMPLES[language].program
    found = extract_program(around.replace("{}", program), problem=problem_of(language))
    assert found.strip() == program.strip()


def test_answers_that_follow_on_from_a_preamble_make_programs(language: Language) -> None:
    sample = SAMPLES[language]
    for tests in (ADDING, None):  # without tests the entry point is read off the preamble
        problem = problem_of(language, preamble=sample.head, tests=tests)
        for answer in (sample.body, sample.program):
            program = extract_program(answer, problem=problem)
            assert parses(program, language=language)
            assert program.count("solve") == 1


def test_programs_run_and_are_judged(language: Language) -> None:
    if (reason := missing_toolchain(language)) is not None:
        pytest.skip(reason)
    sources = (SAMPLES[language].program, SAMPLES[language].program.replace("+ 1", "+ 2"), SAMPLES[language].head)
    programs = [Program(problem_id="p", source=source, sample=i) for i, source in enumerate(sources)]
    found = execute([problem_of(language)], programs, limits=Limits(wall_s=60))
    assert [verdict.verdict for verdict in found] == ["passed", "wrong_answer", "compile_error"]


def test_ints_are_as_wide_as_the_language_has_them(language: Language) -> None:
    if (reason := missing_toolchain(language)) is not None:
        pytest.skip(reason)
    wide = ADDING.model_copy(update={"cases": (Case(arguments=(2**40,), expected=2**40 + 1),)})
    (found,) = execute(
        [problem_of(language, tests=wide)],
        [Program(problem_id="p", source=SAMPLES[language].program)],
        limits=Limits(wall_s=60),
    )
    bits = LANGUAGES[language].int_bits
    expected = ("passed", None) if bits is None else ("unjudged", UnjudgedReason.UNSAYABLE)
    assert (found.verdict, found.reason) == expected
    assert bits is None or f"does not fit the {bits}-bit int of {language.title}" in found.detail


def test_tools_have_titles_of_their_own_and_remedies() -> None:
    found = toolchains()
    assert [tool.language for tool in found] == [key for key, known in LANGUAGES.items() if known.toolchain is not None]
    assert len({tool.title for tool in found}) == len(found)
    assert all(tools.remedy for support in LANGUAGES.values() if (tools := support.toolchain) is not None)


def test_analyzers_are_tools_that_there_are(language: Language) -> None:
    report = analyze([SAMPLES[language].program], language=language)
    assert {*report.tools, *report.missing} == set(LANGUAGES[language].analyzers) <= TOOLS.keys()
    assert report.files[0].counts["lizard.nloc"] >= 3


def test_every_analyzer_reads_some_language() -> None:
    assert {name for support in LANGUAGES.values() for name in support.analyzers} == TOOLS.keys()


def test_language_that_is_not_run_leaves_its_programs_unjudged_and_is_scored_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = dataclasses.replace(LANGUAGES[Language.JAVA], toolchain=None, runtime=None, flows=None, analyzers=())
    monkeypatch.setitem(LANGUAGES, Language.JAVA, bare)  # type: ignore[arg-type]
    program = SAMPLES[Language.JAVA].program.replace("m", "read_by_no_other_test")  # programs are read once a process
    (found,) = execute([problem_of(Language.JAVA)], [Program(problem_id="p", source=program)], limits=Limits())
    assert (found.verdict, found.reason) == ("unjudged", UnjudgedReason.LANGUAGE_NOT_RUN)
    assert found.detail == missing_toolchain(Language.JAVA) == "not judged: Polytune runs no programs in Java"
    assert Language.JAVA not in [tool.language for tool in toolchains()]  # there is nothing to install
    scores = score_pairs([program], [program], metrics=["codebleu", "codebleu_dataflow"], language=Language.JAVA)
    assert scores.corpus == {"codebleu": 100.0, "codebleu_dataflow": None}
    assert analyze([program], language=Language.JAVA).files[0].counts == {}


_READS = """
import sys
from evaluators.extraction import extract_program
from evaluators.languages.reading import parses
from tasks.records import Language, Problem
for language in Language:
    problem = Problem(id="p", track=f"generation/{language}", dataset="d", input="", reference="")
    parses(extract_program("x = 1", problem=problem), language=language)
print("\\n".join(sys.modules))
"""


def test_reading_code_loads_neither_codebleu_nor_anything_that_runs_programs() -> None:
    done = subprocess.run([sys.executable, "-c", _READS], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "tree_sitter_java" in loaded
    assert not {"sacrebleu", "rouge_score", "nltk", "numpy"} & loaded
    heavy = ("evaluators.similarity", "evaluators.sandbox", "evaluators.quality", "evaluators.isolation")
    assert [name for name in loaded if name.startswith(heavy)] == []
    late = {f"evaluators.languages.{language}.{part}" for language in Language for part in ("runtime", "flows")}
    assert not late & loaded


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_languages_know_nothing_of_each_other_nor_of_the_table(language: Language) -> None:
    others = {f"evaluators.languages.{other}" for other in Language if other is not language}
    forbidden = (*others, "evaluators.languages.table", "evaluators.languages.reading")
    found = {name for path in (FOLDER / language).rglob("*.py") for name in imports_of(path)}
    assert found
    assert [name for name in found if name.startswith(forbidden)] == []


def names_a_language(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Language"


def test_nobody_asks_which_language_it_is() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for package in ("evaluators", "orchestrator", "tasks", "trainers")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and any(map(names_a_language, ast.walk(node)))
    ]
    assert found == []
