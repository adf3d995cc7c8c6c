"""`polytune execute` on small files, in processes of its own and in this one."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import InputError
from polytune import execute
from tasks.micro.suite import problems as micro_problems
from tasks.readers import DataError
from tasks.records import CodeTests, Problem, Track, reason_in_words

pytestmark = pytest.mark.slow

ADD = {
    "task_id": "Adding/0",
    "prompt": "def add(a, b):\n",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    "entry_point": "add",
}
NEGATE = {
    "task_id": "Adding/1",
    "prompt": "def negate(a):\n",
    "canonical_solution": "    return -a\n",
    "test": "def check(candidate):\n    assert candidate(1) == -1\n",
    "entry_point": "negate",
}
RIGHT, WRONG = "    return a + b\n", "    return a - b\n"


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write(tmp_path / "problems.jsonl", [ADD, NEGATE])


def run(*arguments: object, form: str = "humaneval") -> tuple[int, dict[str, Any], str]:
    """The command in this process: its status, its JSON, and what it said on standard error."""
    result = CliRunner().invoke(app, ["execute", "--format", form, "--json", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout or "{}"), result.stderr


def verdict_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_completions_get_verdicts_and_pass_at_k(problems: Path, tmp_path: Path) -> None:
    rows = [
        {"task_id": "Adding/0", "completion": RIGHT},
        {"task_id": "Adding/1", "solution": "def negate(a):\n    return -a\n"},
        {"task_id": "Adding/0", "completion": WRONG},
        {"task_id": "adding/0", "completion": "Here:\n```python\ndef add(a, b):\n    return a + b\n```"},
        {"task_id": "Adding/1", "completion": ""},
    ]
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    status, summary, _ = run("--problems", problems, "--completions", completions, "--out", out, "--k", "1,2,3")
    assert status == 0
    lines = verdict_lines(out)
    assert [(v["task_id"], v["sample"], v["verdict"]) for v in lines] == [
        ("Adding/0", 0, "passed"),
        ("Adding/1", 0, "passed"),
        ("Adding/0", 1, "wrong_answer"),
        ("Adding/0", 2, "passed"),
        ("Adding/1", 1, "compile_error"),
    ]
    fields = {"task_id", "sample", "verdict", "detail", "reason", "strength", "isolation", "cpu_s", "wall_s"}
    assert set(lines[0]) == fields
    assert (summary["problems"], summary["samples"]) == (2, 5)
    assert summary["verdicts"] == {"passed": 3, "wrong_answer": 1, "compile_error": 1}
    # By hand: 2 of 3 and 1 of 2 pass; two draws miss with chance 0 of 3 and 0 of 1.
    assert summary["pass_at"] == {"1": pytest.approx((2 / 3 + 1 / 2) / 2), "2": pytest.approx(1.0)}
    assert summary["pass_at_missing"] == {"3": "1 problem has fewer than 3 judged samples, the fewest 2"}
    assert summary["isolation"] in ("strict", "landlock")
    assert summary["strength"] == {"apart": 4}


def test_references_that_fail_are_named_and_figures_given_with_and_without_them(tmp_path: Path) -> None:
    broken = {**NEGATE, "canonical_solution": "    return a\n"}
    problems = write(tmp_path / "p.jsonl", [ADD, broken])
    status, summary, _ = run("--problems", problems, "--check-references")
    assert (status, summary["references"]["passed"]) == (1, 1)
    assert [one["task_id"] for one in summary["references"]["failed"]] == ["Adding/1"]
    rows = [{"task_id": "Adding/0", "completion": RIGHT}, {"task_id": "Adding/1", "completion": "    return a\n"}]
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    status, summary, _ = run("--problems", problems, "--completions", completions, "--out", out, "--check-references")
    assert status == 1
    assert summary["pass_at"] == {"1": 0.5}
    assert summary["pass_at_where_reference_passes"] == {"problems": 1, "pass_at": {"1": 1.0}}


def test_tables_are_for_people(problems: Path) -> None:
    result = CliRunner().invoke(
        app, ["execute", "--format", "humaneval", "--problems", str(problems), "--check-references"]
    )
    assert result.exit_code == 0
    for said in ("passed", "pass@1 100.0 %", "references: 2 of 2 pass", "isolation: ", "100.0 % apart"):
        assert said in result.stdout


def test_mbpp_problems_go_by_their_numbers_from_every_split(tmp_path: Path) -> None:
    def row(number: int, name: str) -> dict[str, object]:
        code, tests = f"def {name}(a):\r\n    return a", [f"assert {name}(1) == 1"]
        return {"text": "Give it back.", "code": code, "task_id": number, "test_setup_code": "", "test_list": tests}

    problems = tmp_path / "mbpp.jsonl.gz"
    problems.write_bytes(gzip.compress("\n".join(json.dumps(row(n, f"f{n}")) for n in (1, 11, 601)).encode()))
    status, summary, _ = run("--problems", problems, "--check-references", form="mbpp")
    assert (status, summary["problems"], summary["references"]["passed"]) == (0, 3, 3)
    rows = [
        {"task_id": 11, "completion": "def f11(a):\n    return a"},
        {"task_id": "601", "solution": "f601 = abs"},
        {"task_id": "Mbpp/1", "solution": "f1 = abs"},
    ]
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    status, summary, _ = run("--problems", problems, "--completions", completions, "--out", out, form="mbpp")
    assert (status, summary["without_samples"]) == (0, 0)
    verdicts = [(v["task_id"], v["verdict"]) for v in verdict_lines(out)]
    assert verdicts == [("11", "passed"), ("601", "passed"), ("Mbpp/1", "passed")]


def test_evalplus_lines_are_read_as_evalplus_reads_them(tmp_path: Path) -> None:
    row = {
        "task_id": "Mbpp/17",
        "prompt": '"""\nWrite a function to find the perimeter of a square.\nassert square_perimeter(10)==40\n"""\n',
        "entry_point": "square_perimeter",
        "canonical_solution": "\ndef square_perimeter(a):\n  return 4*a\n",
        "base_input": [[10], [5]],
        "plus_input": {},
        "atol": 0,
    }
    right, wrong = "def square_perimeter(a):\n    return 4 * a\n", "def square_perimeter(a):\n    return a\n"
    # A completion may rely on what its prompt holds, here the docstring that it goes on from.
    reads_prompt = "def square_perimeter(a):\n    return 4 * a if 'perimeter' in __doc__ else a\n"
    rows = [
        {"task_id": "17", "completion": right},
        {"task_id": 17, "completion": wrong},
        {"task_id": "Mbpp/17", "completion": reads_prompt},
        {"task_id": "Mbpp/17", "completion": wrong, "solution": right},
        {"task_id": "Mbpp/17", "completion": f"Here it is:\n```python\n{right}```\n"},
    ]
    problems = write(tmp_path / "p.jsonl", [row])
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    status, _, said = run("--problems", problems, "--completions", completions, "--out", out, form="mbpp-plus")
    assert status == 0, said
    assert [(v["task_id"], v["sample"]) for v in verdict_lines(out)] == [("17", n) for n in range(5)]
    judged = [v["verdict"] for v in verdict_lines(out)]
    assert judged == ["passed", "wrong_answer", "passed", "passed", "passed"]


def test_codereval_s_result_file_needs_no_problems(tmp_path: Path) -> None:
    results = [{"generate_code": "x", "is_pass": p, "return_code": int(not p)} for p in (True, False)]
    rows = [{"_id": "62e6", "generate_results": results}, {"ques_id": "62e7", "generate_results": results[:1]}]
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    status, summary, _ = run("--completions", completions, "--out", out, form="codereval")
    assert (status, summary["verdicts"], summary["problems"]) == (0, {"passed": 2, "wrong_answer": 1}, 2)
    with pytest.raises(InputError, match="--problems is missing"):
        run("--completions", completions, "--out", out, form="humaneval")
    plain = write(tmp_path / "plain.jsonl", [{"task_id": "62e6", "completion": "x"}])
    with pytest.raises(DataError, match=r"line 1: holds no generate_results; name the problems' file"):
        run("--completions", plain, "--out", tmp_path / "w.jsonl", form="codereval")


def test_codereval_s_java_results_say_what_did_not_compile(tmp_path: Path) -> None:
    ends = [("", True), ("compile error", False), ("exec error!", False)]
    # As the benchmark's authors published those of their models: no return code, but a message.
    results = [
        {"generate_code": "x", "errormessage": said, "error_detail_message": "", "is_pass": p} for said, p in ends
    ]
    completions, out = write(tmp_path / "c.jsonl", [{"_id": "6367", "generate_results": results}]), tmp_path / "v.jsonl"
    _, summary, _ = run("--completions", completions, "--out", out, "--k", "1,3", form="codereval")
    assert summary["verdicts"] == {"passed": 1, "wrong_answer": 1, "compile_error": 1}
    assert summary["pass_at"] == {"1": pytest.approx(1 / 3), "3": 1.0}
    said = [line["detail"].rpartition(", ")[2] for line in verdict_lines(out)]
    assert said == ["passed", "compile error", "exec error"]
    judged = execute(completions=completions, format="codereval")
    assert [verdict.verdict for verdict in judged.verdicts] == ["passed", "compile_error", "wrong_answer"]


def test_built_in_suite_in_the_project_s_own_format_passes_its_references(tmp_path: Path) -> None:
    suite = micro_problems(Track.parse("generation/python"), split="test")[:5]
    path = write(tmp_path / "p.jsonl", [problem.model_dump(mode="json") for problem in suite])
    status, summary, _ = run("--problems", path, "--check-references", form="polytune")
    assert (status, summary["verdicts"]) == (0, {"passed": 5})


def test_problem_without_tests_is_unjudged_and_says_so(tmp_path: Path) -> None:
    problem = Problem(id="d/1", track="generation/python", dataset="d", input="Add.", reference="def f(): pass")
    path = write(tmp_path / "p.jsonl", [problem.model_dump(mode="json")])
    completions = write(tmp_path / "c.jsonl", [{"task_id": "d/1", "completion": "x"}])
    out = tmp_path / "v.jsonl"
    status, summary, _ = run("--problems", path, "--completions", completions, "--out", out, form="polytune")
    assert (status, summary["pass_at"]) == (1, {})
    assert summary["unjudged"] == {"not judged: the problem has no tests; give problems that have some": 1}
    (line,) = verdict_lines(out)
    assert line["reason"] == reason_in_words(line["detail"]) == "no_tests"


def test_missing_compiler_leaves_samples_unjudged_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = CodeTests(entry_point="f", code="class Main {}")
    java = Problem(id="j/1", track="generation/java", dataset="d", input="Add.", reference="class A {}", tests=tests)
    python = Problem(
        id="p/1",
        track="generation/python",
        dataset="d",
        input="Add.",
        reference="def f(): return 1",
        tests=CodeTests(entry_point="f", code="def check(f):\n    assert f() == 1\n"),
    )
    path = write(tmp_path / "p.jsonl", [p.model_dump(mode="json") for p in (java, python)])
    rows = [{"task_id": "j/1", "solution": "class A {}"}, {"task_id": "p/1", "solution": python.reference}]
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    monkeypatch.setenv("PATH", str(tmp_path))
    status, summary, _ = run("--problems", path, "--completions", completions, "--out", out, form="polytune")
    assert (status, summary["verdicts"]) == (1, {"passed": 1, "unjudged": 1})
    (reason,) = summary["unjudged"]
    assert "apt-get install default-jdk-headless" in reason
    assert [line["reason"] for line in verdict_lines(out)] == ["toolchain_missing", None]


CODEREVAL = {
    "RECORDS": [
        {"_id": "62e6", "name": "f", "code": 'def f(a):\n    """Old."""\n    return a', "docstring": "Give it back."},
        {"_id": "62e7", "name": "g", "code": "public int g(int a) {\n  return a;\n}", "docstring": "Give it back."},
    ]
}


def test_codereval_s_own_results_are_imported_and_anything_else_is_not_judged(tmp_path: Path) -> None:
    problems = tmp_path / "CoderEval4Python.json"
    problems.write_text(json.dumps(CODEREVAL), encoding="utf-8")
    results = [{"generate_code": "x", "is_pass": p, "return_code": int(not p)} for p in (True, False)]
    rows = [{"_id": "62e6", "code": ["x", "x"], "generate_results": results}, {"task_id": "62e7", "completion": "y"}]
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    status, summary, _ = run("--problems", problems, "--completions", completions, "--out", out, form="codereval")
    assert (status, summary["verdicts"]) == (1, {"passed": 1, "wrong_answer": 1, "unjudged": 1})
    lines = verdict_lines(out)
    assert lines[0]["detail"] == "imported: CoderEval's own run, return code 0"
    assert {line["strength"] for line in lines} == {"none"}
    assert lines[2]["detail"].startswith("not judged: needs CoderEval's project environments")
    assert [line["reason"] for line in lines] == [None, None, "needs_project"]
    assert reason_in_words(lines[2]["detail"]) == "needs_project"
    assert (summary["pass_at"], summary["isolation"]) == ({"1": 0.5}, "")


def test_all_faults_of_a_completions_file_come_at_once_with_their_lines(problems: Path, tmp_path: Path) -> None:
    completions, out = tmp_path / "c.jsonl", tmp_path / "v.jsonl"
    lines = [
        '{"task_id": "Adding/0", "completion": "x"}',
        '{"task_id": "Adding/0", "completion": ',
        '{"task_id": "Adding/9", "completion": "x"}',
        '{"task_id": "Adding/1"}',
        '{"task_id": "Adding/1", "generate_results": [{"generate_code": "x", "is_pass": true}]}',
    ]
    completions.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        run("--problems", problems, "--completions", completions, "--out", out)
    said = str(caught.value)
    assert "4 faults" in said
    for number in (2, 3, 4, 5):
        assert f"line {number}: " in said
    assert "task_id 'Adding/9' is none of the 2 problems'" in said
    assert "needs a completion or a solution" in said
    assert "generate_results are CoderEval's" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "human-eval"], "did you mean humaneval?"),
        (["--problems", "absent.jsonl"], "no such file"),
        (["--completions", "empty.jsonl"], "holds no completion"),
        (["--problems", "empty.jsonl"], "holds no problem of format humaneval"),
        (["--isolation", "landlok"], "did you mean landlock?"),
        (["--workers", "0"], "--workers must be at least 1, got 0"),
        (["--k", "1,none"], "each k must be a whole number of at least 1"),
        (["--memory-mb", "1"], "--memory-mb at least 64"),
        (["--output-bytes", "1"], "--output-bytes at least 4096"),
        (["--out", "absent/v.jsonl"], "cannot be written"),
        (["--out", "c.jsonl"], "no run of this command wrote it"),
    ],
)
def test_bad_input_is_one_message_and_status_2_and_writes_nothing(
    problems: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    write(tmp_path / "c.jsonl", [{"task_id": "Adding/0", "completion": RIGHT}])
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    base = {"--format": "humaneval", "--problems": "problems.jsonl", "--completions": "c.jsonl", "--out": "v.jsonl"}
    given = {**base, **dict(zip(arguments[::2], arguments[1::2], strict=True))}
    done = polytune(*[part for pair in given.items() for part in pair], folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert (done.stdout, "Traceback" in done.stderr) == ("", False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def polytune(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "execute", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_to_judge_and_nowhere_to_write_are_refused(problems: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to judge"):
        run("--problems", problems)
    completions = write(tmp_path / "c.jsonl", [{"task_id": "Adding/0", "completion": RIGHT}])
    with pytest.raises(InputError, match="--out is missing"):
        run("--problems", problems, "--completions", completions)


def test_run_goes_on_from_whole_lines_and_judges_torn_and_unjudged_ones_again(problems: Path, tmp_path: Path) -> None:
    rows = [{"task_id": "Adding/0", "completion": text} for text in (RIGHT, WRONG, RIGHT)]
    completions, out = write(tmp_path / "c.jsonl", rows), tmp_path / "v.jsonl"
    arguments = ("--problems", problems, "--completions", completions, "--out", out)
    run(*arguments)
    first, second, third = out.read_text(encoding="utf-8").splitlines()
    # The first line is marked, to see that it is kept; the second could not be judged; the third is torn.
    kept = json.dumps({**json.loads(first), "detail": "kept"})
    unjudged = json.dumps({**json.loads(second), "verdict": "unjudged"})
    out.write_text(f"{kept}\n{unjudged}\n{third[:20]}", encoding="utf-8")
    status, summary, _ = run(*arguments)
    assert (status, summary["verdicts"]) == (0, {"passed": 2, "wrong_answer": 1})
    lines = verdict_lines(out)
    assert [(v["sample"], v["verdict"], v["detail"] == "kept") for v in lines] == [
        (0, "passed", True),
        (1, "wrong_answer", False),
        (2, "passed", False),
    ]


@pytest.mark.parametrize("change", ["completions", "problems", "limits", "isolation"])
def test_verdicts_of_another_run_are_not_written_over(problems: Path, tmp_path: Path, change: str) -> None:
    completions = write(tmp_path / "c.jsonl", [{"task_id": "Adding/0", "completion": RIGHT}])
    out = tmp_path / "v.jsonl"
    arguments = ("--problems", problems, "--completions", completions, "--out", out)
    run(*arguments)
    before = out.read_bytes()
    extra: list[str] = []
    if change == "completions":
        write(completions, [{"task_id": "Adding/0", "completion": WRONG}])
    elif change == "problems":
        write(problems, [ADD])
    else:
        extra = ["--cpu-seconds", "9"] if change == "limits" else ["--isolation", "none"]
    with pytest.raises(InputError, match=f"holds verdicts of other {change}"):
        run(*arguments, *extra)
    assert out.read_bytes() == before


def test_interrupted_run_keeps_its_verdicts_and_ends_with_130(problems: Path, tmp_path: Path) -> None:
    slow = "    while True:\n        pass\n"
    rows = [{"task_id": "Adding/0", "completion": text} for text in (RIGHT, slow, slow + "    # again\n")]
    write(tmp_path / "c.jsonl", rows)
    root = Path(__file__).resolve().parents[3]
    command = ["execute", "--format", "humaneval", "--problems", "problems.jsonl", "--completions", "c.jsonl"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *command, "--out", "v.jsonl", "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    out = tmp_path / "v.jsonl"
    deadline = time.monotonic() + 60
    while not (out.exists() and out.read_bytes().endswith(b"\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; what was judged is in v.jsonl, run again to go on" in said
    assert "Traceback" not in said
    kept = out.read_bytes().splitlines(keepends=True)
    assert 1 <= len(kept) < 3
    assert all(line.endswith(b"\n") for line in kept)


DATA = Path(os.environ.get("POLYTUNE_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))


@pytest.mark.timeout(300)
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no published data at {DATA}; set POLYTUNE_DATA")
def test_all_164_canonical_solutions_pass_as_completions(tmp_path: Path) -> None:
    problems = DATA / "humaneval" / "HumanEval.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(problems.read_bytes()).splitlines()]
    said = [{"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in rows]
    completions = write(tmp_path / "c.jsonl", said)
    status, summary, _ = run("--problems", problems, "--completions", completions, "--out", tmp_path / "v.jsonl")
    assert (status, summary["verdicts"]) == (0, {"passed": 164})
