r"""Similarity against the libraries themselves, on noisy copies of CodeXGLUE's Java-C# test pairs.

BLEU, chrF and ROUGE must equal what sacrebleu and rouge-score print. Each part of CodeBLEU is compared pair
by pair with codebleu 0.7.0, which runs in a Python of its own beside its old tree-sitter. Where they
differ, the cause is found by experiment: the library is repaired at one point at a time
(`codebleu_library.py`), and a pair's difference is put down to every point that changes the pair's value
when it alone is repaired, or alone is not. What is left is compared with the library's own code over
today's grammars, which must leave nothing.

    python -m venv /some/where
    /some/where/bin/pip install codebleu==0.7.0 'tree-sitter>=0.22,<0.23' tree-sitter-java==0.21.0 \
        tree-sitter-c-sharp==0.21.3 tree-sitter-python==0.21.0
    python benchmarks/similarity_parity.py --codebleu-python /some/where/bin/python --data ../shared/data
"""

import argparse
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sacrebleu
from noise import noisy_copies
from rouge_score.rouge_scorer import RougeScorer

from evaluators.similarity import Scores, score_pairs
from tasks.records import Language

PARTS = ("codebleu_ngram", "codebleu_weighted", "codebleu_syntax", "codebleu_dataflow")
LIBRARY_NAMES = {Language.JAVA: "java", Language.CSHARP: "c_sharp", Language.PYTHON: "python"}
SIDES = {Language.CSHARP: "cs", Language.JAVA: "java"}
CAUSES = {
    "short": "n-gram orders longer than the text, and weights below 1, count as 1",
    "penalty": "the weighted part's brevity penalty takes the reference's length as 2",
    "order": "names that a value comes from are listed in the order of hashes",
    "csharp": "C# is read by names that its grammar does not have",
    "incomplete": "an assignment without a side raises, and the text loses all its flows",
    "invented": "tokens that the parser invented are variables of an empty name",
    "columns": "columns in bytes are taken for characters",
    "clip": "a subtree of the reference matches any number of times",
    "absent": "an absent dataflow is 0 as a part (and 1 in the sum), not left out",
    "grammar": "the grammar's version",
}
_SAME = 1e-9


def run_library(python: str, pairs: Sequence[tuple[str, str]], language: Language, **request: Any) -> dict[str, Any]:
    """Answer of `codebleu_library.py`; see there."""
    body = {"pairs": pairs, "language": LIBRARY_NAMES[language], "repairs": [], "package": "", **request}
    command = [python, str(Path(__file__).with_name("codebleu_library.py"))]
    # One seed for all runs: what hashing changes must not look like what a repair changes.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, input=json.dumps(body), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def compare_texts(outputs: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
    """Largest difference of each text metric from its library, over pairs and corpus."""
    metrics = ("bleu", "chrf", "rouge_1", "rouge_2", "rouge_l")
    ours = score_pairs(outputs, references, metrics=metrics)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    rouge = [scorer.score(reference, output) for output, reference in zip(outputs, references, strict=True)]
    pairs = list(zip(outputs, references, strict=True))
    theirs: dict[str, tuple[list[float], float]] = {
        "bleu": (
            [sacrebleu.sentence_bleu(o, [r]).score for o, r in pairs],
            sacrebleu.corpus_bleu(outputs, [references]).score,
        ),
        "chrf": (
            [sacrebleu.sentence_chrf(o, [r]).score for o, r in pairs],
            sacrebleu.corpus_chrf(outputs, [references]).score,
        ),
    }
    for metric, variant in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        scores = [100 * row[variant].fmeasure for row in rouge]
        theirs[metric] = (scores, math.fsum(scores) / len(scores))
    rows = []
    for metric, (scores, corpus) in theirs.items():
        found = [value for value in ours.per_instance[metric] if value is not None]
        differences = [abs(a - b) for a, b in zip(found, scores, strict=True)]
        total = ours.corpus[metric]
        assert total is not None
        row = {"metric": metric, "pairs": len(differences), "equal": sum(d < _SAME for d in differences)}
        rows.append({**row, "largest": max(differences), "corpus": total, "corpus_difference": abs(total - corpus)})
    return rows


def values_of(answer: Mapping[str, Any]) -> list[tuple[float, ...]]:
    """The four parts of each pair, 0-100."""
    return [tuple(100 * value for value in row[:4]) for row in answer["rows"]]


def compare_codebleu(
    outputs: Sequence[str], references: Sequence[str], language: Language, *, python: str, package: str
) -> dict[str, Any]:
    """How many pairs are equal part by part, and the causes of the others."""
    pairs = list(zip(outputs, references, strict=True))
    ours = score_pairs(outputs, references, metrics=PARTS, language=language)
    repairs = ["order", "csharp", "incomplete", "invented", "columns", "clip"]
    plain = run_library(python, pairs, language)
    library = values_of(plain)
    repaired = values_of(run_library(python, pairs, language, repairs=repairs))
    today = values_of(run_library(sys.executable, pairs, language, repairs=repairs, package=package))
    without = {
        name: values_of(run_library(python, pairs, language, repairs=[r for r in repairs if r != name]))
        for name in repairs
    }
    alone = {name: values_of(run_library(python, pairs, language, repairs=[name])) for name in repairs}
    report: dict[str, Any] = {"parts": {}, "corpus": {}}
    for index, part in enumerate(PARTS):
        found = ours.per_instance[part]
        different = [i for i, value in enumerate(found) if not _same(value, library[i][index])]
        causes: Counter[str] = Counter()
        unexplained = []
        for i in different:
            why = {
                name
                for name in repairs
                if not _same(without[name][i][index], repaired[i][index])
                or not _same(alone[name][i][index], library[i][index])
            }
            why |= _other_causes(pairs[i], part, found[i], repaired[i][index], today[i][index])
            causes.update(why)
            rest = today[i][index] if index > 1 else library[i][index]
            if not why or (index > 1 and found[i] is not None and not _same(found[i], rest)):
                unexplained.append(i)
        report["parts"][part] = {
            "equal": len(pairs) - len(different),
            "different": len(different),
            "causes": dict(causes.most_common()),
            "unexplained": len(unexplained),
        }
        report["corpus"][part] = {"ours": ours.corpus[part], "library": 100 * plain["corpus"][index]}
    report["equal_after_repairs"] = _equal_after_repairs(ours, today)
    return report


def _other_causes(pair: tuple[str, str], part: str, ours: float | None, repaired: float, today: float) -> set[str]:
    """Causes that are seen from the pair itself and not by a repair."""
    output, reference = (len(text.split()) for text in pair)
    causes = set()
    if part in PARTS[:2] and reference < 4:
        causes.add("short")
    if part == "codebleu_weighted" and output <= 2:
        causes.add("penalty")
    if part == "codebleu_dataflow" and ours is None:
        causes.add("absent")
    if not _same(repaired, today):
        causes.add("grammar")
    return causes


def _equal_after_repairs(ours: Scores, today: Sequence[tuple[float, ...]]) -> dict[str, int]:
    """Pairs that equal the library's own code over today's grammars, repaired at every point."""
    return {
        part: sum(_same(value or 0.0, today[i][index]) for i, value in enumerate(ours.per_instance[part]))
        for index, part in enumerate(PARTS)
    }


def _same(left: float | None, right: float) -> bool:
    return left is not None and abs(left - right) < _SAME


def main() -> None:
    """Compare everything and print tables; with --json, all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codebleu-python", required=True, help="the Python that has codebleu 0.7.0")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data sets' folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    where = "import codebleu, pathlib; print(pathlib.Path(codebleu.__file__).parent.parent)"
    command = [arguments.codebleu_python, "-c", where]
    package = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    everything = {}
    for language, suffix in SIDES.items():
        file = arguments.data / "codexglue_java_cs" / f"test.java-cs.txt.{suffix}"
        references = file.read_text(encoding="utf-8").splitlines()
        outputs = noisy_copies(references, seed=arguments.seed)
        texts = compare_texts(outputs, references)
        code = compare_codebleu(outputs, references, language, python=arguments.codebleu_python, package=package)
        everything[language.value] = {"texts": texts, "codebleu": code}
        if not arguments.json:
            _print(language, texts, code)
    if arguments.json:
        print(json.dumps(everything, indent=1))


def _print(language: Language, texts: Sequence[Mapping[str, Any]], code: Mapping[str, Any]) -> None:
    print(f"{language.title}")
    for row in texts:
        line = "  {metric:18} {equal} of {pairs} pairs equal, largest difference {largest:.1e}"
        print(line.format(**row), f"corpus {row['corpus']:.4f}, differs by {row['corpus_difference']:.1e}", sep="; ")
    for part, row in code["parts"].items():
        total = code["corpus"][part]
        after = code["equal_after_repairs"][part]
        print(
            f"  {part:18} {row['equal']} equal, {row['different']} different ({row['unexplained']} unexplained)",
            end="; ",
        )
        print(f"{after} equal to the repaired library over today's grammars; ", end="")
        print(f"corpus {total['ours']:.4f}, the library's {total['library']:.4f}")
        for name, count in row["causes"].items():
            print(f"  {'':18}   {count:4} {CAUSES[name]}")


if __name__ == "__main__":
    main()
