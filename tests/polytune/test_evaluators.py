"""The evaluators on Python values: the numbers of the command line, nothing printed, faults in Python's words."""

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_studies import lines, reference
from typer.testing import CliRunner

import polytune
from orchestrator.cli import app
from orchestrator.commands.execute import execute as execute_command
from tasks.records import Problem

ANSWERS = [
    {"task_id": "small/1", "solution": reference(1)},
    {"task_id": "small/1", "solution": "def solve(x):\n    return x\n"},
    {"task_id": "small/2", "completion": f"```python\n{reference(2)}```"},
]
PREDICTIONS = ["static int f(int a) { return a + 1; }", "int g() { return 2; }", ""]
REFERENCES = ["static int f(int b) { return b + 1; }", "int g() { return 2; }", "int h() { return 3; }"]

Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """A command's JSON."""

    def run(*arguments: object) -> dict[str, Any]:
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return run


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_execute_finds_what_the_command_finds(
    problems: list[Problem], command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.jsonl").write_text(lines(problems), encoding="utf-8")
    out = tmp_path / "v.jsonl"
    completions = write(tmp_path / "c.jsonl", ANSWERS)
    said = command(
        "execute", "--format", "polytune", "--problems", tmp_path / "p.jsonl", "--completions", completions,
        "--out", out, "--k", "1,2", "--check-references",
    )  # fmt: skip
    capfd.readouterr()
    found = polytune.execute(problems, ANSWERS, k=(1, 2), check_references=True)
    assert capfd.readouterr() == ("", "")
    assert {str(k): value for k, value in found.pass_at.items()} == said["pass_at"]
    assert found.pass_at_missing[2] == said["pass_at_missing"]["2"]
    assert found.pass_at_where_reference_passes[1] == said["pass_at_where_reference_passes"]["pass_at"]["1"]
    assert (found.counts, found.isolation) == (said["verdicts"], said["isolation"])
    assert found.without_samples == said["without_samples"] == 1
    assert found.failed_references == ()
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    judged = found.frame()[["task_id", "sample", "verdict", "detail"]].to_dict(orient="records")
    assert judged == [{name: row[name] for name in ("task_id", "sample", "verdict", "detail")} for row in written]


@pytest.mark.parametrize(
    ("body", "limits", "verdict", "detail"),
    [
        ("    while True: pass", {"cpu_seconds": 0.5}, "timeout", "not finished after 0.5 s of CPU time"),
        (
            "    __import__('time').sleep(60)",
            {"wall_seconds": 0.5},
            "unjudged",
            "not finished after 0.5 s of wall time",
        ),
        ("    print('x' * 9000)", {"output_bytes": 4096}, "output_limit", "wrote more than 4096 bytes of output"),
        ("    return bytearray(200 * 2**20)", {"memory_mb": 64}, "memory", "MemoryError"),
    ],
)
def test_limits_are_those_of_the_command(
    problems: list[Problem], body: str, limits: dict[str, Any], verdict: str, detail: str
) -> None:
    (found,) = polytune.execute(
        problems, [{"task_id": "small/1", "solution": f"def solve(x):\n{body}"}], **limits
    ).verdicts
    assert (found.verdict, detail in found.detail) == (verdict, True), found


def test_execute_takes_the_options_of_the_command() -> None:
    given = inspect.signature(execute_command).parameters
    ours = inspect.signature(polytune.execute).parameters
    # A file of verdicts and JSON are for a shell.
    assert {name.rstrip("_") for name in given} - {"out", "json"} == ours.keys()
    same = ("isolation", "workers", "cpu_seconds", "wall_seconds", "memory_mb", "output_bytes")
    assert {name: ours[name].default for name in same} == {name: given[name].default for name in same}


def test_execute_takes_frames_records_and_files_alike(problems: list[Problem], tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(lines(problems), encoding="utf-8")
    ways: list[tuple[Any, Any]] = [
        (tmp_path / "p.jsonl", write(tmp_path / "c.jsonl", ANSWERS)),
        (str(tmp_path / "p.jsonl"), pd.DataFrame(ANSWERS)),
        (pd.DataFrame([p.model_dump(mode="json") for p in problems]), ANSWERS),
    ]
    found = [[v.verdict for v in polytune.execute(asked, answers).verdicts] for asked, answers in ways]
    assert found == [["passed", "wrong_answer", "passed"]] * 3


def test_execute_checks_references_alone(problems: list[Problem]) -> None:
    wrong = problems[0].model_copy(update={"reference": "def solve(x):\n    return 0\n"})
    found = polytune.execute([wrong, *problems[1:]], check_references=True)
    assert [v.task_id for v in found.failed_references] == ["small/1"]
    assert found.pass_at[1] == pytest.approx(2 / 3)


@pytest.mark.parametrize("language", [None, "java"])
def test_score_finds_what_the_command_finds(language: str | None, command: Command, tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{name}.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(texts)])
        for name, texts in (("p", PREDICTIONS), ("r", REFERENCES))
    ]
    options = ["--language", language] if language else []
    said = command("score", "--predictions", files[0], "--references", files[1], *options)
    for given in (files, (PREDICTIONS, REFERENCES), (pd.Series(PREDICTIONS), pd.DataFrame({"text": REFERENCES}))):
        found = polytune.score(*given, language=language)
        assert {name: dataclasses.asdict(figure) for name, figure in found.figures.items()} == said
    frame = found.frame()
    assert list(frame.id) == ["1", "2", "3"] and list(frame.exact_match) == [0.0, 100.0, 0.0]


def test_score_pairs_rows_by_their_ids() -> None:
    references = [{"id": str(i), "text": text} for i, text in enumerate(REFERENCES)]
    found = polytune.score(references[::-1], references, metrics="exact_match")
    assert found.ids == ("2", "1", "0")
    assert found.scores == {"exact_match": (100.0, 100.0, 100.0)}


def test_absent_predictions_are_empty_texts() -> None:
    gone = pd.Series([REFERENCES[0], float("nan"), None], dtype=object)
    assert polytune.score(gone, REFERENCES, metrics=["exact_match"]).scores["exact_match"] == (100.0, 0.0, 0.0)


def test_quality_finds_what_the_command_finds(command: Command, tmp_path: Path) -> None:
    sources = {"a.py": "import os\n\n\ndef f(x):\n    return x\n", "b.py": "def f(:\n"}
    for name, text in sources.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    said = command("quality", tmp_path, "--language", "python")
    for found in (
        polytune.quality(tmp_path, language="python"),
        polytune.quality(sources, language="python"),
        polytune.quality(list(sources.values()), language="python"),
    ):
        assert [(f.parses, dict(f.counts)) for f in found.files.values()] == [
            (f["parses"], f["counts"]) for f in said["files"]
        ]
        totals = {name: figure.model_dump(mode="json") for name, figure in found.totals.items()}
        assert totals == {name: value for name, value in said["totals"].items() if name not in ("files", "parses")}
    assert dict(found.tools) == said["tools"]
    assert list(found.frame().parses) == [True, False] and list(found.frame().source) == ["0", "1"]


def test_compare_finds_what_the_command_finds(command: Command, tmp_path: Path) -> None:
    tables = [
        pd.DataFrame({"problem_id": range(20), "bleu": [offset + i * slope for i in range(20)], "passed": passed})
        for offset, slope, passed in (
            (40, 1.5, [True] * 15 + [False] * 5),
            (35, 1.25, [False] * 9 + [True] * 11),
            (35, 1.0, [True, False] * 10),
        )
    ]
    files = [tmp_path / f"{name}.parquet" for name in "xyz"]
    for table, path in zip(tables, files, strict=True):
        table.to_parquet(path)
    said = command("compare", *files, "--metric", "bleu", "--metric", "passed")["comparisons"]
    found = polytune.compare(*tables, metric=["bleu", "passed"])
    assert len(found.differences) == len(said) == 6
    for one, row in zip(found.differences, said, strict=True):
        for name in ("metric", "n", "dropped", "test", "form", "statistic", "p_value", "p_adjusted", "effect_size"):
            assert getattr(one, name) == row[name], name
        assert one.effect_ci is None if row["ci"] is None else one.effect_ci == tuple(row["ci"])
    assert list(found.frame()[["a", "b"]].itertuples(index=False, name=None))[:3] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    alone = polytune.compare(files[0], tables[1], metric="bleu").only
    assert (alone.a, alone.b) == (str(files[0]), "b")
    assert alone.p_value == found.differences[0].p_value and alone.p_adjusted is None


def test_trials_of_a_study_are_compared_as_they_are_loaded(quickstart: Path) -> None:
    instances = polytune.load("quickstart").instances
    together, apart = (instances[instances.method == method] for method in ("together", "apart"))
    found = polytune.compare(together, apart, metric="passed").only
    assert (found.test, found.n, found.difference) == ("mcnemar-exact", 3, pytest.approx(-1 / 3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: polytune.score(["a", 3], ["a", "b"]), "predictions: line 2"),
        (lambda: polytune.score(["a"], ["a", "b"]), "predictions has 1 items and references 2"),
        (lambda: polytune.score(["a"], ["a"], metrics=["blue"]), "did you mean 'bleu'|bleu"),
        (lambda: polytune.score(["a"], ["a"], metrics=["codebleu"]), "needs language, one of"),
        (lambda: polytune.score("nowhere.txt", ["a"]), "nowhere.txt: no such file"),
        (lambda: polytune.execute([], []), "problems, holds no problem|problems: holds no problem|problems"),
        (lambda: polytune.execute([{"id": 1}], []), "problems: 1 fault"),
        (lambda: polytune.execute([{}]), "nothing to judge"),
        (lambda: polytune.execute([{}], [{}], isolation="strct"), "isolation 'strct': is unknown; did you mean strict"),
        (lambda: polytune.execute([{}], [{}], cpu_seconds=0), "cpu_seconds and wall_seconds must be above 0"),
        (lambda: polytune.execute([{}], [{}], k=(0,)), "each k must be"),
        (lambda: polytune.quality(["x = 1"], language="ruby"), "no language 'ruby'; language is one of python"),
        (lambda: polytune.quality([], language="python"), "no source to measure"),
        (lambda: polytune.quality(["x", float("nan")], language="python"), "source 1: must be a text"),  # type: ignore[list-item]
        (lambda: polytune.compare([{"id": 1, "bleu": 1}], [{"id": 2, "bleu": 1}], metric="bleu"), "cannot be compared"),
        (lambda: polytune.compare([{"x": 1, "bleu": 1}], [{"id": 2, "bleu": 1}], metric="bleu"), "name one with by"),
        (lambda: polytune.compare([{"id": 1, "bleu": "?"}], [{"id": 1, "bleu": 1}], metric="bleu"), "a: row 1: bleu"),
    ],
)  # fmt: skip
def test_faults_name_arguments_and_values_and_no_file_of_ours(call: Callable[[], object], said: str) -> None:
    with pytest.raises(polytune.PolytuneError, match=said) as caught:
        call()
    assert "--" not in str(caught.value) and ".jsonl" not in str(caught.value)


def test_several_differences_are_not_taken_for_one() -> None:
    tables = [[{"id": i, "bleu": i * slope} for i in range(6)] for slope in (1.0, 2.0, 3.0)]
    found = polytune.compare(*tables, metric="bleu")
    with pytest.raises(ValueError, match="3 differences"):
        _ = found.only
