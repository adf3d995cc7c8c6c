"""Places for ledgers: a folder, and a bucket of a real S3-compatible server on loopback (moto's)."""

import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.ledger.ledger import Ledger


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server that lives as long as the tests."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An empty prefix of a bucket; the environment names the server, as a user's would."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "no-secret-of-anybody",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POLYTUNE_CACHE": str(tmp_path / "copies"),
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="ledgers")
    return f"s3://ledgers/{uuid.uuid4().hex}"


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger lies: each test that asks runs on a folder and on an object store."""
    return str(tmp_path / "runs") if request.param == "folder" else str(request.getfixturevalue("s3"))


@pytest.fixture
def ledger(storage: str) -> Ledger:
    """An empty ledger."""
    return Ledger(storage)


@pytest.fixture
def another(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Ledger]:
    """The same ledger as another machine sees it: nothing of an object store is copied there yet."""

    def make() -> Ledger:
        monkeypatch.setenv("POLYTUNE_CACHE", str(tmp_path / f"copies-{uuid.uuid4().hex}"))
        return Ledger(storage)

    return make
