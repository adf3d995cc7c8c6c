"""Which base model is meant, and the closed choices of how its weights are held.

One decision: precision and device are said by whoever loads. What a method wants is for the method to know.
"""

from typing import Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from tasks.records import Record

Precision = Literal["nf4", "bf16", "fp32"]
"""How weights are held: 4-bit NormalFloat with doubly quantised scales, 16 bits, 32 bits."""

Device = Literal["auto", "cpu", "cuda"]
"""Where a model runs; `auto` takes CUDA where there is one."""


class ModelSpec(Record):
    """A base model. A text in place of this block is its name."""

    name: str = Field(examples=["Qwen/Qwen2.5-Coder-0.5B-Instruct"])
    """Id on the Hugging Face hub, a local folder, or `builtin:micro`, which comes with Polytune."""

    revision: str | None = Field(default=None, examples=["0123456789abcdef0123456789abcdef01234567"])
    """Commit of a hub model. Without it the model may change under a finished study, and a plan lists it as
    unresolved."""

    trust_remote_code: bool = False
    """Whether code that comes with the model may run on this machine. Leave it out for models that need none."""

    digest: SkipJsonSchema[str | None] = None
    """Hash of a local or built-in model's weights, filled in when a study is planned."""
