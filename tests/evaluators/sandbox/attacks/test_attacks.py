"""Sets every hostile program against the sandbox, in both classes, as root and as nobody."""

from typing import Any

import pytest

from attacks import ATTACKS
from attacks.audience import start, users

pytestmark = pytest.mark.slow

# Where a problem's tests need the candidate's own objects, they run beside them: what a program there
# says of itself is believed, and these pass. `strength` says so with each verdict.
BELIEVED_IN_PROCESS = {"always equal, in process", "frames, in process", "compile and exec, in process"}


@pytest.fixture(scope="module", params=[(c, u) for c in ("strict", "landlock") for u in users()], ids=str)
def outcomes(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    isolation, user = request.param
    return {o["name"]: o for o in start("attacks.campaign", ["--isolation", isolation], user=user)}


def test_there_are_attacks_of_every_kind() -> None:
    kinds = [attack.kind for attack in ATTACKS]
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60
    assert min(kinds.count(kind) for kind in ("forges", "reaches", "exhausts", "lingers")) >= 15


def test_none_passes_that_should_not(outcomes: dict[str, dict[str, Any]]) -> None:
    assert len(outcomes) == len(ATTACKS)
    passed = {o["name"] for o in outcomes.values() if o["verdict"] == "passed" and o["kind"] != "lingers"}
    assert passed <= BELIEVED_IN_PROCESS


def test_none_reaches_outside(outcomes: dict[str, dict[str, Any]]) -> None:
    assert [o for o in outcomes.values() if o["outside"] or o["contacts"]] == []


def test_none_leaves_a_process(outcomes: dict[str, dict[str, Any]]) -> None:
    assert [o for o in outcomes.values() if o["left"]] == []


def test_none_reaches_the_next_sample(outcomes: dict[str, dict[str, Any]]) -> None:
    assert [o for o in outcomes.values() if o["follower"] == "passed" or o["after"] != "passed"] == []


def test_none_escapes_its_verdict(outcomes: dict[str, dict[str, Any]]) -> None:
    waiting = {attack.name for attack in ATTACKS if attack.waits}
    escaped = {o["name"] for o in outcomes.values() if o["verdict"] in ("fault", "unjudged")}
    assert escaped <= waiting
