"""Noisy copies of texts: what a model might have written instead of the reference, made from a seed.

One decision: noise works on words, blanks and marks as a person sees them and knows no language, so the
same script makes near misses, code that does not parse and, one time in eight, an exact copy.
"""

import random
import re

_PIECES = re.compile(r"\w+|\s+|[^\w\s]")
_EDITS = (0, 1, 1, 2, 2, 3, 4, 6)


def noisy(text: str, rng: random.Random) -> str:
    """A copy with up to six pieces dropped, doubled, swapped, replaced by another, or renamed throughout."""
    pieces = _PIECES.findall(text)
    for _ in range(rng.choice(_EDITS)):
        places = [index for index, piece in enumerate(pieces) if not piece.isspace()]
        if len(places) < 2:
            break
        place, other = rng.choice(places), rng.choice(places)
        kind = rng.choice(("drop", "double", "swap", "replace", "rename"))
        if kind == "drop":
            del pieces[place]
        elif kind == "double":
            pieces.insert(place, pieces[place])
        elif kind == "swap":
            pieces[place], pieces[other] = pieces[other], pieces[place]
        elif kind == "replace":
            pieces[place] = pieces[other]
        else:
            word = pieces[place]
            pieces = [f"{word}X" if piece == word and word[0].isalpha() else piece for piece in pieces]
    return "".join(pieces)


def noisy_copies(texts: list[str], *, seed: int) -> list[str]:
    """A noisy copy of each text."""
    rng = random.Random(seed)
    return [noisy(text, rng) for text in texts]
