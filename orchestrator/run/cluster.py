"""Looks after a cluster while a study runs on it: whether its head answers, and what the study waits for.

One decision: Ray waits for ever for a node that could do what is asked, and for a minute for a head that is gone, and
says nothing of either. Both are asked of the cluster's own state every few seconds, in a thread that holds up nothing.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator.study.resources import Resources, cluster_address

_EVERY_S = 5.0
# A head under load may be slow to answer; Ray itself gives up, and ends this process, after 60 s.
_SILENT_S = 20.0
# When a demand that waits is spoken of: soon, and then again ever more rarely.
_FIRST_S, _AGAIN_S = 5.0, 60.0
_NAMED = ("CPU", "GPU")
_DEAD = 2  # NodeStatus.DEAD of Ray's autoscaler.proto

Bundle = Mapping[str, float]


class ClusterWatch:
    """Watches the cluster that a study has joined, as a context manager; does nothing for a Ray of our own.

    Args:
        resources: Whose `address` was joined.
        note: Is told what the study waits for, in one line.
    """

    def __init__(self, resources: Resources, *, note: Callable[[str], None]) -> None:
        self._joined = cluster_address(resources) is not None
        self._note = note
        self._stop, self._silent = threading.Event(), False
        self._thread = threading.Thread(target=self._watch, name="cluster", daemon=True)
        self.lost = ""

    def __enter__(self) -> "ClusterWatch":
        import ray

        if self._joined:
            self._address: str = ray.get_runtime_context().gcs_address
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def verdict(self) -> str:
        """Why the cluster is lost, once that is decided; nothing if its head answers. Waits, so ask after an error."""
        # Long enough for one look that begins after this.
        until = time.monotonic() + 2 * _EVERY_S + 1
        while self._joined and not self.lost and (self._silent or time.monotonic() < until):
            time.sleep(0.2)
        return self.lost

    def _watch(self) -> None:
        from ray import _raylet

        raylet: Any = _raylet
        client = raylet.GcsClient(address=self._address)
        heard = time.monotonic()
        waits = _Waits()
        while not self._stop.wait(_EVERY_S):
            try:
                state = _state(client)
                self._silent = False
            except Exception:  # whatever Ray raises here means that the head did not answer
                self._silent = True
                if time.monotonic() - heard > _SILENT_S:
                    self.lost = self._in_words()
                    return
                continue
            heard = time.monotonic()
            if line := waits.line(unmet(state), now=heard):
                self._note(f"{line}{_doing(client, self._address)}")

    def _in_words(self) -> str:
        return (
            f"the cluster's head ({self._address}) has not answered for {_SILENT_S:.0f} s, so it is lost; what was "
            "finished is in the ledger: start the cluster again (`ray up FILE`), then give the same command to go on"
        )


class _Waits:
    """When what waits is to be spoken of."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._next: dict[str, float] = {}

    def line(self, waiting: Counter[str], *, now: float) -> str:
        """One line on all that waits, if it is time for one."""
        self._since = {what: self._since.get(what, now) for what in waiting}
        due = [what for what, since in self._since.items() if now >= self._next.get(what, since + _FIRST_S)]
        if not due:
            return ""
        for what in due:
            # A minute, two, four: a quota may take a day.
            self._next[what] = now + max(_AGAIN_S, now - self._since[what])
        longest = max(now - self._since[what] for what in due)
        return (
            f"waiting for {longest:.0f} s: {', '.join(f'{waiting[what]} x {what}' for what in due)}; no node that is "
            "there has it"
        )


def _state(client: Any) -> Any:
    from ray.core.generated import autoscaler_pb2

    messages: Any = autoscaler_pb2
    reply = messages.GetClusterResourceStateReply()
    reply.ParseFromString(client.get_cluster_resource_state(timeout_s=_EVERY_S))
    return reply.cluster_resource_state


def unmet(state: Any) -> Counter[str]:
    """What is asked for and fits no node that is there, however idle it were: in words, and how often."""
    nodes = [dict(node.total_resources) for node in state.node_states if node.status != _DEAD]
    found: Counter[str] = Counter()
    for asked in state.pending_resource_requests:
        bundle = dict(asked.request.resources_bundle)
        # Work inside a placement group waits for the group, which is among the gangs below.
        if not any("_group_" in name for name in bundle) and not _fits(bundle, nodes):
            found[in_words(bundle)] += asked.count
    for gang in state.pending_gang_resource_requests:
        bundles = [dict(request.resources_bundle) for request in gang.requests]
        lacking = [bundle for bundle in bundles if not _fits(bundle, nodes)]
        if not lacking and not _together(bundles, nodes):
            lacking = [_sum(bundles)]
        for bundle in lacking:
            found[in_words(bundle)] += 1
    return found


def _fits(bundle: Bundle, nodes: Iterable[Bundle]) -> bool:
    return any(all(node.get(name, 0.0) >= amount for name, amount in bundle.items()) for node in nodes)


def _together(bundles: Iterable[Bundle], nodes: Iterable[Bundle]) -> bool:
    have = _sum(nodes)
    return all(have.get(name, 0.0) >= amount for name, amount in _sum(bundles).items())


def _sum(bundles: Iterable[Bundle]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for bundle in bundles:
        total.update(bundle)
    return dict(total)


def in_words(bundle: Bundle) -> str:
    """What is asked for: `CPU 4, GPU 1`."""
    named = [name for name in _NAMED if name in bundle] + sorted(name for name in bundle if name not in _NAMED)
    return "(" + ", ".join(f"{name} {bundle[name]:g}" for name in named) + ")"


def _doing(client: Any, address: str) -> str:
    """What the cluster's autoscaler does about it, as far as it tells."""
    with contextlib.suppress(Exception):  # said for the reader's comfort alone
        text = client.internal_kv_get(b"__autoscaling_status", None)
        report = json.loads(text).get("autoscaler_report") if text else None
        return told_by_first(report) if report else _told_by_second(address)
    return ""


def told_by_first(report: Mapping[str, Any]) -> str:
    """What Ray's first autoscaler reports of nodes under way and of those that failed."""
    coming = Counter({str(kind): int(count) for kind, count in (report.get("pending_launches") or {}).items()})
    coming.update(str(node[1]) for node in report.get("pending_nodes") or ())
    failed = Counter(str(node[1]) for node in report.get("failed_nodes") or ())
    away = (report.get("node_availability_summary") or {}).get("node_availabilities") or {}
    reasons = [
        f"{kind}: {record['unavailable_node_information']['description']}"
        for kind, record in away.items()
        if not record.get("is_available") and record.get("unavailable_node_information")
    ]
    return _said(coming, failed, reasons)


def _told_by_second(address: str) -> str:
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(address, timeout=int(_EVERY_S))
    coming = Counter({launch.ray_node_type_name: launch.count for launch in status.pending_launches})
    coming.update(node.ray_node_type_name for node in status.pending_nodes)
    failed = Counter(node.ray_node_type_name for node in status.failed_nodes)
    return _said(coming, failed, [f"{f.ray_node_type_name}: {f.details}" for f in status.failed_launches])


def _said(coming: Counter[str], failed: Counter[str], reasons: Iterable[str]) -> str:
    parts = [
        *(f"{count} {kind} under way" for kind, count in coming.items()),
        *(f"{count} {kind} failed to start" for kind, count in failed.items()),
        *reasons,
    ]
    return f" ({'; '.join(parts)}; `ray monitor FILE` tells more)" if parts else " (nothing is being started)"


__all__ = ["ClusterWatch", "in_words", "told_by_first", "unmet"]
