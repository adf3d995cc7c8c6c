"""A batch of examples as the forward passes of one process.

One decision: every process makes equally many passes, since a process group may wait for each of them. Where rows are
fewer than that a process passes one of its rows again without weight.
"""

from collections.abc import Sequence

from trainers.batches.rows import Encoded, Row, cut, lay_flat
from trainers.loop.plan import Plan
from trainers.loop.services import Services


def share_of(examples: Sequence[Encoded], services: Services) -> tuple[list[tuple[int, ...]], int]:
    """This process's rows, as numbers among `examples`, and how many passes without weight follow them."""
    engine = services.engine
    if engine.flat:
        rows = cut([len(example.ids) for example in examples], micro_tokens=services.micro_tokens)
    else:
        rows = tuple((number,) for number in range(len(examples)))
    mine = list(rows[engine.rank :: engine.world])
    return mine, -(-len(rows) // engine.world) - len(mine)


def row_of(
    examples: Sequence[Encoded],
    numbers: Sequence[int],
    *,
    plan: Plan,
    services: Services,
    keys: Sequence[int] | None = None,
) -> Row:
    """Some of the examples as one row; `keys` are their numbers in the training data."""
    chosen = [examples[number] for number in numbers]
    named = numbers if keys is None else [keys[number] for number in numbers]
    row = lay_flat(chosen, keys=named, tracks=plan.tracks, pad=plan.pad, filled=services.engine.flat)
    services.passed(row.tokens)
    return row
