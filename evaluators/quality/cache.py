"""What tools have said of files before, in a folder.

One decision: an entry is a file of its own, named by the hash of all that decides it: the tool, its
version, the code that calls it, the language and the source. Entries are never changed or out of date, any
number of processes may write them, and a folder that cannot be written merely leaves work to be done again.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

import evaluators.languages
from evaluators.quality.outcome import Measured
from tasks.records import Language


def default_folder() -> Path:
    """Where a user's caches are: `$XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "polytune", "quality")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Outcomes of one tool in one version for one language."""

    folder: Path
    tool: str
    version: str
    language: Language

    def get(self, source: str) -> Measured | None:
        """What was said of a source; None if nothing is known, or the entry is damaged."""
        try:
            return Measured.model_validate_json(self._path(source).read_bytes())
        except (OSError, ValidationError):
            return None

    def put(self, source: str, outcome: Measured) -> None:
        """Remember what was said of a source."""
        path = self._path(source)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(outcome.model_dump_json(), encoding="utf-8")
            draft.replace(path)

    def _path(self, source: str) -> Path:
        parts = (self.tool, self.version, _code_digest(), self.language.value)
        name = hashlib.blake2b("\0".join((*parts, source)).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        return self.folder / name[:2] / name[2:]


@cache
def _code_digest() -> str:
    """The digest of this package's own code and of what is known of languages, which both decide an outcome."""
    own, languages = Path(__file__).parent, Path(evaluators.languages.__file__).parent
    files = [path for path in own.iterdir() if path.suffix in {".py", ".java", ".cs"}]
    files += languages.rglob("*.py")
    return hashlib.blake2b(b"\0".join(file.read_bytes() for file in sorted(files)), digest_size=20).hexdigest()
