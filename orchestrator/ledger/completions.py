"""Completions that are there already, item by item, so that none is asked for twice.

    completions/OWNER/PART/SHA256.jsonl      a chunk: its owner on the first line, then a completion a line

One decision: a chunk's name is the hash of its content, and its first line is what its folder's name is the hash of.
So what was cut short, altered or put under another owner is told by reading it, and counts for nothing; and two
processes that write the same chunk make one. OWNER is all that decides a completion but for the item: weights, prompts,
decoding, precision, engine. An item is a track, an input and a limit of tokens, and nothing of where the problem came
from; a drawn completion takes its random numbers from the problem's id, so there the id is part of it. PART is the
digest of what one process was asked for, so that another that takes over its work finds what was done in one look.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue, ValidationError

from evaluators.generation.settings import ENGINE_VERSIONS, GenerationSettings
from models.spec import Precision
from orchestrator.ledger.record import StageRecord
from orchestrator.ledger.storage import Store
from orchestrator.provenance import provenance
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Completion, Problem, Record
from trainers.methods.table import MethodKind, traits_of

FOLDER = "completions/"
_FORMAT = 1
_READERS = 8
# What of a generate stage's identity says which problems are asked, and not how: the item says the rest.
_OF_ITEMS = frozenset({"inputs", "test", "generation"})
_OF_EACH_ITEM = frozenset({"samples", "max_new_tokens", "max_summary_tokens", "max_tokens_by_track"})
_OF_DRAWING = frozenset({"seed", "top_p", "top_k", "min_p"})
# What is put back by whoever asks.
_OF_PROBLEM = frozenset({"problem_id", "track", "dataset"})

Item = tuple[str, int]
"""An item's key, and the number of the sample."""

Said = Mapping[str, JsonValue]
"""A completion without what is of its problem alone."""


class Owner(Record):
    """All that decides a completion but for the item.

    `recipe` is what of the stages' identities decides it, see `recipe_of`; `weights` is the digest of a training's,
    None for a base that is asked as it came; `engine_version` is our own number for what an engine computes.
    """

    recipe: dict[str, JsonValue]
    weights: str | None
    kind: MethodKind
    device: Literal["cpu", "cuda"]
    precision: Precision
    engine: str
    engine_version: int

    @property
    def digest(self) -> str:
        """The name of its folder."""
        return fingerprint(self)

    def on(self, device: str) -> "Owner":
        """The same on another type of device, `cpu` or `cuda`: weights may be held otherwise there."""
        precision = traits_of(self.kind).precision_on(device)
        return Owner.model_validate({**self.model_dump(), "device": device, "precision": precision})


class Wanted(Record):
    """A problem, and which of its samples are asked for."""

    problem: Problem
    samples: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a ledger has of an owner's completions, and the names of chunks that are not what was written.

    `made_with` says of each item with which software. `proof` is what was measured when some of them were written, None
    where nothing was.
    """

    said: Mapping[Item, Said] = field(default_factory=dict)
    made_with: Mapping[Item, str] = field(default_factory=dict)
    proof: JsonValue = None
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk that is whole; `proof` is what its process had measured of what it wrote, None where another did."""

    owner: Owner
    made_with: str
    said: Mapping[Item, Said]
    proof: JsonValue = None


def software(engine: str) -> str:
    """What else may decide an engine's completions, in words. No owner has it: what is finished outlives upgrades."""
    now = provenance()
    names = ("torch", "cuda", "transformers", "peft", "bitsandbytes", *(() if engine == "transformers" else (engine,)))
    return ", ".join(f"{name} {now[name]}" for name in names)


def owner_of(trial: TrialSpec, trained: StageRecord | None, *, device: str) -> Owner:
    """Whose completions a trial's are; `trained` is its training's record, None for a frozen model."""
    train = trial.identity(StageName.TRAIN) if trained is not None else None
    engine = trial.generation.engine
    assert engine != "auto", "a study's engine is decided when it is opened"
    return Owner(
        recipe=recipe_of(trial.identity(StageName.GENERATE), train),
        weights=None if trained is None else trained.output_digest,
        kind=trial.kind,
        device="cpu" if device == "cpu" else "cuda",
        precision=trial.traits.precision_on(device),
        engine=engine,
        engine_version=ENGINE_VERSIONS[engine],
    )


def recipe_of(generate: Mapping[str, JsonValue], train: Mapping[str, JsonValue] | None) -> dict[str, JsonValue]:
    """What of the identities of a trial's stages decides its completions; None for `train` where there is none.

    A setting that nobody thought of here is part of it: that costs a completion asked again, and no wrong one.

    Raises:
        KeyError, TypeError: if an identity is not one that today's stages have.
    """
    decoding = generate["generation"]
    if not isinstance(decoding, dict):
        raise TypeError(f"generation settings are a mapping, got {decoding!r}")
    left_out = _OF_EACH_ITEM | (_OF_DRAWING if decoding["temperature"] == 0 else frozenset())
    recipe: dict[str, JsonValue] = {name: value for name, value in generate.items() if name not in _OF_ITEMS}
    recipe["decoding"] = {name: value for name, value in decoding.items() if name not in left_out}
    if train is not None:
        training = train["training"]
        if not isinstance(training, dict):
            raise TypeError(f"a training is a mapping, got {training!r}")
        # How an adapter's tensors are put on its base is not in their digest.
        recipe["training"] = {name: training[name] for name in ("model", "kind", "lora")}
    return recipe


def counts_in(record: StageRecord) -> tuple[int, int] | None:
    """How many completions a finished generate stage found there, and of how many; None where nobody counted."""
    counts = record.facts.get("completions")
    if not isinstance(counts, dict):
        return None
    return int(str(counts["known"])), int(str(counts["wanted"]))


def item_key(problem: Problem, settings: GenerationSettings) -> str:
    """What of a problem decides its completions, whatever the model."""
    asked: dict[str, object] = {
        "track": problem.track,
        "input": problem.input,
        "limit": settings.limit(problem),
    }
    return fingerprint(asked | ({"problem": problem.id} if settings.temperature > 0 else {}))


def items_of(wanted: Wanted, settings: GenerationSettings) -> list[Item]:
    """The items that make up what is wanted of a problem, samples in order."""
    key = item_key(wanted.problem, settings)
    return [(key, sample) for sample in wanted.samples]


def missing(wanted: Iterable[Wanted], said: Mapping[Item, Said], settings: GenerationSettings) -> tuple[Wanted, ...]:
    """What of the wanted is not there yet; of problems that are one item, the first stands for all."""
    found, seen = [], set(said)
    for one in wanted:
        lacking = tuple(item[1] for item in items_of(one, settings) if item not in seen)
        if lacking:
            seen.update(items_of(one, settings))
            found.append(Wanted(problem=one.problem, samples=lacking))
    return tuple(found)


def completions_in(
    said: Mapping[Item, Said], wanted: Iterable[Wanted], settings: GenerationSettings
) -> list[Completion]:
    """The completions that are there of what is wanted, in its order, each as its problem's."""
    return [_as_of(one.problem, said[item]) for one in wanted for item in items_of(one, settings) if item in said]


def said_by(made: Iterable[Completion], asked: Iterable[Wanted], settings: GenerationSettings) -> dict[Item, Said]:
    """Completions of what was asked, by item."""
    keys = {one.problem.id: item_key(one.problem, settings) for one in asked}
    return {(keys[c.problem_id], c.sample): said_of(c) for c in made}


def said_of(completion: Completion) -> Said:
    """A completion without what is of its problem alone."""
    said: Said = completion.model_dump(mode="json", exclude=set(_OF_PROBLEM))
    return said


def _as_of(problem: Problem, said: Said) -> Completion:
    ids = {"problem_id": problem.id, "track": problem.track, "dataset": problem.dataset}
    return Completion.model_validate({**said, **ids})


def known_of(store: Store, owner: Owner, *, part: str = "") -> Known:
    """What a ledger has of an owner's completions; with `part`, of those that were asked for in that part alone."""
    names = [entry.name for entry in store.entries(f"{FOLDER}{owner.digest}/{part and f'{part}/'}")]
    said: dict[Item, Said] = {}
    made_with: dict[Item, str] = {}
    damaged, proof = [], None
    for name, chunk in read_chunks(store, names):
        if chunk is None:
            damaged.append(name)
        else:
            said |= {item: text for item, text in chunk.said.items() if item not in said}
            made_with |= {item: chunk.made_with for item in chunk.said if item not in made_with}
            proof = proof or chunk.proof
    return Known(said=said, made_with=made_with, proof=proof, damaged=tuple(damaged))


def arrivals(store: Store, owner: Owner, *, read: set[str]) -> dict[Item, Said]:
    """What has come for an owner since; the names of its chunks are added to those that were `read`."""
    folder = f"{FOLDER}{owner.digest}/"
    names = [entry.name for entry in store.entries(folder) if entry.name not in read]
    read.update(names)
    return {item: text for _, chunk in read_chunks(store, names) if chunk for item, text in chunk.said.items()}


def read_chunks(store: Store, names: Sequence[str]) -> Iterator[tuple[str, Chunk | None]]:
    """Chunks by name; None for one that is not what was written under its name, and so counts for nothing."""
    with ThreadPoolExecutor(_READERS) as pool:
        for name, data in zip(names, pool.map(store.read, names), strict=True):
            yield name, _parsed(name, data or b"")


def _parsed(name: str, data: bytes) -> Chunk | None:
    owner, _, file = name.removeprefix(FOLDER).partition("/")
    if not file.endswith(f"/{hashlib.sha256(data).hexdigest()}.jsonl"):
        return None
    try:
        head, *lines = (json.loads(line) for line in data.decode("ascii").splitlines())
        whose = Owner.model_validate(head["owner"])
        if head["format"] != _FORMAT or whose.digest != owner:
            return None
        said = {(line.pop("item"), line["sample"]): line for line in lines}
        return Chunk(owner=whose, made_with=head["made_with"], said=said, proof=head.get("proof"))
    except (ValueError, KeyError, TypeError, ValidationError):
        # Another version's, which says more or less than this one knows.
        return None


def write_chunk(store: Store, owner: Owner, part: str, said: Mapping[Item, Said], *, proof: JsonValue = None) -> None:
    """Keep completions in a chunk of their own, with what was measured of their process, if anything was.

    Raises:
        LedgerError: if the store cannot be written.
    """
    rows = ({"item": key, **text} for (key, _), text in said.items())
    head: dict[str, JsonValue] = {
        "format": _FORMAT,
        "made_with": software(owner.engine),
        "owner": owner.model_dump(mode="json"),
    }
    if proof is not None:
        head["proof"] = proof
    data = "".join(json.dumps(row, sort_keys=True) + "\n" for row in (head, *rows)).encode("ascii")
    name = f"{FOLDER}{owner.digest}/{part}/{hashlib.sha256(data).hexdigest()}.jsonl"
    # Where a damaged chunk has the name, it gets the content that it is named after.
    if not store.create(name, data) and store.read(name) != data:
        store.write(name, data)


__all__ = [
    "FOLDER",
    "Chunk",
    "Item",
    "Known",
    "Owner",
    "Said",
    "Wanted",
    "arrivals",
    "completions_in",
    "counts_in",
    "item_key",
    "items_of",
    "known_of",
    "missing",
    "owner_of",
    "read_chunks",
    "recipe_of",
    "said_by",
    "said_of",
    "software",
    "write_chunk",
]
