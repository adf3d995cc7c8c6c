r"""How fast CodeBLEU is beside codebleu 0.7.0, in one run, on several models' outputs for the same references.

What a study asks for is timed: the score of every pair and of the corpus, for each of several sets of noisy
outputs of CodeXGLUE's 1,000 Java-C# test pairs. The library takes two calls for that; its corpus call alone
is shown beside it. Processor time, since machines are shared; sides alternate, medians are shown.

    python benchmarks/scoring_similarity.py --codebleu-python /some/where/bin/python --data ../shared/data

`similarity_parity.py` says how to make the Python that has codebleu 0.7.0.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from noise import noisy_copies
from similarity_parity import SIDES, run_library

from evaluators.similarity import score_pairs
from evaluators.similarity.codebleu import _read
from tasks.records import Language

METRICS = ("codebleu", "codebleu_ngram", "codebleu_weighted", "codebleu_syntax", "codebleu_dataflow")


def time_ours(sets: Sequence[Sequence[str]], references: Sequence[str], language: Language) -> list[float]:
    """Seconds for each set of outputs, the first with nothing cached."""
    _read.cache_clear()
    times = []
    for outputs in sets:
        started = time.process_time()
        score_pairs(outputs, references, metrics=METRICS, language=language)
        times.append(time.process_time() - started)
    return times


def main() -> None:
    """Time both sides and print a row for each language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codebleu-python", required=True, help="the Python that has codebleu 0.7.0")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data sets' folder")
    parser.add_argument("--sets", type=int, default=4, help="sets of outputs, as of so many models")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for language, suffix in SIDES.items():
        file = arguments.data / "codexglue_java_cs" / f"test.java-cs.txt.{suffix}"
        references = file.read_text(encoding="utf-8").splitlines()
        sets = [noisy_copies(references, seed=seed) for seed in range(arguments.sets)]
        ours, pairs_s, corpus_s = [], [], []
        for _ in range(arguments.rounds):
            ours.append(time_ours(sets, references, language))
            answers = [
                run_library(arguments.codebleu_python, list(zip(outputs, references, strict=True)), language)
                for outputs in sets
            ]
            pairs_s.append(sum(answer["pairs_s"] for answer in answers))
            corpus_s.append(sum(answer["corpus_s"] for answer in answers))
        total = statistics.median(map(sum, ours))
        row = {
            "language": language.value,
            "sets": arguments.sets,
            "pairs": len(references),
            "ours_s": round(total, 2),
            "ours_first_set_s": round(statistics.median(times[0] for times in ours), 2),
            "library_pairs_s": round(statistics.median(pairs_s), 2),
            "library_corpus_s": round(statistics.median(corpus_s), 2),
            "ratio": round(statistics.median(a + b for a, b in zip(pairs_s, corpus_s, strict=True)) / total, 2),
            "ratio_to_pairs_alone": round(statistics.median(pairs_s) / total, 2),
            "ratio_to_corpus_alone": round(statistics.median(corpus_s) / total, 2),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
