"""A trial's generation as a job: what is wanted, what is there already, and what is left to be generated.

One decision: a job is whole again by item and not by problem, so problems that are the same to a model are asked once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from evaluators.generation.settings import GenerationSettings
from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.completions import Item, Known, Owner, Said, Wanted, completions_in, items_of, missing, said_by
from orchestrator.work.messages import Weights
from tasks.records import Completion, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationJob:
    """What one trial's generation needs; `key` is its stage's.

    `owner` is whose completions they are, `known` what the ledger has of that owner's, `missing` what of the `wanted`
    is to be generated; `counts` says how many completions each is. Of two problems that are one item, one is asked.
    `made_with` is the software that made what is there.
    """

    key: str
    weights: Weights
    owner: Owner
    settings: GenerationSettings
    wanted: tuple[Wanted, ...]
    known: Mapping[Item, Said]
    missing: tuple[Wanted, ...]
    counts: Mapping[str, int]
    made_with: tuple[str, ...]

    def facts(self) -> dict[str, JsonValue]:
        """What to record of where the completions came from."""
        there: dict[str, JsonValue] = {"made_with": list(self.made_with)} if self.made_with else {}
        return {"completions": {"owner": self.owner.digest, **self.counts, **there}}

    def whole(self, made: Sequence[Completion]) -> tuple[Completion, ...] | StageFailed:
        """All that is wanted, in its order, of what is known and what was made; a failure if that is not all."""
        asked = {one.problem.id: one.problem for one in self.missing}
        said = dict(self.known) | said_by(made, asked, self.settings)
        found = tuple(completions_in(said, self.wanted, self.settings))
        due = self.counts["wanted"]
        if len(found) < due:
            return StageFailed(f"{due - len(found)} of {due} completions were never given", kind=Cause.CODE)
        return found


def generation_job(
    key: str, problems: Sequence[Problem], *, weights: Weights, owner: Owner, settings: GenerationSettings, known: Known
) -> GenerationJob:
    """The job of a stage that asks every sample of every problem."""
    samples = tuple(range(settings.samples))
    wanted = tuple(Wanted(problem=problem, samples=samples) for problem in problems)
    left = missing(wanted, known.said, settings)
    there = [item for one in wanted for item in items_of(one, settings) if item in known.said]
    return GenerationJob(
        key=key,
        weights=weights,
        owner=owner,
        settings=settings,
        wanted=wanted,
        known=known.said,
        missing=left,
        counts={
            "wanted": len(samples) * len(wanted),
            "known": len(there),
            "asked": sum(len(one.samples) for one in left),
        },
        made_with=tuple(sorted({known.made_with[item] for item in there})),
    )


__all__ = ["GenerationJob", "generation_job"]
