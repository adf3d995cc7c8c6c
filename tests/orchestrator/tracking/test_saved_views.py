"""Views that MLflow's pages open on, read as those pages read them."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from tracked_studies import make_room

from orchestrator.tracking.savedviews import make_offer, saved_views

METRICS = {"pass_at_1", "bleu", "hours", "generation/python/pass_at_1", "train/loss", "counts/empty"}


def unpacked(tag: str) -> dict[str, Any]:
    """The state in a tag, as MLflow unpacks it."""
    found = json.loads(tag)
    assert found.keys() == {"name", "createdAt", "updatedAt", "state"}
    head, _, packed = found["state"].partition(";")
    assert head == "deflate"
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def views(tmp_path: Path, methods: dict[str, Any]) -> dict[str, dict[str, Any]]:
    room = make_room(tmp_path, "unused", name="viewed", methods=methods)
    offer = make_offer(room.study, room.trials, metrics=METRICS)
    return {name.rpartition(".")[2]: unpacked(tag) for name, tag in saved_views(offer).items()}


RANKS = {f"r{rank}": {"kind": "lora", "lora": {"rank": rank}} for rank in (2, 4, 8)}


def test_table_is_ordered_by_the_score_and_shows_what_differs(tmp_path: Path) -> None:
    table = views(tmp_path, RANKS)["scores"]
    assert (table["orderByKey"], table["orderByAsc"]) == ("metrics.`pass_at_1`", False)
    assert table["selectedColumns"] == [
        "params.`method`",
        "metrics.`pass_at_1`",
        "metrics.`bleu`",
        "metrics.`hours`",
        "params.`training.lora.rank`",
        "metrics.`generation/python/pass_at_1`",
    ]


def test_charts_are_settings_with_score_and_cost_and_curves_and_nothing_else(tmp_path: Path) -> None:
    charts = views(tmp_path, RANKS)["charts"]
    shown = [card for card in charts["compareRunCharts"] if not card["deleted"]]
    assert [card["type"] for card in shown] == ["PARALLEL", "SCATTER", "PARALLEL", "SCATTER", "LINE"]
    assert shown[0]["selectedParams"] == ["method", "training.lora.rank"]
    assert shown[0]["selectedMetrics"] == ["hours", "pass_at_1"]
    removed = {card["metricKey"] for card in charts["compareRunCharts"] if card["deleted"]}
    assert removed == METRICS - {"train/loss"}
    places = {section["uuid"] for section in charts["compareRunSections"]}
    assert {card["metricSectionId"] for card in shown} == places


def test_a_setting_of_two_values_is_no_axis_so_that_the_frozen_model_is_drawn(tmp_path: Path) -> None:
    few = {"frozen": {"kind": "frozen"}} | {name: RANKS[name] for name in ("r2", "r4")}
    charts = views(tmp_path, few)["charts"]
    assert charts["compareRunCharts"][0]["selectedParams"] == ["method"]
