"""The judge: asked over HTTP on loopback, several times, once for ever."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evaluators.similarity import JudgeSettings, MissingError, score_pairs
from evaluators.similarity.judge import read_score

KEY = "key-that-must-not-be-written"


class Endpoint(ThreadingHTTPServer):
    """Chat completions whose score is 50 and ten for each run, or what `status` and `words` say."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.statuses: list[int] = []
        self.words = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers["Authorization"])
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        words = self.server.words or json.dumps({"score": 50 + 10 * body["seed"]})
        answer = json.dumps({"choices": [{"message": {"content": words}}]}).encode()
        self.send_response(status if self.path == "/v1/chat/completions" else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings_of(endpoint: Endpoint, folder: Path, **changes: Any) -> JudgeSettings:
    return JudgeSettings(**{"url": endpoint.url, "model": "judge-1", "cache": folder / "judge"} | changes)


def judge(settings: JudgeSettings, outputs: list[str], references: list[str]) -> Any:
    return score_pairs(outputs, references, metrics=["judge"], judge=settings)


def test_score_is_the_mean_of_several_runs_and_is_asked_for_once(endpoint: Endpoint, tmp_path: Path) -> None:
    settings = settings_of(endpoint, tmp_path)
    scores = judge(settings, ["adds", ""], ["sums", "sums"])
    assert scores.per_instance["judge"] == (60.0, 0.0)
    assert "model:judge-1" in scores.signatures["judge"] and "runs:3" in scores.signatures["judge"]
    assert len(endpoint.requests) == 3
    assert judge(settings, ["adds", ""], ["sums", "sums"]) == scores
    assert len(endpoint.requests) == 3
    judge(settings_of(endpoint, tmp_path, model="judge-2"), ["adds"], ["sums"])
    assert len(endpoint.requests) == 6


def test_key_is_sent_and_never_written(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYTUNE_JUDGE_KEY", KEY)
    scores = judge(settings_of(endpoint, tmp_path), ["adds"], ["sums"])
    assert set(endpoint.keys) == {f"Bearer {KEY}"}
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 3
    assert KEY not in "".join(written) + str(scores)


def test_busy_server_is_asked_again(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.statuses = [429]
    assert judge(settings_of(endpoint, tmp_path, runs=1), ["adds"], ["sums"]).per_instance["judge"] == (50.0,)
    assert len(endpoint.requests) == 2


def test_answer_without_a_score_leaves_the_pair_unscored_with_a_note(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.words = "I would rather not say."
    scores = judge(settings_of(endpoint, tmp_path), ["adds"], ["sums"])
    assert scores.per_instance["judge"] == (None,)
    assert scores.corpus["judge"] is None
    assert scores.notes["judge"] == ("pair 1: none of 3 answers held a score",)


def test_refusal_says_what_is_missing_and_keeps_what_was_answered(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POLYTUNE_JUDGE_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings = settings_of(endpoint, tmp_path, concurrency=1)
    endpoint.statuses = [200, 401]
    with pytest.raises(MissingError, match="POLYTUNE_JUDGE_KEY"):
        judge(settings, ["adds"], ["sums"])
    assert any(settings.cache.iterdir())


def test_endpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = JudgeSettings(url="http://127.0.0.1:9/v1", model="m", cache=tmp_path)
    with pytest.raises(MissingError, match=r"http://127\.0\.0\.1:9/v1 gives no answer"):
        judge(nowhere, ["adds"], ["sums"])


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ('{"score": 80}', 80.0),
        ('Here: ```json\n{"score": "75.5"}\n```', 75.5),
        ("90", 90.0),
        ('{"score": 250}', None),
        ("eighty", None),
    ],
)
def test_score_is_read_from_an_answer(answer: str, score: float | None) -> None:
    assert read_score(answer) == score
