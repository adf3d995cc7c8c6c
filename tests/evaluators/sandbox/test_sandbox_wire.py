"""The encoding between judge and drivers: what is written is what is read, and garbage is only garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.sandbox.languages import python_driver
from evaluators.sandbox.wire import Alien, UnsayableError, decode, encode, escape, read_transcript, unescape
from tasks.records import Language

ANY_TEXT = st.text(st.characters())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT


@given(ANY_TEXT)
def test_text_survives_and_stays_one_printable_token(text: str) -> None:
    written = escape(text)
    assert unescape(written) == text
    assert written.isascii() and (written.isprintable() or not written) and "," not in written


@given(SCALARS | st.lists(SCALARS))
def test_what_the_python_driver_returns_is_what_the_judge_reads(value: object) -> None:
    read = decode(python_driver.encode(value))
    assert repr(read) == repr(value)


@given(st.lists(ANY_TEXT))
def test_what_the_judge_sends_is_what_the_python_driver_reads(value: list[str]) -> None:
    assert python_driver.decode(encode(list(value), as_type="list[str]", language=Language.PYTHON)) == value


@given(st.text())
def test_no_transcript_however_strange_raises(text: str) -> None:
    assert read_transcript(text).ending in (None, "c", "x", "m", "w", "k")


@given(st.lists(st.sampled_from(["h", "l", "v i1", "v ", "v q", "v d00", "v s\\u12", "x ", "k a", "v [i1,]", "v i"])))
def test_no_order_of_lines_raises(lines: list[str]) -> None:
    transcript = read_transcript("\n".join(lines) + "\n")
    assert transcript.loaded or not transcript.values


def test_a_value_of_another_type_keeps_only_its_name() -> None:
    assert decode(python_driver.encode({1})) == Alien(type_name="set")
    assert decode(python_driver.encode([(1,)])) == [Alien(type_name="tuple")]


def test_a_line_cut_off_in_the_middle_does_not_count() -> None:
    assert read_transcript("h\nl\nv i1\nv i12").values == (1,)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1]])
def test_an_argument_must_be_of_its_declared_type(value: object) -> None:
    with pytest.raises(UnsayableError, match="not of the declared type int"):
        encode(value, as_type="int", language=Language.PYTHON)  # type: ignore[arg-type]


def test_an_int_is_widened_where_a_float_is_declared() -> None:
    assert decode(encode([1, 2.5], as_type="list[float]", language=Language.JAVA)) == [1.0, 2.5]
