"""Whether verdicts are right as often as they say: on made-up studies whose truth is known.

Methods share the difficulty of problems, as real ones do, and a seed moves all problems of a training at once. Checked
are false findings where methods are equal (whole studies, through `judge`), equality claimed wrongly at the margin, how
often a planted difference of the size that a study calls detectable is found, and how often intervals hold the truth.
Beside the intervals stand those of the hierarchical bootstrap, which few seeds make too narrow.

    python benchmarks/verdicts.py [--studies 1000]
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from orchestrator.report.evidence import gather
from orchestrator.report.results import InstanceRow, StudyResults, TrialOutcome
from orchestrator.report.statistics import MeanDifference, mean_difference
from orchestrator.report.verdicts import Verdict, judge
from orchestrator.study.question import Question

ALPHA, POWER, MARGIN = 0.05, 0.8, 5.0
TRACKS = ("generation/python", "generation/java", "translation/java-csharp", "summarization/python")
METHODS = (("together", "lora", "together"), ("apart", "lora", "apart"), ("full", "full", "together"))


@dataclass(frozen=True)
class World:
    """What made-up results are drawn from.

    `alike` is the correlation of two methods on a problem, on a latent scale on which everything has a spread of 1;
    `seed_spread` is how far seeds move a method on it.
    """

    problems: int = 100
    tracks: int = 3
    seeds: int = 1
    rate: float = 0.4
    alike: float = 0.7
    seed_spread: float = 0.0

    def __str__(self) -> str:
        seeds = f"{self.seeds} seed{'s' * (self.seeds > 1)}"
        spread = f" of spread {self.seed_spread:g}" if self.seed_spread else ""
        return f"{self.tracks} x {self.problems} problems, {100 * self.rate:.0f} % pass, {seeds}{spread}"


def passes(world: World, rng: np.random.Generator, rates: tuple[float, ...]) -> list[NDArray[np.float64]]:
    """Points of methods with these pass rates: an array of seeds x tracks x problems each."""
    ease = rng.normal(0, math.sqrt(world.alike), (1, world.tracks, world.problems))
    shape = (world.seeds, world.tracks, world.problems)
    found = []
    for rate in rates:
        moved = rng.normal(0, world.seed_spread, (world.seeds, 1, 1)) if world.seed_spread else 0.0
        latent = ease + moved + rng.normal(0, math.sqrt(1 - world.alike), shape)
        found.append(100.0 * (latent > ndtri(1 - rate) * math.sqrt(1 + world.seed_spread**2)))
    return found


def graded(world: World, rng: np.random.Generator, apart: float) -> list[NDArray[np.float64]]:
    """Skewed scores with many zeros, as BLEU has them, of two methods whose means are so many points apart."""
    ease = rng.gamma(0.7, 14, (1, world.tracks, world.problems))
    shape = (world.seeds, world.tracks, world.problems)
    noise = [rng.exponential(12, shape) * (rng.random(shape) < 0.7) for _ in range(2)]
    moved = [rng.normal(0, 100 * world.seed_spread, (world.seeds, 1, 1)) for _ in range(2)]
    return [ease + noise[0] + moved[0] + apart, ease + noise[1] + moved[1]]


def estimate(first: NDArray[np.float64], second: NDArray[np.float64], *, coarse: bool) -> MeanDifference:
    """The estimate that a verdict would rest on."""
    return mean_difference([first[:, track] - second[:, track] for track in range(first.shape[1])], coarse=coarse)


def around(rate: float, apart: float) -> tuple[float, float]:
    """Two pass rates so many points apart."""
    return rate + apart / 200, rate - apart / 200


def estimates(world: World, count: int, rng: np.random.Generator, apart: float = 0.0) -> Iterator[MeanDifference]:
    """Estimates of methods whose pass rates are so many points apart."""
    for _ in range(count):
        first, second = passes(world, rng, around(world.rate, apart))
        yield estimate(first, second, coarse=True)


def study(world: World, rng: np.random.Generator) -> StudyResults:
    """A study of three equally good methods."""
    trials, rows = [], []
    outcomes = passes(replace(world, tracks=len(TRACKS)), rng, (world.rate,) * len(METHODS))
    for (method, kind, grouping), values in zip(METHODS, outcomes, strict=True):
        for seed in range(world.seeds):
            name = f"{method}/{seed}"
            trials.append(
                TrialOutcome(
                    trial=name,
                    model="m",
                    method=method,
                    kind=kind,
                    grouping=grouping,
                    tracks=TRACKS,
                    seed=seed,
                    stages=(),
                )
            )
            rows += [_row(name, track, values[seed, place]) for place, track in enumerate(TRACKS)]
    return StudyResults(
        study="made up", question="", trials=tuple(trials), rows=tuple(row for cell in rows for row in cell), cells=()
    )


def _row(trial: str, track: str, values: NDArray[np.float64]) -> list[InstanceRow]:
    prose = track.startswith("summarization")
    return [
        InstanceRow(
            trial=trial,
            track=track,
            dataset="d",
            problem_id=str(number),
            sample=0,
            empty=False,
            parses=None,
            verdict=None if prose else "passed" if value else "wrong_answer",
            # Of prose the same values with a little noise of their own: graded, and equally good.
            scores={"bleu": 0.2 * value + (number * 7919 % 101) / 10} if prose else {},
        )
        for number, value in enumerate(values.tolist())
    ]


def check_equal_studies(world: World, count: int, seed: int, question: Question) -> str:
    """Studies of equal methods in which a verdict says better or worse."""
    rng = np.random.default_rng(seed)
    wrong = families = equal = verdicts = 0
    for _ in range(count):
        found = judge(gather(study(world, rng)), question)
        verdicts += len(found)
        equal += sum(verdict.wording == "as good as" for verdict in found)
        for family in _families(found, question):
            families += 1
            wrong += any(verdict.p_difference is not None and verdict.p_difference < ALPHA for verdict in family)
    share, limit = 100 * wrong / families, 100 * (ALPHA + _error(families))
    asked = f"over {question.over}, family {question.family}, {question.correction}"
    return (
        f"{_mark(share <= limit)} equal methods, {count:,} studies ({world}; {asked}): a false finding in "
        f"{share:.1f} % of {families:,} families (at most {limit:.1f}); 'as good as' in "
        f"{100 * equal / verdicts:.0f} % of verdicts"
    )


def _families(found: tuple[Verdict, ...], question: Question) -> list[list[Verdict]]:
    if question.family == "question":
        return [list(found)]
    return [[one for one in found if one.part == part] for part in dict.fromkeys(one.part for one in found)]


def check_margin(world: World, count: int, rng: np.random.Generator) -> str:
    """Equality claimed of methods that are exactly the margin apart, on the side where it is claimed more often."""
    shares = [
        sum(found.p_equivalence(MARGIN) < ALPHA for found in estimates(world, count, rng, side * MARGIN)) / count
        for side in (1, -1)
    ]
    worst, limit = 100 * max(shares), 100 * (ALPHA + _error(count, spread=2.24))
    apart = f"{MARGIN:g} points apart ({world})"
    return f"{_mark(worst <= limit)} {apart}: called equal in {worst:.1f} % (at most {limit:.1f})"


def check_exact_margin(problems: int, losing: float) -> str:
    """The same by counting: each result of so many problems with its probability, and no error of simulation."""
    rates = (losing + MARGIN / 100, losing)
    wrong = 0.0
    for gained, lost in np.ndindex(problems + 1, problems + 1):
        rest = problems - gained - lost
        if rest < 0:
            continue
        logarithm = math.lgamma(problems + 1) - sum(math.lgamma(count + 1) for count in (gained, lost, rest))
        logarithm += gained * math.log(rates[0]) + lost * math.log(rates[1]) + rest * math.log(1 - sum(rates))
        if logarithm > math.log(1e-7):
            differences = np.array([[100.0] * gained + [-100.0] * lost + [0.0] * rest])
            if mean_difference([differences], coarse=True).p_equivalence(MARGIN) < ALPHA:
                wrong += math.exp(logarithm)
    name = f"{MARGIN:g} points apart (1 x {problems} problems, {100 * losing:g} % lost, counted)"
    return f"{_mark(wrong <= ALPHA)} {name}: called equal in {100 * wrong:.2f} % (at most 5)"


def check_margin_of_grades(world: World, count: int, rng: np.random.Generator, margin: float) -> str:
    """The same of skewed scores."""
    wrong = sum(estimate(*graded(world, rng, margin), coarse=False).p_equivalence(margin) < ALPHA for _ in range(count))
    share, limit = 100 * wrong / count, 100 * (ALPHA + _error(count))
    name = f"skewed scores {margin:g} points apart ({world.tracks} x {world.problems} problems)"
    return f"{_mark(share <= limit)} {name}: called equal in {share:.1f} % (at most {limit:.1f})"


def check_power(world: World, count: int, rng: np.random.Generator) -> str:
    """Planted differences of the size that such a study calls detectable."""
    said = float(np.mean([found.detectable(power=POWER) for found in estimates(world, 200, rng)]))
    shown = sum(found.p_difference() < ALPHA for found in estimates(world, count, rng, said)) / count
    return (
        f"{_mark(abs(shown - POWER) <= 0.06)} planted {said:.1f} points, called detectable ({world}): found in "
        f"{100 * shown:.0f} % (said: {100 * POWER:.0f})"
    )


def check_needed(world: World, count: int, rng: np.random.Generator) -> str:
    """Studies of equal methods with as many problems as a smaller one says would decide."""
    said = [found.problems_needed(MARGIN) for found in estimates(world, 200, rng)]
    needed = int(np.median([number for number in said if number is not None]))
    larger = replace(world, problems=math.ceil(needed / world.tracks))
    decided = sum(
        min(found.p_equivalence(MARGIN), found.p_difference()) < ALPHA for found in estimates(larger, count, rng)
    )
    share = decided / count
    return (
        f"{_mark(share >= POWER - 0.1)} equal methods ({world}): {needed:,} problems would decide, it says (median); "
        f"with as many, {100 * share:.0f} % do"
    )


def check_coverage(world: World, count: int, rng: np.random.Generator, *, skewed: bool, bootstrap: bool) -> str:
    """How often the interval holds the truth."""
    held = drawn = 0
    widths = []
    apart = 3.0
    for _ in range(count):
        first, second = graded(world, rng, apart) if skewed else passes(world, rng, around(world.rate, apart))
        low, high = estimate(first, second, coarse=not skewed).interval()
        held += low <= apart <= high
        widths.append(high - low)
        if bootstrap:
            low, high = hierarchical_bootstrap(first - second, rng)
            drawn += low <= apart <= high
    share = 100 * held / count
    beside = f"; hierarchical bootstrap {100 * drawn / count:.1f} %" if bootstrap else ""
    what = "skewed scores, " if skewed else ""
    error = 100 * _error(count)
    # Two seeds are not enough for any interval that is also short; verdicts say so.
    mark = _mark(share >= 93 - error or world.seeds == 2) if share <= 97 + error else "wide"
    return (
        f"{mark} 95 % intervals ({what}{world}): hold the truth in {share:.1f} %, median width "
        f"{float(np.median(widths)):.1f}{beside}"
    )


def hierarchical_bootstrap(differences: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """The percentile interval from seeds drawn anew, and problems drawn anew within their tracks."""
    seeds, tracks, problems = differences.shape
    draws = 400
    by_seed = rng.multinomial(seeds, [1 / seeds] * seeds, draws) / seeds
    total = np.zeros(draws)
    for track in range(tracks):
        by_problem = rng.multinomial(problems, [1 / problems] * problems, draws) / problems
        total += np.einsum("ds,sp,dp->d", by_seed, differences[:, track], by_problem, optimize=True) / tracks
    low, high = np.quantile(total, (0.025, 0.975))
    return float(low), float(high)


def _error(count: int, *, spread: float = 1.96) -> float:
    """How far a share of 5 % may be off in so many cases; `spread` is 2.24 for the worse of two shares."""
    return spread * math.sqrt(ALPHA * (1 - ALPHA) / count)


def _mark(fine: bool) -> str:
    return "ok  " if fine else "FAIL"


def lines(studies: int) -> Iterator[str]:
    """Every check, one line each."""
    rng = np.random.default_rng(20)
    small = World(problems=40)
    yield check_equal_studies(small, studies, 1, Question())
    yield check_equal_studies(small, studies, 2, Question(over="track", family="question"))
    yield check_equal_studies(small, studies // 2, 3, Question(over="track", family="question", correction="bh"))
    yield check_equal_studies(replace(small, seeds=3, seed_spread=0.05), studies // 2, 4, Question())
    count = 2 * studies
    for world in (
        World(problems=20, tracks=1),
        World(problems=60, tracks=1, rate=0.08),
        World(problems=100, tracks=1),
        World(problems=100, tracks=1, rate=0.94),
        World(problems=400, tracks=1),
        World(problems=800, tracks=1, rate=0.1),
        World(),
        World(problems=300, alike=0.95),
        World(seeds=3),
        World(problems=300, seeds=3, seed_spread=0.05),
        World(problems=300, seeds=5, seed_spread=0.1),
    ):
        # Ten times as many: a wrong claim of equality is the graver error, and one study is cheap here.
        yield check_margin(world, 10 * count, rng)
    for problems, losing in ((60, 0.005), (100, 0.01), (400, 0.01), (400, 0.1), (800, 0.02)):
        yield check_exact_margin(problems, losing)
    for problems in (30, 100, 400):
        yield check_margin_of_grades(World(problems=problems, tracks=1), 10 * count, rng, 2.0)
    for world in (World(tracks=1), World(), World(problems=400), World(rate=0.1), World(seeds=3), World(seeds=5)):
        yield check_power(world, count, rng)
    for world in (World(), World(rate=0.1), World(tracks=1)):
        yield check_needed(world, count, rng)
    for world in (World(problems=20, tracks=1), World(tracks=1), World(), World(rate=0.08), World(problems=400)):
        yield check_coverage(world, count, rng, skewed=False, bootstrap=True)
    for seeds in (2, 3, 5):
        for spread in (0.0, 0.05, 0.2):
            yield check_coverage(World(seeds=seeds, seed_spread=spread), count, rng, skewed=False, bootstrap=True)
    yield check_coverage(World(problems=50, tracks=1), count, rng, skewed=True, bootstrap=True)
    yield check_coverage(World(), count, rng, skewed=True, bootstrap=True)


def main() -> None:
    """Print a line for each check; the exit status says whether all hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    begun, failed = time.monotonic(), 0
    for line in lines(parser.parse_args().studies):
        failed += line.startswith("FAIL")
        print(line, flush=True)
    print(f"{failed} of the checks failed, {time.monotonic() - begun:.0f} s")
    raise SystemExit(min(failed, 1))


if __name__ == "__main__":
    main()
