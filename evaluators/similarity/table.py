"""The table of similarity metrics: every metric that there is, one row each.

One decision: the order is that of importance. It is the order of help and tables, and where a place has
none of its headline metrics the first row that may stand in for one does. Light to import: what a
metric's function needs is loaded when it runs.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from evaluators.similarity.codexglue import score_bleu4_smooth, score_bleu_codexglue, score_exact_match_strict
from evaluators.similarity.embeddings import score_bertscore, score_cosine
from evaluators.similarity.meteor import score_meteor, score_meteor_exact_stem
from evaluators.similarity.metric import Kind, Metric, Need, Pairs
from evaluators.similarity.rouge import score_rouge, score_rouge_l_unicode
from evaluators.similarity.scored import Scored
from evaluators.similarity.texts import score_bleu, score_chrf, score_edit_similarity, score_exact_match
from tasks.records import Task, Track

if TYPE_CHECKING:
    from evaluators.similarity.codebleu import CodeBleu

CODE, PROSE = "code", "prose"
_BOTH = frozenset({CODE, PROSE})
_CODE, _PROSE = frozenset({CODE}), frozenset({PROSE})


def _texts(function: Callable[[Sequence[str], Sequence[str]], Scored]) -> Callable[[Pairs], Scored]:
    """A metric that looks at the texts alone."""
    return lambda pairs: function(pairs.predictions, pairs.references)


def _encoded(function: Callable[..., Scored]) -> Callable[[Pairs], Scored]:
    """A metric that needs an encoder."""
    return lambda pairs: function(pairs.predictions, pairs.references, model=pairs.model)


def _part(part: str, value: "Callable[[CodeBleu], float | None]") -> Callable[[Pairs], Scored]:
    """A part of CodeBLEU, which is computed once for all of them."""

    def score(pairs: Pairs) -> Scored:
        from evaluators.similarity.codebleu import signature

        assert pairs.language is not None
        each, corpus = pairs.codebleu
        words = f"{signature(pairs.language)}|part:{part}"
        return Scored(per_instance=tuple(map(value, each)), corpus=value(corpus), signature=words)

    return score


def _judge(pairs: Pairs) -> Scored:
    from evaluators.similarity.judge import score_judge

    assert pairs.judge is not None
    return score_judge(pairs.predictions, pairs.references, settings=pairs.judge)


_ROWS = (
    Metric(
        name="codebleu",
        title="CodeBLEU",
        about="n-grams, keywords, syntax and dataflow of code",
        score=_part("all", lambda result: result.score),
        prose=False,
        needs=Need.LANGUAGE,
        study_default=_CODE,
        command_default=_CODE,
        headline_of=(Task.TRANSLATION,),
        stands_in=True,
    ),
    Metric(
        name="codebleu_ngram",
        title="codebleu ngram",
        about="CodeBLEU's n-gram part",
        score=_part("ngram", lambda result: result.ngram),
        prose=False,
        needs=Need.LANGUAGE,
        study_default=_CODE,
    ),
    Metric(
        name="codebleu_weighted",
        title="codebleu weighted",
        about="CodeBLEU's part that weighs keywords",
        score=_part("weighted", lambda result: result.weighted),
        prose=False,
        needs=Need.LANGUAGE,
        study_default=_CODE,
    ),
    Metric(
        name="codebleu_syntax",
        title="codebleu syntax",
        about="CodeBLEU's part over syntax trees",
        score=_part("syntax", lambda result: result.syntax),
        prose=False,
        needs=Need.LANGUAGE,
        study_default=_CODE,
    ),
    Metric(
        name="codebleu_dataflow",
        title="codebleu dataflow",
        about="CodeBLEU's part over flows of values",
        score=_part("dataflow", lambda result: result.dataflow),
        prose=False,
        needs=Need.LANGUAGE,
        study_default=_CODE,
    ),
    Metric(
        name="bleu",
        title="BLEU",
        about="sacrebleu's BLEU",
        score=_texts(score_bleu),
        study_default=_BOTH,
        command_default=_BOTH,
        headline_of=(Task.SUMMARIZATION,),
        stands_in=True,
    ),
    Metric(
        name="bleu4_smooth",
        title="BLEU-4 (smoothed)",
        about="CodeXGLUE's for code summarization",
        score=_texts(score_bleu4_smooth),
        code=False,
        words=("smooth",),
    ),
    Metric(
        name="bleu_codexglue",
        title="BLEU (CodeXGLUE)",
        about="CodeXGLUE's for translation, refinement and concode",
        score=_texts(score_bleu_codexglue),
        words=("smooth",),
    ),
    Metric(
        name="chrf",
        title="chrF",
        about="sacrebleu's chrF2",
        score=_texts(score_chrf),
        study_default=_BOTH,
        command_default=_BOTH,
        stands_in=True,
    ),
    Metric(
        name="rouge_l",
        title="ROUGE-L",
        about="longest common subsequence of words of a-z and 0-9",
        score=_texts(partial(score_rouge, variant="rougeL")),
        study_default=_PROSE,
        command_default=_PROSE,
        stands_in=True,
    ),
    Metric(
        name="rouge_l_unicode",
        title="ROUGE-L (all scripts)",
        about="the same for any script: by characters where it writes no blanks",
        score=_texts(score_rouge_l_unicode),
        words=("unicode",),
    ),
    Metric(
        name="rouge_1",
        title="ROUGE-1",
        about="common words",
        score=_texts(partial(score_rouge, variant="rouge1")),
        study_default=_PROSE,
    ),
    Metric(
        name="rouge_2",
        title="ROUGE-2",
        about="common pairs of words",
        score=_texts(partial(score_rouge, variant="rouge2")),
        study_default=_PROSE,
    ),
    Metric(
        name="meteor",
        title="METEOR",
        about="with stems and WordNet's synonyms",
        score=_texts(score_meteor),
        needs=Need.WORDNET,
        words=("synonyms:wordnet",),
    ),
    Metric(
        name="meteor_exact_stem",
        title="METEOR (exact, stem)",
        about="METEOR without synonyms",
        score=_texts(score_meteor_exact_stem),
        # Rather than the one with WordNet: a study's figures must not depend on what a machine has installed.
        study_default=_PROSE,
        words=("synonyms:no",),
    ),
    Metric(
        name="edit_similarity",
        title="edit similarity",
        about="1 - Levenshtein distance / longer length",
        score=_texts(score_edit_similarity),
        study_default=_BOTH,
        stands_in=True,
    ),
    Metric(
        name="exact_match",
        title="exact match %",
        about="equal but for the width of white space",
        score=_texts(score_exact_match),
        kind=Kind.SHARE,
        study_default=_BOTH,
        command_default=_BOTH,
        stands_in=True,
        words=("squeezed",),
    ),
    Metric(
        name="exact_match_strict",
        title="exact match (strict) %",
        about="equal but for blanks at the ends, as CodeXGLUE counts translations",
        score=_texts(score_exact_match_strict),
        kind=Kind.SHARE,
        words=("strict",),
    ),
    Metric(
        name="bertscore",
        title="BERTScore",
        about="F1 of an encoder's tokens",
        score=_encoded(score_bertscore),
        needs=Need.MODEL,
    ),
    Metric(
        name="cosine",
        title="cosine",
        about="of an encoder's texts, as SIDE",
        score=_encoded(score_cosine),
        scale=(-100.0, 100.0),
        needs=Need.MODEL,
    ),
    Metric(name="judge", title="judge", about="a language model's opinion", score=_judge, needs=Need.JUDGE),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ROWS}


def title_of(name: str) -> str:
    """A metric as tables write it; of a name that is none, the name with blanks."""
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


def headlines_of(task: Task) -> tuple[str, ...]:
    """The metrics whose figure stands for a task."""
    return tuple(name for name, metric in METRICS.items() if task in metric.headline_of)


def stand_ins() -> tuple[str, ...]:
    """The metrics that may stand for a task where its headline is absent, the first of them first."""
    return tuple(name for name, metric in METRICS.items() if metric.stands_in)


def study_metrics(track: Track, chosen: Sequence[str] | None = None) -> tuple[str, ...]:
    """What a study computes for a track: of those that it chose what applies there, else the table's defaults."""
    if chosen is not None:
        return tuple(name for name in dict.fromkeys(chosen) if METRICS[name].applies_to(track))
    written = CODE if track.writes_code else PROSE
    return tuple(name for name, metric in METRICS.items() if written in metric.study_default)


def command_metrics(written: str) -> tuple[str, ...]:
    """What `polytune score` computes unasked for `code` (a language is named) or `prose`."""
    return tuple(name for name, metric in METRICS.items() if written in metric.command_default)


def faults_for_studies(chosen: Sequence[str], *, tracks: Sequence[Track]) -> list[str]:
    """What is wrong with a study's choice of metrics, in words; every metric and track is looked at."""
    faults = []
    for name in dict.fromkeys(chosen):
        metric = METRICS.get(name)
        if metric is None:
            faults.append(unknown(name))
        elif not metric.suits_studies:
            faults.append(f"{name} needs {_WANTS[metric.needs]}, which a study cannot name; leave it to polytune score")
    if not chosen:
        faults.append("names no metric; leave it out for the usual ones")
    if not faults:
        bare = [str(track) for track in tracks if not study_metrics(track, chosen)]
        faults += [f"none of {', '.join(chosen)} applies to {track}; add one that does" for track in bare]
    return faults


_WANTS: Mapping[Need | None, str] = {
    Need.WORDNET: "WordNet's data",
    Need.MODEL: "an encoder",
    Need.JUDGE: "an endpoint to ask",
}


def unknown(name: str) -> str:
    """That there is no such metric, with the nearest name."""
    from difflib import get_close_matches

    close = get_close_matches(name, METRICS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown metric {name!r}; {hint}the metrics are {', '.join(METRICS)}"


__all__ = [
    "CODE",
    "METRICS",
    "PROSE",
    "command_metrics",
    "faults_for_studies",
    "headlines_of",
    "stand_ins",
    "study_metrics",
    "title_of",
    "unknown",
]
