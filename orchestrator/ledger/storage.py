"""Where bytes lie: a local directory, or an object store (`s3://`, `gs://`) through obstore.

One decision: both offer one promise, `create`, which makes a name only if it is absent and whole or not
at all; records and leases need no other. Names are texts with slashes, and no name is known here.
"""

import errno
import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from orchestrator.errors import FULL, LedgerError

SCHEMES = ("s3", "gs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name that is there; `mark` changes with its content, `modified_at` is in seconds since 1970."""

    name: str
    size_bytes: int
    mark: str
    modified_at: float


class Store(Protocol):
    """What a ledger needs of the place where it lies.

    Every method raises `LedgerError` if the place cannot be read or written.
    """

    address: str

    def create(self, name: str, data: bytes) -> bool:
        """Make a name if there is none, whole or not at all; False if there was one."""

    def write(self, name: str, data: bytes) -> None:
        """Give a name this content, whatever it had; whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """A name's content; None if there is none."""

    def entries(self, prefix: str) -> list[Entry]:
        """All names below a prefix that ends in a slash, in order; private ones of a write left out."""

    def children(self, prefix: str) -> list[str]:
        """The folders and names one step below a prefix that ends in a slash, in order."""

    def delete(self, names: Collection[str]) -> None:
        """Remove names; one that is gone already is no fault."""

    def push(self, folder: Path, prefix: str) -> None:
        """Make all files below a local folder durable under a prefix."""

    def pull(self, name: str, path: Path) -> None:
        """Bring a name's content to a local file, unless the file is the name itself."""


def open_store(address: str | Path) -> Store:
    """The store at an address: a folder's path, `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises:
        LedgerError: for an address of another kind.
    """
    text = str(address)
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme in SCHEMES:
        return ObjectStore(text)
    if scheme:
        raise LedgerError(
            f"storage {text!r} is of no known kind; give a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
        )
    return LocalStore(Path(text))


def copies_folder() -> Path:
    """Where this machine keeps its copies of object stores: `POLYTUNE_CACHE`, or the user's cache."""
    named = os.environ.get("POLYTUNE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "polytune"


@contextmanager
def _told(address: str, doing: str) -> Iterator[None]:
    """Turn a fault of the place into one message with what to do about it."""
    try:
        yield
    except OSError as error:
        message = f"the ledger at {address} cannot be {doing}: {error.strerror or error}; {_remedy(error)}"
        raise LedgerError(message, errno=error.errno) from error


def _remedy(error: OSError) -> str:
    if error.errno in FULL:
        return "free some space (`polytune gc` lists what no study names), then run again"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "make it writable for this user, or give the study another storage"
    return "see that the place is there and reachable, then run again"


class LocalStore:
    """A directory. A name's content is written to a private file, made durable and then linked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    def create(self, name: str, data: bytes) -> bool:
        """A link fails if the name is taken, and a crash leaves at most the private file."""
        path = self.root / name
        with _told(self.address, "written"), _private(path, data) as private:
            try:
                os.link(private, path)
            except FileExistsError:
                return False
            _sync_folder(path.parent)
        return True

    def write(self, name: str, data: bytes) -> None:
        """Replace what stands under the name."""
        path = self.root / name
        with _told(self.address, "written"), _private(path, data) as private:
            os.replace(private, path)

    def read(self, name: str) -> bytes | None:
        """The file's content."""
        with _told(self.address, "read"):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def entries(self, prefix: str) -> list[Entry]:
        """The files below a folder."""
        found = []
        with _told(self.address, "read"):
            for folder, _, files in os.walk(self.root / prefix):
                for file in files:
                    path = os.path.join(folder, file)
                    if not file.startswith(_PRIVATE) and (state := _state(path)):
                        found.append(
                            Entry(
                                name=os.path.relpath(path, self.root),
                                size_bytes=state.st_size,
                                mark=f"{state.st_ino} {state.st_mtime_ns}",
                                modified_at=state.st_mtime,
                            )
                        )
        return sorted(found, key=lambda entry: entry.name)

    def children(self, prefix: str) -> list[str]:
        """The names in a folder."""
        with _told(self.address, "read"):
            try:
                return sorted(name for name in os.listdir(self.root / prefix) if not name.startswith(_PRIVATE))
            except FileNotFoundError:
                return []

    def delete(self, names: Collection[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        with _told(self.address, "written"):
            for name in names:
                path = self.root / name
                path.unlink(missing_ok=True)
                for parent in path.parents:
                    if parent == self.root or not _remove_if_empty(parent):
                        break

    def push(self, folder: Path, prefix: str) -> None:
        """The files lie here already; wait until the disk has them."""
        with _told(self.address, "written"):
            for parent, _, files in os.walk(folder):
                for file in files:
                    with open(os.path.join(parent, file), "rb") as opened:
                        os.fsync(opened.fileno())
                _sync_folder(Path(parent))

    def pull(self, name: str, path: Path) -> None:
        """The file is the name itself."""


_PRIVATE = ".private-"


@contextmanager
def _private(path: Path, data: bytes) -> Iterator[Path]:
    """The content in a durable file of its own beside `path`, gone afterwards whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    private = path.with_name(f"{_PRIVATE}{uuid.uuid4().hex}")
    try:
        with private.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield private
    finally:
        private.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a folder's list of names durable: a file is lost with its name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _state(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


class ObjectStore:
    """A bucket's prefix. Credentials and endpoint come from the environment (`AWS_*`, `GOOGLE_*`)."""

    def __init__(self, address: str) -> None:
        from obstore.store import from_url

        self.address = address.rstrip("/")
        with self._told("opened"):
            # An endpoint without TLS is one that its owner named by hand, on loopback for one.
            plain = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
            self._store: Any = from_url(
                self.address,
                client_options={"allow_http": plain},
                retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=60)},
            )

    def create(self, name: str, data: bytes) -> bool:
        """A conditional put: the store itself refuses the second."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._told("written"):
            try:
                obstore.put(self._store, name, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """A plain put, which a store shows whole or not at all."""
        import obstore

        with self._told("written"):
            obstore.put(self._store, name, data)

    def read(self, name: str) -> bytes | None:
        """The object's content."""
        import obstore

        with self._told("read"):
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def entries(self, prefix: str) -> list[Entry]:
        """The objects below a prefix."""
        import obstore

        with self._told("read"):
            found = [
                Entry(
                    name=item["path"],
                    size_bytes=item["size"],
                    mark=item["e_tag"] or "",
                    modified_at=item["last_modified"].timestamp(),
                )
                for batch in obstore.list(self._store, prefix=prefix.rstrip("/"))
                for item in batch
            ]
        return sorted(found, key=lambda entry: entry.name)

    def children(self, prefix: str) -> list[str]:
        """The common prefixes and objects one step below."""
        import obstore

        with self._told("read"):
            result = obstore.list_with_delimiter(self._store, prefix=prefix.rstrip("/"))
        paths = [*result["common_prefixes"], *(item["path"] for item in result["objects"])]
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def delete(self, names: Collection[str]) -> None:
        """Remove objects."""
        import obstore

        with self._told("written"):
            for name in names:
                try:
                    obstore.delete(self._store, name)
                except FileNotFoundError:
                    continue

    def push(self, folder: Path, prefix: str) -> None:
        """Upload the files that are not there yet in the same size; an attempt's files do not change."""
        import obstore

        there = {entry.name: entry.size_bytes for entry in self.entries(prefix)}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = f"{prefix}{path.relative_to(folder).as_posix()}"
            if there.get(name) != path.stat().st_size:
                with self._told("written"):
                    obstore.put(self._store, name, path)

    def pull(self, name: str, path: Path) -> None:
        """Download by parts into a private file that then takes its name."""
        import obstore

        path.parent.mkdir(parents=True, exist_ok=True)
        private = path.with_name(f"{_PRIVATE}{uuid.uuid4().hex}")
        try:
            with self._told("read"), private.open("xb") as file:
                for part in obstore.get(self._store, name).stream():
                    file.write(part)
            os.replace(private, path)
        finally:
            private.unlink(missing_ok=True)

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            first = str(error).partition("\n")[0].partition(": <?xml")[0].strip()
            raise LedgerError(
                f"the ledger at {self.address} cannot be {doing}: {first}; see that the bucket exists and that the "
                "environment holds its credentials (AWS_* or GOOGLE_*), then run again"
            ) from error
