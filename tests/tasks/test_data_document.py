"""Every line of `docs/data.md` that a person may copy does what the document says of it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.study.file import load_study
from tasks.readers import Source, read_examples, read_first, read_problems
from tasks.records import CallTests, CodeTests, Track

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: the section that it is in, the paragraph before it, its form and its text."""

    section: str
    said: str
    form: str
    text: str

    @property
    def track(self) -> str:
        """The track that the paragraph before it names."""
        return re.findall(r"track `([^`]+)`", self.said, re.IGNORECASE)[0]


def blocks() -> list[Block]:
    text = DOCUMENT.read_text(encoding="utf-8")
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        for match in re.finditer(r"([^\n]+)\n\n```(\w+)\n(.*?)\n```$", section, re.DOTALL | re.MULTILINE):
            said, form, held = match.groups()
            found.append(Block(section=section.partition("\n")[0], said=said, form=form, text=held))
    return found


def of_section(name: str) -> list[Block]:
    return [block for block in blocks() if block.section == name]


def named(blocks: list[Block]) -> Any:
    return pytest.mark.parametrize("block", blocks, ids=[f"{block.said[:40]} ({block.form})" for block in blocks])


TRAINING = of_section("Training")
CALLS, CODE = of_section("Test problems: calls"), of_section("Test problems: code")
COMPLETIONS = of_section("Completions")


def test_the_document_has_a_line_for_each_language_of_each_kind() -> None:
    languages = {f"generation/{language}" for language in ("python", "java", "csharp")}
    for kind in (TRAINING, CALLS, CODE):
        assert languages <= {block.track for block in kind}
    assert [re.findall("own-[a-z]+", block.said) for block in COMPLETIONS] == [
        ["own-python"],
        ["own-java"],
        ["own-csharp"],
    ]
    # No fence of the document is passed over.
    fences = re.findall(r"^```(\w+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == len(blocks()) == len([*TRAINING, *CALLS, *CODE, *COMPLETIONS]) + 1


def write(folder: Path, block: Block, name: str = "data") -> str:
    path = folder / f"{name}.{block.form}"
    path.write_text(block.text + "\n", encoding="utf-8", newline="")
    return path.name


@named(TRAINING)
def test_each_training_line_is_one_example(tmp_path: Path, block: Block) -> None:
    source = Source(reader="own", path=write(tmp_path, block))
    (example,) = read_examples(source, track=Track.parse(block.track), root=tmp_path)
    assert "ouble" in example.input or "twice" in example.input
    assert re.search(r"2 \* x|Double", example.output)
    seen = read_first(source, track=Track.parse(block.track), root=tmp_path, training=True)
    assert seen is not None and seen.count == 1


def execute(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["execute", "--json", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout)


@named([*CALLS, *CODE])
def test_each_test_problem_passes_its_reference_and_fails_an_empty_answer(tmp_path: Path, block: Block) -> None:
    name = write(tmp_path, block)
    (problem,) = read_problems(
        Source(reader="own", path=name, split="test"), track=Track.parse(block.track), root=tmp_path
    )
    assert isinstance(problem.tests, CallTests if block in CALLS else CodeTests)
    form = f"own-{block.track.partition('/')[2]}"
    status, summary = execute("--format", form, "--problems", tmp_path / name, "--check-references")
    assert (status, summary["verdicts"]) == (0, {"passed": 1}), summary
    wrong = tmp_path / "wrong.jsonl"
    answer = problem.reference.replace("2 * x", "3 * x")
    wrong.write_text(json.dumps({"task_id": 1, "completion": answer}) + "\n", encoding="utf-8")
    arguments = ("--problems", tmp_path / name, "--completions", wrong, "--out", tmp_path / "v.jsonl")
    status, summary = execute("--format", form, *arguments)
    assert summary["verdicts"] == {"wrong_answer": 1}, summary


@named(COMPLETIONS)
def test_each_completion_passes_the_problem_of_its_language(tmp_path: Path, block: Block) -> None:
    (form,) = re.findall(r"own-[a-z]+", block.said)
    (problems,) = [b for b in CALLS if b.track.endswith(form.removeprefix("own-")) and b.form == "jsonl"]
    held, given = tmp_path / write(tmp_path, problems, "p"), tmp_path / write(tmp_path, block, "c")
    status, summary = execute("--format", form, "--problems", held, "--completions", given, "--out", tmp_path / "v")
    assert (status, summary["verdicts"]) == (0, {"passed": block.text.count("task_id")}), summary


def test_the_study_of_the_document_loads_and_names_own_files(tmp_path: Path) -> None:
    (block,) = [block for block in blocks() if block.form == "yaml"]
    (tmp_path / "study.yaml").write_text(block.text, encoding="utf-8")
    study = load_study(tmp_path / "study.yaml")
    entry = study.tasks["generation/python"]
    assert [(s.reader, s.path, s.split) for s in (*entry.train, *entry.test)] == [
        ("own", "train.jsonl", "train"),
        ("own", "test.jsonl", "test"),
    ]


@pytest.mark.parametrize("short", re.findall(r"\| `(?:train: )([^`]+)`", DOCUMENT.read_text(encoding="utf-8")))
def test_each_way_of_naming_data_is_one_a_study_takes(tmp_path: Path, short: str) -> None:
    text = f"""\
study: mine
models: [builtin:micro]
tasks:
  generation/python:
    train: {short}
    test: test.jsonl
methods: {{frozen: {{kind: frozen}}}}
"""
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    sources = load_study(tmp_path / "study.yaml").tasks["generation/python"].train
    assert {source.reader for source in sources} == {"own"}


def test_every_recognised_name_of_the_document_is_recognised(tmp_path: Path) -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| ([^|]+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert [key for key, _ in rows] == ["input", "output", "tests", "entry_point", "setup", "preamble", "id", "track"]
    for key, names in rows:
        for column in re.findall(r"`(\w+)`", names):
            summarised = (
                column in ("code", "function") if key == "input" else column in ("summary", "docstring", "comment")
            )
            track = "summarization/python" if summarised else "generation/python"
            row = {"prompt": "p", "completion": "c", "entry_point": "f"}
            row = {role: value for role, value in row.items() if not _same_role(role, key)}
            row[column] = {"tests": "assert True", "track": track}.get(key, "x")
            (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
            source = Source(reader="own", path="p.jsonl", split="test")
            seen = read_first(source, track=Track.parse(track), root=tmp_path, training=False)
            assert seen is not None and f" {column}" in f"{seen.columns},", (key, column, seen)


def _same_role(column: str, key: str) -> bool:
    return {"prompt": "input", "completion": "output"}.get(column, column) == key
