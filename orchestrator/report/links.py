"""Addresses within the page: from a figure to the programs behind it.

One decision: an address is a filter of the sample browser in its own language, so what a link shows can be read in the
browser's fields and changed there.
"""

from urllib.parse import urlencode

from orchestrator.report.evidence import Arm, Place
from orchestrator.report.findings import Findings
from orchestrator.report.scores import PASS
from orchestrator.report.verdicts import Verdict


def link_failures(arm: Arm, place: Place) -> str:
    """The programs of an arm at a place that fail."""
    return _address(f"{_quote(arm.title)} fails", track=place.track)


def link_ends(trial: str, place: Place, end: str) -> str:
    """The outputs of a trial at a place, by its name in the report, that came to an end such as `timeout`."""
    return _address(f"{_quote(trial)} {'passes' if end == 'passed' else end}", track=place.track)


def link_verdict(findings: Findings, verdict: Verdict, *, ahead: bool) -> str:
    """Programs on which the two sides of a verdict differ: the first passes (`ahead`), or the second does."""
    if verdict.metric != PASS:
        return ""
    several = len({arm.model for arm in findings.evidence.arms}) > 1
    names = [f"{verdict.model} {way}" if several else way for way in (verdict.first, verdict.second)]
    passing, failing = names if ahead else names[::-1]
    return _address(f"{_quote(passing)} passes and {_quote(failing)} fails")


def _quote(name: str) -> str:
    return f"'{name}'" if '"' in name else f'"{name}"'


def _address(where: str, *, track: str = "") -> str:
    chosen = {"track": track, "where": where} if track else {"where": where}
    return f"#samples&{urlencode(chosen)}"


__all__ = ["link_ends", "link_failures", "link_verdict"]
