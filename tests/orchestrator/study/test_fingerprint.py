"""Fingerprints: one name for one spec on every machine, and a refusal of all that has no plain form."""

import json
import math
import os
import subprocess
import sys
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.study.fingerprint import canonical, fingerprint
from tasks.records import Language, Record

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
SPECS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
EXAMPLE = {"z": [1, 2.5, None, True], "a": {"ü": "\u2028", "b": ["x", {"q": -0.0}]}, "": 10**20}


class Setting(Record):
    rate: float
    languages: tuple[Language, ...]


class Size(StrEnum):
    SMALL = "small"


def reversed_keys(value: Any) -> Any:
    """The same spec, each of its mappings written in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(SPECS)
def test_order_of_keys_is_no_part_of_a_name(spec: Any) -> None:
    assert fingerprint(reversed_keys(spec)) == fingerprint(spec)


@settings(deadline=None)
@given(SPECS)
def test_spec_keeps_its_name_through_a_file(spec: Any) -> None:
    assert fingerprint(json.loads(json.dumps(spec))) == fingerprint(spec)


@settings(deadline=None)
@given(SPECS, SPECS)
def test_different_specs_have_different_names(one: Any, other: Any) -> None:
    same = json.dumps(canonical(one), sort_keys=True) == json.dumps(canonical(other), sort_keys=True)
    assert (fingerprint(one) == fingerprint(other)) is same


def test_order_of_a_list_is_part_of_its_name() -> None:
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_name_is_the_same_in_every_process() -> None:
    code = f"from orchestrator.study.fingerprint import fingerprint; print(fingerprint({EXAMPLE!r}))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {fingerprint(EXAMPLE)}


def test_name_of_a_known_spec_is_the_hash_of_its_plain_json() -> None:
    # printf '{"a":[1,"b"],"c":null}' | sha256sum
    expected = "23973d1d6998215803cee676533c2ca5c5081d5c4bfd3c7ea40c9ec2bd0f3073"
    assert fingerprint({"c": None, "a": (1.0, "b")}) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0, -0.0, True),
        (5.0e-3, 0.005, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (0, None, False),
        ((1, 2), [1, 2], True),
        (Size.SMALL, "small", True),
        ({"a": None}, {}, False),
        ([[1], 2], [[1, 2]], False),
    ],
)
def test_one_setting_has_one_name_however_it_is_written(one: Any, other: Any, same: bool) -> None:
    assert (fingerprint([one]) == fingerprint([other])) is same


def test_record_goes_by_its_fields() -> None:
    record = Setting(rate=1.0, languages=(Language.JAVA,))
    assert fingerprint(record) == fingerprint({"languages": ["java"], "rate": 1})


@pytest.mark.parametrize(
    "value", [{1, 2}, frozenset(), b"x", object(), len, 1j, range(3), {"deep": [{"er": {1}}]}, Setting]
)
def test_what_has_no_plain_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="a fingerprint cannot encode"):
        fingerprint(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="needs finite numbers"):
        fingerprint({"rate": value})


@pytest.mark.parametrize("key", [1, None, (1,), b"a"])
def test_key_that_is_no_text_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match="needs text keys"):
        fingerprint({key: 1})
