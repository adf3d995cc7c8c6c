"""A trial's generation as a job: what is wanted, what is there already, and what is left to be generated.

One decision: a job is whole again by item and not by problem, so problems that are the same to a model are asked once.
"""

import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from evaluators.generation.settings import GenerationSettings
from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.completions import Item, Known, Owner, Said, Wanted, completions_in, items_of, missing, said_by
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.resources import Resources
from orchestrator.work.generate import generate_piece
from orchestrator.work.messages import GenerationPart, GenerationPiece, Weights
from orchestrator.work.sending import Gathered, OnPieceDone, Pool, ignore, none_join, results
from tasks.records import Completion, Problem
from trainers.methods.table import traits_of

# Slots are as many as fit where nothing is said; pieces are cut as if they were so many, without a GPU and with one.
_SLOTS, _SLOTS_ON_GPU = 64, 256
# A piece has about so many times the prompts that are answered at once, so that slots are mostly full.
_FILLS = 4
# Completions of before there were proofs in chunks are told to be their owner's by so many.
_ASKED_FOR_PROOF = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationJob:
    """What one trial's generation needs; `key` is its stage's.

    `owner` is whose completions they are, `known` what the ledger has of that owner's, `missing` what of the `wanted`
    is to be generated; `counts` says how many completions each is. Of two problems that are one item, one is asked.
    `made_with` is the software that made what is there, `proof` what was measured then. `found` and `work` are filled
    while it is generated, with what is to be recorded beside the completions and what its parts took.
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
    proof: JsonValue = None
    found: dict[str, JsonValue] = field(default_factory=dict)
    work: Counter[str] = field(default_factory=Counter)

    @property
    def base(self) -> str:
        """What jobs have in common that may be answered in one pass: the base's weights, and how to decode."""
        traits = traits_of(self.weights.kind)
        own = self.key if traits.has_own_weights else ""
        precisions = [traits.precision_on(device) for device in ("cpu", "cuda")]
        asked = [one.model_dump(mode="json") for one in (self.weights.model, self.settings)]
        return fingerprint([*asked, precisions, own])

    def facts(self) -> dict[str, JsonValue]:
        """What to record of where the completions came from."""
        there: dict[str, JsonValue] = {"made_with": list(self.made_with)} if self.made_with else {}
        writing = {"writing": dict[str, JsonValue](self.work)} if self.work else {}
        proof = {} if self.proof is None else {"proof": self.proof}
        return {"completions": {"owner": self.owner.digest, **self.counts, **there}, **proof, **self.found, **writing}

    def whole(self, made: Sequence[Completion]) -> tuple[Completion, ...] | StageFailed:
        """All that is wanted, in its order, of what is known and what was made; a failure if that is not all."""
        said = dict(self.known) | said_by(made, self.missing, self.settings)
        found = tuple(completions_in(said, self.wanted, self.settings))
        due = self.counts["wanted"]
        if len(found) < due:
            return StageFailed(f"{due - len(found)} of {due} completions were never given", kind=Cause.CODE)
        return found


def generation_job(
    key: str, problems: Sequence[Problem], *, weights: Weights, owner: Owner, settings: GenerationSettings, known: Known
) -> GenerationJob:
    """The job of a stage that asks every sample of every problem.

    Where all is there and nothing shows whose it is, the shortest problems are asked again, for a proof.
    """
    samples = tuple(range(settings.samples))
    wanted = tuple(Wanted(problem=problem, samples=samples) for problem in problems)
    said = dict(known.said)
    if known.proof is None and not missing(wanted, said, settings):
        for one in sorted(wanted, key=lambda one: (len(one.problem.input), one.problem.id))[:_ASKED_FOR_PROOF]:
            said.pop(items_of(one, settings)[0], None)
    left = missing(wanted, said, settings)
    there = [item for one in wanted for item in items_of(one, settings) if item in said]
    return GenerationJob(
        key=key,
        weights=weights,
        owner=owner,
        settings=settings,
        wanted=wanted,
        known=said,
        missing=left,
        counts={
            "wanted": len(samples) * len(wanted),
            "known": len(there),
            "asked": sum(len(one.samples) for one in left),
        },
        made_with=tuple(sorted({known.made_with[item] for item in there})),
        proof=known.proof,
    )


def run_generation(
    jobs: Sequence[GenerationJob],
    *,
    resources: Resources,
    words: str = "",
    on_piece_done: OnPieceDone = ignore,
    joining: Callable[[], Sequence[GenerationJob]] = none_join,
    in_process: bool = False,
) -> Iterator[tuple[str, tuple[Completion, ...] | StageFailed]]:
    """Generate what is missing of all jobs; yields each job's key and completions, in its problems' order, when done.

    A job that misses nothing starts no process. `joining` gives further jobs while others are under way. What the
    processes say beside the completions goes into a job's facts; how far they are, into the ledger below `words`.
    """
    pool = Pool(
        size=resources.generators,
        cpus=resources.generator_cpus,
        gpus=resources.generator_gpus,
        name="generators",
        in_process=in_process,
    )
    open_: dict[str, GenerationJob] = {}
    whole: deque[GenerationJob] = deque()

    def pieces(of: Sequence[GenerationJob]) -> list[GenerationPiece]:
        open_.update({job.key: job for job in of})
        whole.extend(job for job in of if not job.missing)
        return list(_pieces([job for job in of if job.missing], resources, words))

    def complete() -> Iterator[tuple[str, tuple[Completion, ...] | StageFailed]]:
        while whole:
            job = whole.popleft()
            yield job.key, job.whole(())

    first = pieces(jobs)
    yield from complete()
    for key, found in results(
        generate_piece,
        first,
        of=Completion,
        pool=pool,
        on_piece_done=on_piece_done,
        joining=lambda: pieces(joining()),
    ):
        if isinstance(found, Gathered):
            open_[key].found.update(found.facts)
            open_[key].work.update(found.counts)
            yield key, open_[key].whole(found.records)
        else:
            yield key, found
        yield from complete()
    yield from complete()


def _pieces(jobs: Sequence[GenerationJob], resources: Resources, words: str) -> Iterator[GenerationPiece]:
    """Pieces of jobs over the same base and settings, a job's problems behind each other."""
    groups: dict[str, list[GenerationJob]] = {}
    for job in jobs:
        groups.setdefault(job.base, []).append(job)
    for group in groups.values():
        yield from _cut(group, resources, words)


def _cut(jobs: Sequence[GenerationJob], resources: Resources, words: str) -> Iterator[GenerationPiece]:
    slots = None if resources.generation_batch == "auto" else resources.generation_batch
    usual = slots or (_SLOTS_ON_GPU if resources.generator_gpus else _SLOTS)
    size = _problems_per_piece(sum(len(job.missing) for job in jobs), usual, resources.generators)
    parts: list[GenerationPart] = []
    room = size

    def piece() -> GenerationPiece:
        return GenerationPiece(
            settings=jobs[0].settings,
            threads=resources.generator_cpus,
            slots=slots,
            gpus=resources.generator_gpus,
            word=words and f"{words}{uuid.uuid4().hex}.json",
            parts=tuple(parts),
        )

    for job in jobs:
        # Prompts of like length leave few slots unused at the end of a piece.
        left = sorted(job.missing, key=lambda one: (one.problem.track, len(one.problem.input)))
        proven = True
        while left:
            now, left = tuple(left[:room]), left[room:]
            parts.append(GenerationPart(key=job.key, weights=job.weights, owner=job.owner, wanted=now, proven=proven))
            room, proven = room - len(now), False
            if not room:
                yield piece()
                parts, room = [], size
    if parts:
        yield piece()


def _problems_per_piece(problems: int, slots: int, generators: int) -> int:
    """Enough to fill slots several times, in equally many pieces for each process, so that none is alone at the end."""
    rounds = max(1, round(problems / (generators * _FILLS * slots)))
    return -(-problems // (generators * rounds))


__all__ = ["GenerationJob", "generation_job", "run_generation"]
