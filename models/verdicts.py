"""How each family of models may be trained: what a probe found, kept by architecture and versions.

One decision: a probe runs in a process of its own, so whoever plans or drives a study loads no PyTorch for it, and a
family that crashes takes nothing along. What it found is a file named by all that decides it and is never out of date.
"""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from models.locations import ModelError, local_digest, location_of, template_text
from models.spec import ModelSpec
from tasks.records import Record
from tasks.templates import SystemRole

RowsPath = Literal["flat", "single", "refused"]
"""How examples go through a model: several in a row without padding, one by one, or not at all."""

# Raised when the probe itself looks at more, so that what was found before is looked at again.
_PROBE = 1
_VERSIONS = ("torch", "transformers", "tokenizers")
_TIMEOUT_S = 600
# What a configuration holds that no arithmetic depends on.
_NO_MATTER = (
    "_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache", "bos_token_id",
    "eos_token_id", "pad_token_id", "quantization_config",
)  # fmt: skip


class Verdict(Record):
    """What a probe found of a family.

    Attributes:
        family: As its configuration calls it.
        path: How its examples go through it.
        reasons: Why not better, a clause each.
        figures: Largest difference of logits from the model's own, in their standard deviations, by path.
        windows: The longest window of attention that the probe's documents went beyond, on the small copy.
        linear: Names of its linear projections, which an adapter may lie on, with inputs and outputs of each kind.
        vocabulary: Tokens that it has embeddings for.
        context: Its longest input in tokens; None where nothing tells it.
    """

    family: str
    path: RowsPath
    reasons: tuple[str, ...] = ()
    figures: dict[str, float] = Field(default_factory=dict)
    windows: int | None = None
    linear: dict[str, tuple[tuple[int, int], ...]] = Field(default_factory=dict)
    vocabulary: int | None = None
    context: int | None = None

    @property
    def refusal(self) -> str:
        """Why it cannot be trained, with the remedy; nothing if it can."""
        if self.path != "refused":
            return ""
        return (
            f"{self.family} cannot be trained rightly here: {'; '.join(self.reasons)}. Name a model of another family, "
            "or keep this one frozen"
        )

    def line(self) -> str:
        """How it is trained, in a line for people."""
        if self.path == "refused":
            return self.refusal
        how = {"flat": "several examples a row, no padding", "single": "one example at a time"}[self.path]
        worst = self.figures.get(self.path)
        figures = f"; logits within {worst:.0e} of the model's own" if worst is not None else ""
        why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return f"{self.family}: {how}{why}{figures}"


def default_folder() -> Path:
    """Where verdicts are kept: `$XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "polytune", "families")


class Prompting(Record):
    """What a look at a tokenizer with its template found.

    Attributes:
        template: The study's, the tokenizer's own, or the plain one of `tasks.templates`.
        system: Where the system line stands.
        lead: What the template writes between a prompt and an answer to it.
        opens: What the generation prompt ends with.
        faults: What is wrong with training behind it, with figures.
    """

    template: Literal["study's", "own", "plain"]
    system: SystemRole
    lead: str
    opens: str
    faults: tuple[str, ...] = ()


def verdict_of(model: ModelSpec, *, folder: Path | None = None, probing: bool = True) -> Verdict | None:
    """What is known of a model's family; if nothing is, it is probed in a process of its own, which takes seconds.

    Args:
        model: The model; only its configuration is read.
        folder: Where verdicts are kept.
        probing: Whether to probe; if not, None says that nothing is known.

    Raises:
        ModelError: if its configuration cannot be read, or the probe did not come to an end.
    """
    return _found(Verdict, "family", model, _architecture_of(model), folder=folder, probing=probing)


def prompting_of(model: ModelSpec, *, folder: Path | None = None, probing: bool = True) -> Prompting | None:
    """What is known of a model's tokenizer with its template; as `verdict_of`, and only the tokenizer is read.

    Raises:
        ModelError: if it cannot be read, or the look at it did not come to an end.
    """
    return _found(Prompting, "prompts", model, _identity_of(model), folder=folder, probing=probing)


_Looked = TypeVar("_Looked", Verdict, Prompting)


def _found(
    kind: type[_Looked],
    look: str,
    model: ModelSpec,
    decides: dict[str, object] | None,
    *,
    folder: Path | None,
    probing: bool,
) -> _Looked | None:
    """What was kept of a look, or what it finds now; nothing is kept of what nothing pins."""
    named = {"look": look, "probe": _PROBE, **{name: _version(name) for name in _VERSIONS}, "of": decides}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:32]
    place = (folder or default_folder()) / f"{digest}.json"
    if decides is not None:
        with contextlib.suppress(OSError, ValidationError):
            return kind.model_validate_json(place.read_bytes())
    if not probing:
        return None
    answers = _looked_apart(model.model_dump_json())
    if look not in answers:
        raise ModelError(answers[f"no {look}"])
    found = kind.model_validate_json(answers[look])
    if decides is not None:
        draft = place.with_name(f"{place.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(found.model_dump_json(indent=1), encoding="utf-8")
            draft.replace(place)
    return found


def _architecture_of(model: ModelSpec) -> dict[str, object] | None:
    """All of a model that decides how it computes; None if nothing pins it."""
    config = Path(location_of(model)) / "config.json"
    if not config.is_file():
        return _identity_of(model)
    try:
        raw = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{config} is no JSON ({error}); copy the model again") from error
    code = model.digest if raw.get("auto_map") and model.trust_remote_code else None
    return {"config": {name: value for name, value in raw.items() if name not in _NO_MATTER}, "code": code}


def _identity_of(model: ModelSpec) -> dict[str, object] | None:
    """What identifies a model's files and its template; None if nothing pins it."""
    template = {"template": template_text(model), "arguments": model.template_arguments}
    digest = model.digest or local_digest(model)
    if digest is not None:
        return {"digest": digest, **template}
    pinned = re.fullmatch("[0-9a-f]{40}", model.revision or "")
    return {"name": model.name, "revision": model.revision, **template} if pinned else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _looked_apart(model: str) -> dict[str, str]:
    """What a process of its own says of a model's family and of its prompts, or why it cannot.

    The model goes there as JSON and both answers come so: whoever asks for one mostly asks for the other, and starting
    takes longer than looking.
    """
    name = ModelSpec.model_validate_json(model).name
    command = [sys.executable, "-m", "models.probe"]
    try:
        done = subprocess.run(command, input=model, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"the probe of {name!r} took more than {_TIMEOUT_S} s; name a model of another family"
        ) from error
    with contextlib.suppress(ValueError, IndexError):
        answers: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return answers
    said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
    raise ModelError(f"the probe of {name!r} ended with status {done.returncode}, and said: {said}")


__all__ = ["Prompting", "RowsPath", "Verdict", "default_folder", "prompting_of", "verdict_of"]
