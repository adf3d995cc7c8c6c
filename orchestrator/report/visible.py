"""What models wrote, made safe to print: no character acts on a terminal or turns the reading direction.

One decision: whatever cannot be seen is written as Python would escape it, so nothing is dropped and nothing acts. The
page does the same in the browser (samples.js).
"""

import re
import unicodedata

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls (ANSI codes begin with one), formats (reading direction, zero width), lone surrogates, separators."""
_PLAIN = re.compile(r"[ -~\n\t]*")


def make_visible(text: str) -> str:
    """The text with every hidden character but line feeds and tabs written as an escape."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


__all__ = ["make_visible"]
