"""METEOR: NLTK's figures, and no METEOR without WordNet."""

from pathlib import Path

import pytest

from evaluators.similarity import MissingError, missing, score_pairs
from evaluators.similarity.meteor import find_wordnet

# The example of NLTK's documentation of `single_meteor_score`: with WordNet 0.6944, as these words have no
# synonyms that match.
HYPOTHESIS = "It is a guide to action which ensures that the military always obeys the commands of the party"
REFERENCE = "It is a guide to action that ensures that the military will forever heed Party commands"


def test_exact_and_stem_variant_has_a_name_and_a_signature_of_its_own() -> None:
    scores = score_pairs([HYPOTHESIS], [REFERENCE], metrics=["meteor_exact_stem"])
    assert scores.per_instance["meteor_exact_stem"][0] == pytest.approx(69.44, abs=0.005)
    assert "synonyms:no" in scores.signatures["meteor_exact_stem"]


def test_stems_match_and_empty_texts_do_not() -> None:
    scores = score_pairs(["closes streams", "", "x"], ["close stream", "x", ""], metrics=["meteor_exact_stem"])
    # Two of two words match, in one chunk: 1 - 0.5 * (1/2)**3.
    assert scores.per_instance["meteor_exact_stem"] == pytest.approx((93.75, 0.0, 0.0))


def test_meteor_counts_synonyms_where_wordnet_is_installed() -> None:
    try:
        find_wordnet()
    except MissingError as error:
        pytest.skip(str(error))
    outputs, references = [HYPOTHESIS, "he closed the car"], [REFERENCE, "he shut the car"]
    scores = score_pairs(outputs, references, metrics=["meteor", "meteor_exact_stem"])
    first, synonym = scores.per_instance["meteor"]
    assert first == pytest.approx(69.44, abs=0.005)
    # Four of four words match in one chunk; without synonyms three do, in two.
    assert synonym == pytest.approx(100 * (1 - 0.5 / 4**3))
    assert scores.per_instance["meteor_exact_stem"][1] == pytest.approx(75 * (1 - 0.5 * (2 / 3) ** 3))


def test_meteor_without_wordnet_names_what_is_missing_and_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import nltk
    from nltk.corpus import wordnet

    if not hasattr(wordnet, "_LazyCorpusLoader__name"):
        pytest.skip("NLTK has WordNet loaded in this process")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr("evaluators.similarity.meteor._SYSTEM_WORDNET", tmp_path)
    find_wordnet.cache_clear()
    try:
        (fault,) = missing(["meteor"])
        assert "nltk.downloader wordnet" in fault and "wordnet-base" in fault
        with pytest.raises(MissingError, match="WordNet"):
            score_pairs(["a"], ["a"], metrics=["meteor"])
    finally:
        find_wordnet.cache_clear()
