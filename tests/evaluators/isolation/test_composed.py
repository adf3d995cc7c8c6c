"""Values of the standard library and plain data cross as what they are; what is forged is data or nothing."""

import dataclasses
import enum
import sys
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.isolation import composed
from evaluators.isolation.values import Alien, decode, encode, pack, pieces, unpack

Point = namedtuple("Point", "x y")


class Named(NamedTuple):
    left: int
    right: tuple[int, ...] = ()


@dataclasses.dataclass
class Box:
    held: list[int]
    label: str = "a"


@dataclasses.dataclass(frozen=True, order=True)
class Frozen:
    number: int


class Colour(enum.Enum):
    RED = 1
    BLUE = (1, 2)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    A = "a"


class Mixed(str, enum.Enum):  # noqa: UP042
    A = "a"


@pytest.fixture(autouse=True)
def no_classes_of_others() -> Iterator[None]:
    yield
    composed.forget_classes()
    composed.own_classes = {}


def crossed(value: Any) -> Any:
    return decode(unpack(pack(encode(value))))


@given(
    st.one_of(
        st.decimals(allow_nan=False).filter(lambda value: not value.is_finite() or abs(value.adjusted()) < 10_000),
        st.fractions(),
        st.dates(),
        st.datetimes(),
        st.datetimes(timezones=st.just(UTC)),
        st.times(),
        st.timedeltas(),
        st.uuids(),
        st.lists(st.integers()).map(deque),
        st.lists(st.text()).map(Counter),
        st.dictionaries(st.integers(), st.text()).map(OrderedDict),
        st.binary().map(bytearray),
    )
)
def test_a_value_of_the_standard_library_crosses_unchanged(value: Any) -> None:
    found = crossed([value])[0]
    assert (type(found), found) == (type(value), value)


def test_what_equality_does_not_show_crosses_too() -> None:
    assert crossed(deque([1], maxlen=3)).maxlen == 3
    assert str(crossed(Decimal("1.50"))) == "1.50"
    assert crossed(datetime(2024, 1, 1, 2, fold=1)).fold == 1
    assert crossed(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2)))).utcoffset() == timedelta(hours=2)
    assert crossed(OrderedDict(a=1, b=2)) != OrderedDict(b=2, a=1)


def test_a_named_tuple_is_one_and_a_tuple() -> None:
    found = crossed(Point(1, [2]))
    assert (found.x, found.y, found, found._asdict()) == (1, [2], (1, [2]), {"x": 1, "y": [2]})
    assert crossed(Named(1)).right == ()


def test_a_dataclass_has_its_fields_and_compares_with_its_like() -> None:
    found = crossed(Box([1]))
    assert (found.held, found.label, repr(found)) == ([1], "a", "Box(held=[1], label='a')")
    assert (found == crossed(Box([1])), found == crossed(Box([2])), found == Box([1])) == (True, False, False)
    assert crossed(Frozen(1)) < crossed(Frozen(2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        crossed(Frozen(1)).number = 2


def test_members_of_one_enumeration_are_of_one_class() -> None:
    red, blue = crossed([Colour.RED, Colour.BLUE])
    assert (red.name, red.value, str(red), blue.value) == ("RED", 1, "Colour.RED", (1, 2))
    assert (red is crossed(Colour.RED), red == blue, type(red) is type(blue)) == (True, False, True)
    assert (crossed(Level.HIGH), crossed(Level.HIGH).name, crossed(Word.A), crossed(Mixed.A)) == (2, "HIGH", "a", "a")


def test_the_candidates_own_class_is_made_where_it_is() -> None:
    composed.own_classes = {"Point": Point, "Box": Box, "Colour": Colour}
    assert type(crossed(Point(1, 2))) is Point
    assert crossed(Box([1])) == Box([1])
    assert crossed(Colour.RED) is Colour.RED
    composed.own_classes = {"Point": Box, "Box": 3, "Colour": enum.Enum("Colour", "GREEN")}
    assert (crossed(Point(1, 2)), crossed(Box([1])).held, crossed(Colour.RED).name) == ((1, 2), [1], "RED")


@pytest.mark.parametrize(
    "value",
    [Decimal("1E+99999"), datetime.max.time().replace(tzinfo=None), enum.Flag("F", "A B")(3), object()],
    ids=["exponent", "time", "flags", "object"],
)
def test_what_cannot_cross_is_alien(value: Any) -> None:
    assert isinstance(crossed(value), Alien) or crossed(value) == value


@pytest.mark.parametrize(
    "forged",
    [
        {"x": ["Fraction", [1, 0]]},
        {"x": ["Decimal", ["1E+999999999"]]},
        {"x": ["Decimal", ["one"]]},
        {"x": ["os", ["system"]]},
        {"x": ["timedelta", [{"i": "0xffffffffffffffffffff"}, 0, 0]]},
        {"x": ["datetime", ["2020-01-01T00:00", 9]]},
        {"x": ["deque", [-1, [1]]]},
        {"x": ["UUID", [5]]},
        {"N": ["P", ["__class__"], [1]]},
        {"N": ["P", ["x", "x"], [1, 2]]},
        {"N": ["P", ["x=print()"], [1]]},
        {"N": ["P", ["x"], [1, 2]]},
        {"N": [["P"], ["x"], [1]]},
        {"N": ["P", [f"x{n}" for n in range(9999)], []]},
        {"D": ["P", ["__eq__"], [1], [True, False, False]]},
        {"D": ["P", ["x"], [1], [False, True, False]]},
        {"D": ["P", ["x"], [1], []]},
        {"D": ["import os", ["x"], [1], [True, False, False]]},
        {"E": ["X", "Enum", [["mro", 1]], "mro"]},
        {"E": ["X", "int", [["a", [1]]], "a"]},
        {"E": ["X", "type", [["a", 1]], "a"]},
        {"E": ["X", "Enum", [["a", 1]], "b"]},
        {"E": ["X", "Enum", [["_ignore_", 1]], "_ignore_"]},
        {"E": 3},
    ],
)
def test_what_is_forged_is_refused(forged: Any) -> None:
    with pytest.raises(ValueError):
        decode(forged)


class Liar(tuple[int, ...]):
    _fields = ("x", 3)


class Metaclass(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Silent(metaclass=Metaclass):
    pass


def test_a_class_that_only_looks_like_one_crosses_as_what_it_is_below() -> None:
    assert crossed(Liar((1, 2))) == (1, 2)
    assert isinstance(crossed(Silent()), Alien)


@given(st.recursive(st.integers(), lambda inner: st.lists(inner) | st.lists(inner).map(tuple), max_leaves=30))
def test_pieces_are_the_encoding(value: Any) -> None:
    assert unpack("".join(pieces(value))) == encode(value)


def test_large_values_are_the_same_in_pieces() -> None:
    value = [list(range(2500)), [tuple(range(1001))], {1, 2}, *range(1500), set(range(1200))]
    assert unpack("".join(pieces(value))) == encode(value)
    assert max(map(len, pieces(list(range(10_000))))) < 10_000
    assert sys.getsizeof(list(pieces([]))) < 1000


def test_kinds_named_in_the_description_are_told_apart() -> None:
    kinds = [date(2020, 1, 1), time(1), timedelta(1), UUID(int=1), Fraction(1, 2)]
    assert [type(one) for one in crossed(kinds)] == [type(one) for one in kinds]
