"""The closed encoding: what is written is what is read, types are exact, and garbage is only garbage."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.isolation.values import (
    DEEPEST,
    LONGEST_ITERATOR,
    Alien,
    decode,
    encode,
    pack,
    unpack,
    unsayable,
)

HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=10,
)
VALUES = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HASHABLE, inner, max_size=4),
    max_leaves=20,
)


def crossed(value: Any) -> Any:
    return decode(unpack(pack(encode(value))))


def typed(value: Any) -> Any:
    """The value with the types of all that it holds, which `==` alone would let pass (1 == True)."""
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    if isinstance(value, dict):
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    return type(value), value


@given(VALUES)
def test_a_value_of_built_in_types_crosses_unchanged(value: Any) -> None:
    assert typed(crossed(value)) == typed(value)


@pytest.mark.parametrize(
    "value",
    [pytest.param(10**5000, id="huge"), -(2**63) - 1, 2**64, "\ud800", "a\0b", float("inf"), range(3, 9, 2), int],
)
def test_what_json_cannot_say_crosses_too(value: Any) -> None:
    assert typed(crossed(value)) == typed(value)


def test_nan_stays_what_it_is() -> None:
    assert repr(crossed([float("nan")])) == "[nan]"


def test_a_subclass_crosses_as_its_base_read_past_its_own_methods() -> None:
    class Lie(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __int__(self) -> int:
            return 3

        __hash__ = int.__hash__

    class Empty(list[int]):
        def __iter__(self) -> Any:
            return iter([9])

    assert typed(crossed(Lie(5))) == (int, 5)
    assert typed(crossed(Empty([1, 2]))) == typed([1, 2])


def test_a_class_that_says_to_be_another_is_an_alien() -> None:
    class Claimant:
        __class__ = int  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert isinstance(crossed(Claimant()), Alien)
    assert crossed(Claimant()) != Claimant()


def test_an_alien_equals_nothing_not_even_itself() -> None:
    it = crossed(object())
    assert it != it


def test_iterators_are_drained_to_a_limit() -> None:
    assert list(crossed(x * x for x in range(4))) == [0, 1, 4, 9]
    endless = crossed(x for x in range(LONGEST_ITERATOR + 1))
    assert isinstance(endless, Alien)


def test_nesting_too_deep_or_cyclic_becomes_an_alien_at_the_bottom() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    found, depth = crossed(cyclic), 0
    while isinstance(found, list):
        found, depth = found[0], depth + 1
    assert isinstance(found, Alien) and depth == DEEPEST
    assert unsayable(encode(cyclic)) is not None


@given(st.text())
def test_no_line_however_strange_raises_anything_but_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        decode(unpack(text))


@pytest.mark.parametrize(
    "line",
    [
        '{"s": [[1]]}',
        '{"d": [1]}',
        '{"i": 3}',
        '{"q": 1}',
        '{"t": 1, "s": 2}',
        '{"y": "Popen"}',
        "[" * 100_000,
        '{"b": 5}',
    ],
)
def test_malformed_content_is_named_as_such(line: str) -> None:
    with pytest.raises(ValueError):
        decode(unpack(line))
