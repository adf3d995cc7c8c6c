"""Storage: on a folder and on an object store, a name is made once, whole or not at all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import LedgerError
from orchestrator.ledger.storage import LocalStore, Store, open_store

_WRITER = """
import sys, time
from pathlib import Path
from orchestrator.ledger.storage import open_store
address, text, start = sys.argv[1], sys.argv[2], Path(sys.argv[3])
store = open_store(address)
print("ready", flush=True)
while not start.exists():
    time.sleep(0.001)
print(store.create("stages/record.json", text.encode() * 100_000))
"""


@pytest.fixture
def store(storage: str) -> Store:
    return open_store(storage)


def names(store: Store, prefix: str = "") -> list[str]:
    return [entry.name for entry in store.entries(prefix)]


def test_name_is_created_only_once(store: Store) -> None:
    assert store.create("a/record.json", b"first")
    assert not store.create("a/record.json", b"second")
    assert store.read("a/record.json") == b"first"
    assert names(store) == ["a/record.json"]


def test_of_many_threads_one_creates_the_name(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.create("record.json", str(n).encode() * 100_000), range(8)))
    assert won.count(True) == 1
    assert store.read("record.json") == str(won.index(True)).encode() * 100_000


def test_of_two_processes_one_creates_the_name(storage: str, store: Store, tmp_path: Path) -> None:
    start = tmp_path / "start"
    command = [sys.executable, "-c", _WRITER, storage]
    writers = [subprocess.Popen([*command, text, start], stdout=subprocess.PIPE, text=True) for text in ("one", "two")]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    start.touch()
    won = [writer.communicate(timeout=60)[0].strip() == "True" for writer in writers]
    assert sorted(won) == [False, True]
    assert store.read("stages/record.json") == (b"one", b"two")[won.index(True)] * 100_000
    assert names(store) == ["stages/record.json"]


def test_what_is_written_again_is_replaced(store: Store) -> None:
    store.write("beat", b"1")
    (before,) = store.entries("")
    store.write("beat", b"2")
    (after,) = store.entries("")
    assert store.read("beat") == b"2"
    assert before.mark != after.mark


def test_names_are_told_by_folder_and_in_order(store: Store) -> None:
    for name in ("b/2", "b/1", "b/c/.hidden", "a", "bc/1"):
        store.create(name, b"x")
    assert names(store, "b/") == ["b/1", "b/2", "b/c/.hidden"]
    assert store.children("") == ["a", "b", "bc"]
    assert store.children("b/") == ["1", "2", "c"]
    assert names(store, "none/") == store.children("none/") == []


def test_what_is_not_there_reads_as_none(store: Store) -> None:
    assert store.read("no/such") is None
    store.delete(["no/such"])


def test_what_is_deleted_is_gone(store: Store) -> None:
    store.create("a/b/c", b"x")
    store.create("a/d", b"x")
    store.delete(["a/b/c"])
    assert (names(store), store.children("a/")) == (["a/d"], ["d"])


def test_folder_is_pushed_whole_and_pulled_back(store: Store, tmp_path: Path) -> None:
    # An object store has an upload of its own folder; a local one is the folder.
    folder = store.root / "attempt" if isinstance(store, LocalStore) else tmp_path / "attempt"
    (folder / "metrics").mkdir(parents=True)
    content = os.urandom(12_000_000)
    (folder / "weights").write_bytes(content)
    (folder / "metrics" / "0").write_text("row")
    store.push(folder, "attempt/")
    assert [(e.name, e.size_bytes) for e in store.entries("attempt/")] == [
        ("attempt/metrics/0", 3),
        ("attempt/weights", len(content)),
    ]
    target = folder / "weights" if isinstance(store, LocalStore) else tmp_path / "back" / "weights"
    store.pull("attempt/weights", target)
    assert target.read_bytes() == content


def test_bucket_that_is_not_there_is_one_message(s3: str) -> None:
    lost = open_store("s3://no-such-bucket/runs")
    for doing in (lambda: lost.create("a", b""), lambda: lost.read("a"), lambda: lost.entries("")):
        with pytest.raises(
            LedgerError, match=r"ledger at s3://no-such-bucket/runs cannot be .*see that the bucket exists"
        ):
            doing()


def test_credentials_that_are_missing_are_one_message(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Instance metadata is where a cloud machine finds its credentials; here nothing answers.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LedgerError, match="the environment holds its credentials"):
        open_store(s3).create("a", b"")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB in a folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "polytune", folder], check=False).returncode:
        pytest.skip("mounting a small file system needs a privilege that this user lacks")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk_leaves_no_half_of_a_file(small_disk: Path) -> None:
    store = open_store(small_disk / "runs")
    assert store.create("record.json", b"whole")
    for write in (store.create, store.write):
        with pytest.raises(LedgerError, match="No space left on device; free some space"):
            write("other.json", b"x" * 10**6)
    assert names(store) == os.listdir(small_disk / "runs") == ["record.json"]


def test_read_only_disk_is_one_message(small_disk: Path) -> None:
    store = open_store(small_disk / "runs")
    store.create("record.json", b"whole")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(LedgerError, match="Read-only file system; make it writable for this user, or give the study"):
        store.create("other.json", b"x")
    assert store.read("record.json") == b"whole"
