"""Canonical encoding and hash of specs: the names that stages go by.

One decision: what this cannot encode it refuses. A silent `repr` of an unknown object would give two names to
one spec, or one name to two. A setting that was added later and holds its neutral default is left out, so that
it renames nothing that was finished before it.
"""

import hashlib
import json
import math
from enum import Enum

from pydantic import BaseModel

from tasks.records import is_neutral


def canonical(value: object) -> object:
    """The value as plain JSON data with sorted keys, types of numbers kept apart.

    Raises:
        TypeError: for anything but None, booleans, numbers, text, lists, tuples, mappings with text
            keys, enumerations of text and pydantic models.
        ValueError: for a float that is not finite.
    """
    if isinstance(value, Enum):
        return canonical(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a fingerprint needs finite numbers, got {value}")
        # 1.0 and 1 are one setting to a person, and YAML gives either.
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, BaseModel):
        fields = (name for name in sorted(type(value).model_fields) if not is_neutral(value, name))
        return {name: canonical(getattr(value, name)) for name in fields}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"a fingerprint needs text keys, got {sorted(map(repr, value))}")
        return {key: canonical(value[key]) for key in sorted(value)}
    raise TypeError(f"a fingerprint cannot encode {type(value).__name__}: {value!r}")


def fingerprint(value: object) -> str:
    """SHA-256 of the canonical encoding, 64 hexadecimal digits; the same on every machine."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
