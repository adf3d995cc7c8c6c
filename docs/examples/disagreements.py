"""Ten problems on which one adapter for all tasks and one for each disagree, with both outputs."""

import polytune

runs = polytune.load("quickstart").instances.set_index(["model", "seed", "track", "problem_id", "sample"])
adapters = runs[runs.kind == "qlora"]
together, apart = (adapters[adapters.grouping == grouping] for grouping in ("together", "apart"))
both = together.add_suffix("_together").join(apart.add_suffix("_apart"), how="inner")
differ = both[(both.verdict_together == "passed") != (both.verdict_apart == "passed")]
for (_, _, track, problem, _), row in differ.head(10).iterrows():
    print(f"\n== {track} {problem}\n{row.prompt_together}")
    for name in ("together", "apart"):
        print(f"-- {name}: {row[f'verdict_{name}']}\n{row[f'output_{name}']}")
