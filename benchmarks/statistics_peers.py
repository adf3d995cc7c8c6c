"""Statistics against R, scipy and statsmodels, on 200 cases from a seed.

What R says is computed by R's own functions (mcnemar.test, binom.test, wilcox.test, t.test, aov, prop.test, p.adjust);
where it has none (signed ranks with ties, counted one by one), by a few lines of R below. `--write` stores it for the
tests, which then need no R.

    apt-get install r-base-core && pip install statsmodels
    python -m benchmarks.statistics_peers [--write]
"""

import argparse
import json
import math
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from tests.orchestrator.report.peer_cases import binary_columns, families, graded_columns, margins
from tests.orchestrator.report.peer_figures import Figures, figures

STORED = Path(__file__).parents[1] / "tests/orchestrator/report/peer_figures.json"
LIMIT = 1e-9

R_HEAD = r"""
options(warn = -1)
say <- function(name, ...) cat(name, sprintf("%.17g", c(...)), "\n")
binary <- function(name, x, y) {
  b <- sum(x > y); c <- sum(x < y); n <- length(x)
  if (b + c >= 25) {
    found <- mcnemar.test(table(factor(x, c(0, 1)), factor(y, c(0, 1))), correct = TRUE)
    statistic <- found$statistic; p <- found$p.value
  } else if (b + c > 0) {
    statistic <- min(b, c); p <- binom.test(min(b, c), b + c)$p.value
  } else { statistic <- 0; p <- 1 }
  say(paste0(name, ".test"), statistic, p)
  ratio <- log((b + .5) / (c + .5)); spread <- qnorm(.975) * sqrt(1 / (b + .5) + 1 / (c + .5))
  say(paste0(name, ".odds"), exp(ratio), exp(ratio - spread), exp(ratio + spread))
  say(paste0(name, ".wilson"), prop.test(sum(x), n, correct = FALSE)$conf.int)
}
signed <- function(d) {
  d <- d[d != 0]
  if (!length(d)) return(c(0, 1))
  ranks <- rank(abs(d)); plus <- sum(ranks[d > 0]); least <- min(plus, sum(ranks) - plus)
  ties <- any(duplicated(abs(d)))
  if (ties && length(d) <= 13) {
    sums <- 0
    for (one in ranks) sums <- c(sums, sums + one)
    return(c(least, min(1, 2 * mean(sums <= least + 1e-9))))
  }
  exact <- !ties && length(d) <= 50
  c(least, wilcox.test(d, exact = exact, correct = FALSE)$p.value)
}
graded <- function(name, x, y, d) {
  say(paste0(name, ".test"), signed(d))
  nonzero <- d[d != 0]
  p <- if (length(nonzero)) wilcox.test(nonzero, exact = FALSE, correct = FALSE)$p.value else 1
  say(paste0(name, ".normal"), p)
  wins <- wilcox.test(x, y, exact = FALSE)$statistic
  say(paste0(name, ".delta"), 2 * wins / (length(x) * length(y)) - 1, mean(sign(d)))
}
adjusted <- function(name, p) {
  say(paste0(name, ".holm"), p.adjust(p, "holm")); say(paste0(name, ".bh"), p.adjust(p, "BH"))
}
least <- function(p, d) max(p, 2^(1 - sum(abs(d) > 1e-9)))
one <- function(name, d, margin) {
  two <- t.test(d)
  say(paste0(name, ".mean"), two$estimate, two$conf.int, least(two$p.value, d))
  up <- t.test(d, mu = -margin, alternative = "greater")$p.value
  say(paste0(name, ".margin"), max(up, t.test(d, mu = margin, alternative = "less")$p.value), up)
}
two <- function(name, d, e, margin) {
  # Half the sum of two means is half the difference of one and the other's negative, for which R has Welch's test.
  found <- t.test(d, -e)
  say(paste0(name, ".mean"), (mean(d) + mean(e)) / 2, found$conf.int / 2, least(found$p.value, c(d, e)))
  up <- t.test(d, -e, mu = -2 * margin, alternative = "greater")$p.value
  say(paste0(name, ".margin"), max(up, t.test(d, -e, mu = 2 * margin, alternative = "less")$p.value), up)
}
seeds <- function(name, table, margin) {
  s <- nrow(table); n <- ncol(table)
  frame <- data.frame(value = as.vector(table), seed = factor(rep(1:s, n)), problem = factor(rep(1:n, each = s)))
  squares <- summary(aov(value ~ seed + problem, frame))[[1]][["Mean Sq"]]
  seed <- max(0, (squares[1] - max(.5, 1 - 1.5 / s) * squares[3]) / (n * s))
  problem <- squares[2] / (s * n); middle <- mean(table)
  reach <- function(tail) sqrt((qt(1 - tail, s - 1))^2 * seed + (qt(1 - tail, n - 1))^2 * problem)
  tail <- function(x) {
    if (x < 0) return(1 - tail(-x))
    if (seed == 0) return(pt(-x / sqrt(problem), n - 1))
    exp(uniroot(function(u) reach2(exp(u)) - x, log(c(1e-15, .5)), tol = 1e-14, maxiter = 5000)$root)
  }
  reach2 <- function(p) sqrt((-qt(p, s - 1))^2 * seed * (seed > 0) + (-qt(p, n - 1))^2 * problem)
  say(paste0(name, ".parts"), problem, seed)
  p <- min(1, 2 * tail(abs(middle)))
  say(paste0(name, ".mean"), middle, middle - reach(.025), middle + reach(.025), least(p, colMeans(table)))
  say(paste0(name, ".margin"), tail(margin - abs(middle)), tail(middle + margin))
}
"""


def r_vector(values: Sequence[float]) -> str:
    """Values as R reads them."""
    return f"c({', '.join(repr(float(value)) for value in values)})"


def r_script() -> Iterator[str]:
    """The cases as calls in R."""
    yield R_HEAD
    for case in binary_columns():
        yield f'binary("{case.name}", {r_vector(case.left)}, {r_vector(case.right)})'
    for case in graded_columns():
        differences = [round(a - b, 9) for a, b in zip(case.left, case.right, strict=True)]
        yield f'graded("{case.name}", {r_vector(case.left)}, {r_vector(case.right)}, {r_vector(differences)})'
    for number, family in enumerate(families()):
        yield f'adjusted("family-{number}", {r_vector(family)})'
    for margin in margins():
        shape, strata = margin.name.partition("-")[0], margin.strata
        if shape == "seeds":
            flat = [value for row in strata[0] for value in row]
            table = f"matrix({r_vector(flat)}, nrow = {len(strata[0])}, byrow = TRUE)"
            yield f'seeds("{margin.name}", {table}, {margin.margin})'
        else:
            rows = ", ".join(r_vector(stratum[0]) for stratum in strata)
            yield f'{shape}("{margin.name}", {rows}, {margin.margin})'


def by_r() -> Figures:
    """What R says."""
    with tempfile.NamedTemporaryFile("w", suffix=".R") as file:
        file.write("\n".join(r_script()) + "\n")
        file.flush()
        done = subprocess.run(["Rscript", file.name], capture_output=True, text=True, check=True)
    lines = (line.split() for line in done.stdout.splitlines())
    return {name: [float(value) for value in values] for name, *values in lines}


def by_libraries() -> Figures:
    """What scipy and statsmodels say, where they have a function of their own for it."""
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import proportion_confint
    from statsmodels.stats.weightstats import DescrStatsW

    found: Figures = {}
    for case in binary_columns():
        a, b = np.array(case.left), np.array(case.right)
        table = [[int(((a == x) & (b == y)).sum()) for y in (0, 1)] for x in (0, 1)]
        exact = table[0][1] + table[1][0] < 25
        result = mcnemar(table, exact=exact, correction=True)
        if table[0][1] + table[1][0] and (exact or table[0][1] != table[1][0]):
            found[f"{case.name}.test"] = [float(result.statistic), float(result.pvalue)]
        if 0 < a.sum() < len(a):
            found[f"{case.name}.wilson"] = list(map(float, proportion_confint(a.sum(), len(a), method="wilson")))
    for case in graded_columns():
        differences = np.array([round(x - y, 9) for x, y in zip(case.left, case.right, strict=True)])
        changed = differences[differences != 0]
        if len(changed):
            found[f"{case.name}.normal"] = [float(stats.wilcoxon(changed, method="asymptotic").pvalue)]
    for number, family in enumerate(families()):
        found[f"family-{number}.holm"] = multipletests(family, method="holm")[1].tolist()
        found[f"family-{number}.bh"] = stats.false_discovery_control(family).tolist()
    for margin in margins():
        if margin.name.startswith("one"):
            described = DescrStatsW(np.array(margin.strata[0][0]))
            p, (_, up, _), _ = described.ttost_mean(-margin.margin, margin.margin)
            found[f"{margin.name}.margin"] = [float(p), float(up)]
    return found


def furthest(ours: Figures, theirs: Figures) -> dict[str, tuple[int, float]]:
    """By kind of figure: how many there are, and the largest deviation (relative above 1, absolute below)."""
    found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for name, values in theirs.items():
        kind = f"{name.partition('-')[0]} {name.rpartition('.')[2]}"
        mine = ours[name]
        apart = max((abs(x - y) / max(1.0, abs(y)) for x, y in zip(mine, values, strict=True)), default=0.0)
        count, most = found[kind]
        found[kind] = (count + 1, math.inf if math.isnan(apart) else max(most, apart))
    return dict(found)


def main() -> None:
    """Print the largest deviation of each kind of figure; the exit status says whether all are small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store what R says for the tests")
    ours, r = figures(), by_r()
    failed = 0
    for peer, theirs in (("R", r), ("scipy and statsmodels", by_libraries())):
        for kind, (count, apart) in furthest(ours, theirs).items():
            failed += apart > LIMIT
            print(f"{'ok  ' if apart <= LIMIT else 'FAIL'} {peer}: {kind}, {count} cases, at most {apart:.1e} apart")
    print(f"{len(binary_columns()) + len(graded_columns()) + len(families()) + len(margins())} cases")
    if parser.parse_args().write:
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in r.items())
        STORED.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    raise SystemExit(min(failed, 1))


if __name__ == "__main__":
    main()
