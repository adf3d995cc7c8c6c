"""METEOR (Lavie and Agarwal 2007) by NLTK, with WordNet's synonyms, or without them under another name.

One decision: without WordNet's data there is no `meteor`. Words then match exactly or by their stem, which
gives lower scores, so that variant is a metric of its own, `meteor_exact_stem`, and never stands in.
"""

import io
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evaluators.similarity.scored import MissingError, Scored, averaged

_SYSTEM_WORDNET = Path("/usr/share/wordnet")
"""Where Debian's package wordnet-base puts the data."""
_LEXICOGRAPHER_FILES = """
adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition
noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person
noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state
noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition
verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social
verb.stative verb.weather adj.ppl
"""
"""In the order of their numbers; NLTK reads them from a file that Debian leaves out."""


def score_meteor(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """METEOR with exact words, Porter stems and WordNet's synonyms.

    Raises:
        MissingError: if WordNet's data are not installed.
    """
    return _score(predictions, references, wordnet=_Synonyms(find_wordnet()), synonyms="wordnet-3.0")


def score_meteor_exact_stem(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """METEOR with exact words and Porter stems alone: what it is without WordNet."""
    return _score(predictions, references, wordnet=_NoSynonyms(), synonyms="no")


@cache
def find_wordnet() -> Any:
    """NLTK's reader of WordNet's data, from NLTK's folders or the system's.

    Raises:
        MissingError: if they are in neither.
    """
    import nltk.data
    from nltk.corpus import wordnet
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    try:
        wordnet.ensure_loaded()
        return wordnet
    except LookupError:
        pass
    if (_SYSTEM_WORDNET / "data.noun").is_file():
        # NLTK reads from its own folders alone.
        nltk.data.path.append(str(_SYSTEM_WORDNET))
        # Nor is its map from other versions there, which only other languages' WordNets need.
        own = {"open": _open, "map_wn": lambda *_: None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return type("_SystemWordNet", (WordNetCorpusReader,), own)(str(_SYSTEM_WORDNET), None)
    raise MissingError(
        "meteor needs WordNet's data, which are not installed: `python -m nltk.downloader wordnet` or `apt-get install "
        "wordnet-base` installs them; meteor_exact_stem does without"
    )


def _open(reader: Any, file: str) -> Any:
    """As the reader's own, with the one file that Debian leaves out."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    if file == "lexnames":
        return io.StringIO(
            "".join(f"{number:02} {name} 0\n" for number, name in enumerate(_LEXICOGRAPHER_FILES.split()))
        )
    return WordNetCorpusReader.open(reader, file)


class _NoSynonyms:
    """A WordNet without entries."""

    def synsets(self, word: str) -> tuple[()]:
        return ()


class _Synonyms:
    """WordNet's entries by word, each looked up once."""

    def __init__(self, wordnet: Any) -> None:
        self.synsets = lru_cache(maxsize=100_000)(wordnet.synsets)


class _Stemmer:
    """Porter's stems, each computed once: they take most of METEOR's time."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = lru_cache(maxsize=100_000)(PorterStemmer().stem)


def _score(predictions: Sequence[str], references: Sequence[str], *, wordnet: Any, synonyms: str) -> Scored:
    from nltk.tokenize import wordpunct_tokenize
    from nltk.translate.meteor_score import single_meteor_score

    stemmer = _Stemmer()
    scores = [
        100
        * single_meteor_score(
            wordpunct_tokenize(reference), wordpunct_tokenize(prediction), stemmer=stemmer, wordnet=wordnet
        )
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    rules = "alpha:0.9|beta:3|gamma:0.5|case:lower|tok:wordpunct|stem:porter"
    signature = f"meteor|{rules}|synonyms:{synonyms}|corpus:mean|nltk:{version('nltk')}"
    return averaged(scores, signature=signature)
