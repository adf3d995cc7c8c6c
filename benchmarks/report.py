"""How large a study the report's page can hold: 50 trials on 5,000 problems, every output different.

Outputs have the lengths and the words of CodeXGLUE's references: each is a reference with a share of its tokens
replaced by another's (`--alike`: how much is kept), so what a model writes is like the reference and like what other
trials wrote, as it is in life, or (`--alike 0`) like nothing but its language. Printed, a JSON object a line: seconds
and bytes of the page's parts, then what a real headless Chromium measures: time to the first paint, to a usable
browser, of filters and of a search through all outputs.

    python benchmarks/report.py                      # the sample browser alone
    python benchmarks/report.py --whole              # and all of the report, statistics included
"""

import argparse
import gzip
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chromium import Tab, find_chromium, open_tab
from evaluators.health import Health
from orchestrator.ledger.progress import State
from orchestrator.report import write_report
from orchestrator.report.evidence import gather
from orchestrator.report.results import CellScores, InstanceRow, StageOutcome, StudyResults, TrialOutcome
from orchestrator.report.samplepage import build_browser
from orchestrator.report.texts import Asked, Texts, Written
from orchestrator.study.stages import StageName
from tasks.records import VerdictName

DATA = Path(__file__).resolve().parents[1] / "shared" / "data" / "codexglue_java_cs"
TRACK, DATASET = "translation/java-csharp", "codexglue"
VERDICTS: tuple[VerdictName, ...] = ("passed", "wrong_answer", "compile_error", "exception", "timeout")
RULES = tuple(f"pmd.Rule{number}" for number in range(40))
_SHELL = "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'><h1>Report</h1>"


def read_pairs(folder: Path) -> list[tuple[str, str]]:
    """Java functions with their C# translations, all splits."""
    pairs = []
    for name in ("train", "valid", "test"):
        sides = [_lines(folder / f"{name}.java-cs.txt.{side}") for side in ("java", "cs")]
        pairs += zip(*sides, strict=True)
    return pairs


def _lines(path: Path) -> list[str]:
    if path.is_file():
        return path.read_text(encoding="utf-8").splitlines()
    with gzip.open(f"{path}.gz", "rt", encoding="utf-8") as stream:
        return stream.read().splitlines()


def make_problems(pairs: Sequence[tuple[str, str]], *, count: int, size: int) -> list[Asked]:
    """Problems of one function or more put together, so that references have about `size` bytes on average."""
    rng = random.Random(0)
    wanted = size / (sum(len(reference) for _, reference in pairs) / len(pairs))
    chosen = [[rng.choice(pairs) for _ in range(int(wanted + rng.random()) or 1)] for _ in range(count)]
    return [Asked(prompt="\n".join(j for j, _ in parts), reference="\n".join(c for _, c in parts)) for parts in chosen]


def rewrite(reference: str, others: Sequence[str], *, alike: float, rng: random.Random) -> str:
    """A reference of which a share of the tokens is kept, the rest another reference's."""
    other = rng.choice(others).split(" ")
    tokens = reference.split(" ")
    return " ".join(token if rng.random() < alike else other[i % len(other)] for i, token in enumerate(tokens))


def make_results(asked: Sequence[Asked], *, trials: int, alike: float) -> StudyResults:
    """A study of that many trials on the problems."""
    rng = random.Random(1)
    others = [one.reference for one in asked]
    outcomes = tuple(_trial(number) for number in range(trials))
    written: dict[str, dict[tuple[str, int], Written]] = {trial.trial: {} for trial in outcomes}
    for number, one in enumerate(asked):
        seen: set[str] = set()
        for trial in outcomes:
            text = rewrite(one.reference, others, alike=alike, rng=rng)
            while text in seen:
                text += " ;"
            seen.add(text)
            written[trial.trial][f"cs/{number}", 0] = Written(track=TRACK, dataset=DATASET, text=text, finish="stop")
    texts = Texts(asked={(TRACK, f"cs/{n}"): one for n, one in enumerate(asked)}, written=written)
    return StudyResults(
        study="large",
        question="Does the page hold it?",
        trials=outcomes,
        rows=tuple(_row(trial, number, rng) for trial in outcomes for number in range(len(asked))),
        cells=tuple(_cell(trial, len(asked)) for trial in outcomes),
        read_texts=lambda: texts,
    )


def _trial(number: int) -> TrialOutcome:
    """Ten methods of five seeds: the frozen model, then adapters."""
    method, seed = f"lora-{number // 5}" if number >= 5 else "frozen", number % 5
    names = ("train", "generate", "execute", "score") if number >= 5 else ("generate", "execute", "score")
    return TrialOutcome(
        trial=f"micro/{method}/seed{seed}",
        model="builtin:micro",
        method=method,
        kind="lora" if number >= 5 else "frozen",
        grouping="together",
        tracks=(TRACK,),
        seed=seed,
        stages=tuple(StageOutcome(stage=StageName(name), state=State.DONE, seconds=9.0) for name in names),
    )


def _row(trial: TrialOutcome, number: int, rng: random.Random) -> InstanceRow:
    verdict = rng.choice(VERDICTS)
    scores = {name: rng.uniform(0, 100) for name in ("codebleu", "bleu", "chrf", "edit_similarity")}
    return InstanceRow(
        trial=trial.trial,
        track=TRACK,
        dataset=DATASET,
        problem_id=f"cs/{number}",
        sample=0,
        empty=False,
        parses=True,
        verdict=verdict,
        detail="" if verdict == "passed" else f"case {rng.randrange(9)}: solve({rng.randrange(99)}) returned none",
        scores={**scores, "exact_match": 0.0},
        counts={"lizard.nloc": float(rng.randrange(4, 30)), "lizard.ccn": float(rng.randrange(1, 9))},
        rules={rule: float(rng.randrange(1, 3)) for rule in rng.sample(RULES, rng.randrange(5))},
    )


def _cell(trial: TrialOutcome, problems: int) -> CellScores:
    health = Health(
        num_outputs=problems, skipped=0, empty=0, truncated=0, degenerate=0, unparseable=0, first_character_lost=0,
        reference_in_prompt=0, prompt_echoed=0, chat_leftovers=0, training_overlap=0, training_duplicate=0,
    )  # fmt: skip
    return CellScores(
        trial=trial.trial, track=TRACK, dataset=DATASET, corpus={}, signatures={}, health=health, health_warnings=()
    )


def measure(page: Path, chromium: str) -> Iterator[dict[str, Any]]:
    """What a reader waits for, in milliseconds."""
    with open_tab(chromium) as tab:
        tab.resize(1280, 1000)
        begun = time.perf_counter()
        tab.open(page.resolve().as_uri())
        loaded = time.perf_counter() - begun
        tab.wait_for("document.querySelector('.samples .output')")
        usable = time.perf_counter() - begun
        paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        yield {"what": "page", "first_paint_ms": paint, "loaded_ms": 1000 * loaded, "usable_ms": 1000 * usable}
        yield from _measure_filters(tab)
        yield from _measure_search(tab)
        heap = tab.evaluate("performance.memory.usedJSHeapSize")
        yield {"what": "memory", "javascript_mb": heap / 1e6, "errors": errors_of(tab)}


def _measure_filters(tab: Tab) -> Iterator[dict[str, Any]]:
    """From a value in a field to the list drawn, the picture of it included."""
    timed = """(async (name, value) => {
        const field = document.querySelector(name), begun = performance.now();
        field.value = value;
        field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input'));
        await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
        return [performance.now() - begun, document.querySelector('.samples .count').textContent];
    })"""
    where, rule = ".samples .filters .wide input", ".samples .filters label:nth-of-type(3) select"
    for name, field, value in (
        ("two trials", where, "lora-1 together seed 0 passes and lora-2 together seed 3 fails"),
        ("all trials", where, "not (all pass or any is timeout)"),
        ("no filter", where, ""),
        ("quality message", rule, "7"),
        ("no message", rule, ""),
    ):
        took, count = tab.evaluate(f"{timed}({json.dumps(field)}, {json.dumps(value)})")
        yield {"what": "filter", "filter": name, "ms": took, "shown": count}


def _measure_search(tab: Tab) -> Iterator[dict[str, Any]]:
    """From a word in the search field to the first list drawn, the first hit, and the end."""
    timed = """(async (value) => {
        const field = document.querySelector('.samples input[type=search]'), begun = performance.now();
        const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
        const said = () => document.querySelector('.samples .count').textContent;
        field.value = value;
        field.dispatchEvent(new Event('input'));
        await frame();
        const answered = performance.now() - begun;
        let hit = null;
        while (said().includes('searched')) {
            if (hit === null && !said().startsWith('0 ')) hit = performance.now() - begun;
            await frame();
        }
        return [answered, hit ?? performance.now() - begun, performance.now() - begun, said()];
    })"""
    for name, value in (("first", "stringbuilder"), ("again", "getbytes"), ("nothing", "no such word")):
        answered, hit, took, count = tab.evaluate(f"{timed}({json.dumps(value)})")
        yield {
            "what": "search",
            "search": name,
            "answered_ms": answered,
            "first_hit_ms": hit,
            "ms": took,
            "shown": count,
        }


def errors_of(tab: Tab) -> list[str]:
    """What the browser's console complains of."""
    kinds = ("Log.entryAdded", "Runtime.exceptionThrown")
    return [json.dumps(event["params"])[:300] for event in tab.events if event.get("method") in kinds]


def timed(what: str, work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """The result of some work and how long it took."""
    begun = time.perf_counter()
    found = work()
    return found, {"what": what, "seconds": time.perf_counter() - begun}


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--problems", type=int, default=5000)
    parser.add_argument("--bytes", type=int, default=400, help="about how long a reference is")
    parser.add_argument("--alike", type=float, default=0.7, help="share of the reference's tokens that outputs keep")
    parser.add_argument("--data", type=Path, default=DATA, help="CodeXGLUE's Java and C# pairs")
    parser.add_argument("--whole", action="store_true", help="time all of the report, statistics included")
    parser.add_argument("--out", type=Path, help="keep the page here")
    options = parser.parse_args()
    if not options.data.is_dir():
        say({"what": "skipped", "why": f"CodeXGLUE's pairs are not in {options.data}; name them with --data"})
        return
    asked = make_problems(read_pairs(options.data), count=options.problems, size=options.bytes)
    results, took = timed("study made up", lambda: make_results(asked, trials=options.trials, alike=options.alike))
    texts = [one.text for of_trial in results.read_texts().written.values() for one in of_trial.values()]
    say(took | {"outputs": len(texts), "different": len(set(texts)), "mean_bytes": sum(map(len, texts)) / len(texts)})
    with tempfile.TemporaryDirectory() as folder:
        report(results, options.out or Path(folder), whole=options.whole)


def report(results: StudyResults, folder: Path, *, whole: bool) -> None:
    """Write the page and let a browser measure it."""
    folder.mkdir(parents=True, exist_ok=True)
    evidence, took = timed("rows gathered", lambda: gather(results))
    say(took)
    browser, took = timed("samples packed", lambda: build_browser(evidence))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    say(took | {"bytes": len(browser.section), "side_files": len(browser.side_files), "peak_memory_mb": peak})
    page = folder / "report.html"
    if whole:
        page, took = timed("whole report", lambda: write_report(results, folder=folder))
        say(took | {"bytes": page.stat().st_size})
    else:
        page.write_text(_SHELL + browser.section, encoding="utf-8")
        for name, content in browser.side_files.items():
            (folder / name).write_text(content, encoding="utf-8")
    chromium = find_chromium()
    if chromium is None:
        say({"what": "skipped", "why": "there is no chromium on PATH to measure with"})
        return
    for found in measure(page, chromium):
        say(found)


def say(found: dict[str, Any]) -> None:
    """Print a finding, its figures to three decimals."""
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}), flush=True)


if __name__ == "__main__":
    main()
