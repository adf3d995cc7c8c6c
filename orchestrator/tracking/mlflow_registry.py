"""Entries of MLflow's model registry, each a version of a study's best adapter for a model and a set of tracks.

One decision: a version is known by the digest of its weights, which is a tag of it. So a winner that was entered is
found again from any machine, one that changed is a new version, and the alias `best` moves to it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.redaction import without_secrets
from orchestrator.tracking.winners import ALIAS, Winner

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_LEDGER, _WEIGHTS = "polytune.ledger", "polytune.weights"
# What databases have room for.
_LONGEST_DESCRIPTION = 5000


class Registry:
    """The entries that one ledger has in a registry."""

    def __init__(self, client: "MlflowClient", *, ledger_id: str) -> None:
        self._client, self._ledger_id = client, ledger_id

    def enter(self, winner: Winner, *, run_id: str, source: str, weights: str, card: str) -> str:
        """Let the registry have this adapter under the winner's name and the alias `best`; returns its version.

        Args:
            winner: What to enter.
            run_id: The MLflow run that has the adapter.
            source: Where the adapter's files are.
            weights: The digest of its weights.
            card: Its model card, in Markdown; `source` has it in full.
        """
        versions = self._versions(winner.registered)
        mine = [version for version in versions if version.tags.get(_LEDGER) == self._ledger_id]
        found = next((version for version in mine if version.tags.get(_WEIGHTS) == weights), None)
        told = _fitted(without_secrets(f"{winner.why}\n\n{_without_front_matter(card)}"))
        if found is None or found.run_id != run_id:
            # A run that was made anew has other files than the one that a version names.
            found = self._client.create_model_version(
                winner.registered, source, run_id, tags=self._tags(winner) | {_WEIGHTS: weights}, description=told
            )
        elif found.description != told:
            self._client.update_model_version(winner.registered, found.version, told)
        self._point(winner.registered, found, mine=mine)
        return str(found.version)

    def _versions(self, name: str) -> "list[ModelVersion]":
        """All versions under a name, which is made if it is new."""
        if not self._client.search_registered_models(f"name = '{name}'"):
            about = (
                f"The study's best adapter for this model and these tasks: the alias `{ALIAS}` is the newest choice."
            )
            self._client.create_registered_model(name, tags={"made by": "polytune"}, description=about)
            return []
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{name}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _tags(self, winner: Winner) -> dict[str, str]:
        trial = winner.trial
        tags: Mapping[str, object] = {
            "trial": trial.label,
            "base": trial.model.name,
            "method": trial.method_name,
            "kind": trial.kind,
            "tracks": ", ".join(trial.tracks),
            "seed": trial.seed,
            winner.metric: winner.score,
        }
        return {name: without_secrets(str(value)) for name, value in tags.items()} | {_LEDGER: self._ledger_id}

    def _point(self, name: str, best: "ModelVersion", *, mine: "list[ModelVersion]") -> None:
        """Move the alias here, from a version of this ledger or from none; another ledger's stays where it is."""
        aliased = self._client.get_registered_model(name).aliases.get(ALIAS)
        if aliased != best.version and (aliased is None or aliased in [version.version for version in mine]):
            self._client.set_registered_model_alias(name, ALIAS, best.version)


def _fitted(text: str) -> str:
    """As many lines of a text as there is room for."""
    if len(text) <= _LONGEST_DESCRIPTION:
        return text
    rest = "\n\nThe rest stands in the adapter's README.md."
    return text[: _LONGEST_DESCRIPTION - len(rest)].rpartition("\n")[0] + rest


def _without_front_matter(card: str) -> str:
    """A card without what the Hugging Face hub reads at its top, which Markdown would show as a heading."""
    return card.split("---\n", 2)[-1].lstrip() if card.startswith("---\n") else card


__all__ = ["Registry"]
