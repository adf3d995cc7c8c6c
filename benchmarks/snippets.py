"""Public code for the benchmarks of code quality, read from the published data sets beside the checkout."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluators.languages.reading import parses
from tasks.records import Language

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def python_snippets(count: int) -> list[str]:
    """Solutions of HumanEval and MBPP, then HumanEvalPack's faulty ones; each once."""
    found = [
        *(row["prompt"] + row["canonical_solution"] for row in _rows("humaneval/HumanEval.jsonl.gz")),
        *(row["code"] for row in _rows("mbpp/mbpp.jsonl.gz")),
        *(row["prompt"] + row["buggy_solution"] for row in _rows("humanevalpack/humanevalpack_python.jsonl.gz")),
    ]
    return _take(found, count)


def java_files(count: int) -> list[str]:
    """Whole Java files that parse: solutions of HumanEval-X and MBXP, then HumanEvalPack's faulty ones; each once."""
    solved = (row for row in _rows("mxeval/mbjp_release_v1.2.jsonl.gz") if row["canonical_solution"])
    found = [
        *(row["prompt"] + row["canonical_solution"] for row in _rows("humaneval_x/humaneval_java.jsonl.gz")),
        *(row["prompt"] + row["canonical_solution"] for row in solved),
        *(row["prompt"] + row["buggy_solution"] for row in _rows("humanevalpack/humanevalpack_java.jsonl.gz")),
    ]
    return _take([file for file in found if parses(file, language=Language.JAVA)], count)


def translation_pairs(data: Path = DATA) -> list[tuple[str, str]]:
    """CodeXGLUE's 1,000 test pairs: bare methods in Java and C#."""
    folder = data / "codexglue_java_cs"
    java, csharp = (
        (folder / f"test.java-cs.txt.{suffix}").read_text(encoding="utf-8").splitlines() for suffix in ("java", "cs")
    )
    return list(zip(java, csharp, strict=True))


def _rows(path: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _take(found: list[str], count: int) -> list[str]:
    distinct = list(dict.fromkeys(found))
    assert len(distinct) >= count, f"{count} wanted, {len(distinct)} found"
    return distinct[:count]
