"""The readers on the published files, where this machine has them."""

import os
import runpy
from pathlib import Path

import pytest

from tasks.readers import ReaderName, Source, read_examples, read_problems
from tasks.records import CodeTests, Track

DATA = Path(os.environ.get("POLYTUNE_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no published data at {DATA}; set POLYTUNE_DATA")

# Counts as the data sets' papers state them; CodeXGLUE's 10,300 / 500 are 10,295 / 499 in its files.
COUNTS: list[tuple[ReaderName, str, str, str, int]] = [
    ("codexglue-translation", "codexglue_java_cs", "train", "translation/java-csharp", 10295),
    ("codexglue-translation", "codexglue_java_cs", "validation", "translation/csharp-java", 499),
    ("codexglue-translation", "codexglue_java_cs", "test", "translation/csharp-java", 1000),
    ("humaneval", "humaneval", "test", "generation/python", 164),
    ("mbpp", "mbpp", "prompt", "generation/python", 10),
    ("mbpp", "mbpp", "test", "generation/python", 500),
    ("mbpp", "mbpp", "validation", "summarization/python", 90),
    ("mbpp", "mbpp", "train", "generation/python", 374),
    ("humanevalpack", "humanevalpack", "test", "generation/python", 164),
    ("humanevalpack", "humanevalpack", "test", "generation/java", 164),
    ("humanevalpack", "humanevalpack", "test", "summarization/python", 164),
    ("humanevalpack", "humanevalpack", "test", "summarization/java", 164),
]


@pytest.mark.parametrize(("reader", "folder", "split", "track", "count"), COUNTS)
def test_published_files_hold_what_their_papers_say(
    reader: ReaderName, folder: str, split: str, track: str, count: int
) -> None:
    source = Source(reader=reader, path=folder, split=split)
    problems = read_problems(source, track=Track.parse(track), root=DATA)
    assert len({problem.id for problem in problems}) == len(problems) == count
    assert all(problem.input.strip() and problem.reference.strip() for problem in problems)
    assert not any("\r" in problem.input + problem.reference for problem in problems)


@pytest.mark.parametrize("language", ["python", "java"])
def test_no_summarization_input_holds_its_own_reference(language: str) -> None:
    source = Source(reader="humanevalpack", path="humanevalpack", split="test")
    problems = read_problems(source, track=Track.parse(f"summarization/{language}"), root=DATA)
    assert not [problem.id for problem in problems if problem.reference[:30] in problem.input]
    assert not [problem.id for problem in problems if ">>>" in problem.reference]


# Some of MBPP's own programs write "\\w" in a plain string.
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("reader", ["humaneval", "mbpp", "humanevalpack"])
def test_references_pass_their_own_tests_on_a_sample(reader: ReaderName, tmp_path: Path) -> None:
    source = Source(reader=reader, path=reader, split="test", limit=10)
    for problem in read_problems(source, track=Track.parse("generation/python"), root=DATA):
        assert isinstance(problem.tests, CodeTests)
        call = f"check({problem.tests.entry_point})" if problem.tests.entry_point else ""
        # The data set's own answers: no generated code is run here.
        program = f"{problem.reference}\n{problem.tests.setup}\n{problem.tests.code}\n{call}"
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        runpy.run_path(str(tmp_path / "program.py"))


def test_no_training_pair_of_mbpp_is_a_test_problem() -> None:
    track = Track.parse("generation/python")
    tests = read_problems(Source(reader="mbpp", path="mbpp", split="test"), track=track, root=DATA)
    train = read_examples(Source(reader="mbpp", path="mbpp", split="train"), track=track, root=DATA)
    assert not {example.id for example in train} & {problem.id for problem in tests}
