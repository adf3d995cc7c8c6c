"""Score texts by similarity, from Python.

One decision: texts in a list are paired by their place, rows with ids by their ids, as lines of files are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polytune.values import as_files

if TYPE_CHECKING:
    import pandas as pd

    from evaluators.similarity import JudgeSettings
    from orchestrator.files.scoring import ScoreFigure
    from polytune.values import Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Scores of pairs, 0-100.

    Attributes:
        figures: By metric, over all pairs: `corpus`, `mean`, `n` pairs to which it applies, `signature`.
        ids: The pairs' ids; their numbers from 1 where they have none.
        scores: By metric, a score for each pair, in the order of `ids`; None where it does not apply or could not be.
        notes: How the texts were understood and what was not scored, with the reason.
    """

    figures: "Mapping[str, ScoreFigure]"
    ids: tuple[str, ...]
    scores: Mapping[str, tuple[float | None, ...]]
    notes: tuple[str, ...]

    def frame(self) -> "pd.DataFrame":
        """A row for each pair: `id` and a column for each metric."""
        import pandas as pd

        return pd.DataFrame({"id": self.ids, **{name: pd.Series(s, dtype=float) for name, s in self.scores.items()}})


def score(
    predictions: "Texts",
    references: "Texts",
    *,
    metrics: str | Sequence[str] | None = None,
    language: str | None = None,
    format: str = "auto",
    predictions_key: str | None = None,
    references_key: str | None = None,
    model: str | None = None,
    judge: "JudgeSettings | None" = None,
) -> Similarity:
    """Compare predictions with references, as `polytune score` does.

    Args:
        predictions: Texts, or rows with a text and perhaps an id: a list, a column, dicts, a data frame or a file. One
            string is the path of a file; put a single text in a list. None is an empty text.
        references: As predictions. Paired by id if both have ids, else by place.
        metrics: As in `("codebleu", "bleu")`; by default those of code with a language, those of prose without.
        language: Of the code: `python`, `java` or `csharp`.
        format: How files are read: `auto`, `text`, `tab` or `json`.
        predictions_key: What holds the text in rows of predictions; by default a usual name.
        references_key: The same for references.
        model: For bertscore and cosine: an encoder's folder or hub id.
        judge: For judge: whom to ask, an `evaluators.similarity.JudgeSettings`.

    Raises:
        PolytuneError: with every fault of the request at once.

    >>> scored = polytune.score(["return a + b"], ["return a + c"], metrics=["exact_match", "edit_similarity"])
    >>> scored.figures["exact_match"].mean
    0.0
    >>> scored.frame().round(1).to_dict(orient="records")
    [{'id': '1', 'exact_match': 0.0, 'edit_similarity': 91.7}]
    """
    from orchestrator.files.scoring import TextFile, check_request, figures_of, score_request

    with as_files(predictions=predictions, references=references) as files:
        request = check_request(
            TextFile(path=files["predictions"], column=predictions_key),
            TextFile(path=files["references"], column=references_key),
            metrics=metrics,
            language=language,
            form=format,
            model=model,
            judge=judge,
        )
        scores = score_request(request)
    unscored = (f"{name}: not scored: {note}" for name, notes in scores.notes.items() for note in notes)
    return Similarity(
        figures=figures_of(scores, request.metrics),
        ids=request.pairs.ids,
        scores=scores.per_instance,
        notes=(*request.pairs.notes, *unscored),
    )


__all__ = ["Similarity", "score"]
