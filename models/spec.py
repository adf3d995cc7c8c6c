"""Which base model is meant, and the closed choices of how its weights are held.

One decision: precision and device are said by whoever loads. What a method wants is for the method to know.
"""

from typing import Literal

from tasks.records import Record

Precision = Literal["nf4", "bf16", "fp32"]
"""How weights are held: 4-bit NormalFloat with doubly quantised scales, 16 bits, 32 bits."""

Device = Literal["auto", "cpu", "cuda"]
"""Where a model runs; `auto` takes CUDA where there is one."""


class ModelSpec(Record):
    """A base model: hub id with revision, local folder, or `builtin:micro`.

    `digest` is the hash of a local or built-in model's weights, filled in when a study is planned.
    """

    name: str
    revision: str | None = None
    trust_remote_code: bool = False
    digest: str | None = None
