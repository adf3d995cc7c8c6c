"""The pictures: each is drawn where the study has something for it, shows what it says, and can be told apart."""

import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from planted_study import find_planted, plant_study
from report_samples import make_study

from orchestrator.report import find
from orchestrator.report.curves import draw_curves, draw_track_curves
from orchestrator.report.findings import Findings
from orchestrator.report.gallery import DRAWINGS, list_pictures
from orchestrator.report.interference import build_interference_table, draw_interference, list_effects
from orchestrator.report.pictures import NARROW, PALETTE, WIDE, Frame, choose_colour, drawing_style, render_svg
from orchestrator.report.plots import draw_forest, draw_overview
from orchestrator.report.results import StudyResults
from orchestrator.report.tradeoffs import draw_correctness, draw_frontier, draw_scaling, list_points
from trainers.methods.table import MethodKind

STYLE = files("orchestrator.report").joinpath("page.css").read_text(encoding="utf-8")
LIGHT, DARK = (dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in STYLE.split("prefers-color-scheme: dark", 1))
# How colours look to those who lack a kind of cone, on linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
SEEN: Mapping[str, list[list[float]]] = {
    "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.fixture(scope="module")
def planted() -> Findings:
    return find_planted()


@pytest.fixture(scope="module")
def small() -> Findings:
    return find(make_study(problems=30))


def texts_of(drawn: object) -> str:
    with drawing_style():
        return render_svg(drawn, name="n", title="t", description="d")  # type: ignore[arg-type]


def test_every_picture_is_drawn_of_a_study_that_has_all(planted: Findings) -> None:
    names = [picture.name for picture in list_pictures(planted)]
    assert names == [drawing.name for drawing in DRAWINGS if drawing.name != "curves"]
    assert all(drawing.title and drawing.caption.endswith(".") for drawing in DRAWINGS)


def test_pictures_without_anything_to_show_are_left_out(small: Findings) -> None:
    names = {picture.name for picture in list_pictures(small, frame=NARROW)}
    assert {"overview", "forest", "interference", "curves"} <= names
    assert not {"scaling", "curves-by-track"} & names
    bare = find(StudyResults(study="bare", question="", trials=(), rows=(), cells=()))
    assert list(list_pictures(bare)) == []


@pytest.mark.parametrize("frame", [WIDE, NARROW])
def test_overview_has_a_panel_for_each_measure(small: Findings, frame: Frame) -> None:
    figure = draw_overview(small, frame)
    assert figure is not None
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert len(shown) == len(small.measures)
    assert figure.get_figwidth() == frame.width


@pytest.mark.parametrize("frame", [WIDE, NARROW])
def test_forest_shows_every_difference_with_zero_in_sight(small: Findings, frame: Frame) -> None:
    figure = draw_forest(small, frame)
    assert figure is not None
    tested = [item for item in small.contrasts if item.points is not None]
    dots = [line for panel in figure.axes for line in panel.lines if line.get_marker() in ("o", "D")]
    assert len(dots) == len(tested)
    for panel in figure.axes:
        low, high = panel.get_xlim()
        assert low < 0 < high


def test_forest_of_several_models_gives_each_question_one_scale(planted: Findings) -> None:
    figure = draw_forest(planted, WIDE)
    assert figure is not None and len(figure.axes) == 9
    limits = [panel.get_xlim() for panel in figure.axes]
    assert limits[0] == limits[3] == limits[6] != limits[1]


def test_interference_is_together_less_alone_at_each_place(small: Findings) -> None:
    effects = list_effects(small)
    assert {effect.measure.place.task for effect in effects} == {"generation", "translation"}
    for effect in effects:
        contrast = next(item for item in small.contrasts if item.measure == effect.measure)
        assert effect.points == pytest.approx(contrast.points)
        assert effect.interval and effect.interval.low < effect.points < effect.interval.high


def test_interference_of_one_seed_gone_astray_is_not_called_clear(planted: Findings) -> None:
    """Problems alone would give each of these effects a narrow interval far from zero."""
    astray = [effect for effect in list_effects(planted) if effect.model == "coder-7b"]
    assert len(astray) == 6
    assert all(effect.points < 0 and effect.seeds == 3 and not effect.is_clear for effect in astray)


def test_interference_table_and_picture_have_the_same_entries(planted: Findings) -> None:
    table, figure = build_interference_table(planted), draw_interference(planted, WIDE)
    assert figure is not None
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert len(table.rows) == 3
    assert {cell.text for row in table.rows for cell in row[table.label_count :]} <= texts


def test_interference_on_a_telephone_goes_down_the_side(planted: Findings) -> None:
    figure = draw_interference(planted, NARROW)
    assert figure is not None
    assert len(figure.axes[0].get_yticks()) == 6 and len(figure.axes[0].get_xticks()) == 3


def test_point_is_the_mean_over_tracks_and_seeds_with_the_range_of_seeds(planted: Findings) -> None:
    points = {(p.cost.model, p.cost.way): p for p in list_points(planted, "pass@1")}
    assert len(points) == 12
    astray, calm = points["coder-7b", "qlora-together"], points["coder-7b", "qlora-apart"]
    assert astray.high - astray.low > 20 > calm.high - calm.low
    assert astray.low < astray.score < astray.high


def test_way_that_lacks_a_track_has_no_point(small: Findings) -> None:
    ways = {point.cost.way for point in list_points(small, "bleu")}
    assert "qlora together" in ways and "qlora apart" not in ways


def test_frontier_joins_what_nothing_beats(planted: Findings) -> None:
    figure = draw_frontier(planted, WIDE)
    assert figure is not None
    steps = next(line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post")
    scores = list(np.asarray(steps.get_ydata(), dtype=float))
    assert len(scores) > 2 and scores == sorted(scores)
    assert "mathdefault" not in texts_of(figure)


def test_frozen_model_far_below_does_not_press_the_others_together(small: Findings) -> None:
    figure = draw_frontier(small, WIDE)
    assert figure is not None
    panel = figure.axes[0]
    assert any(text.get_text().startswith("frozen, below") for text in panel.texts)
    low, high = panel.get_ylim()
    assert high - low < 30


def test_scaling_has_a_line_for_each_way_over_all_sizes(planted: Findings) -> None:
    figure = draw_scaling(planted, WIDE)
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if len(np.asarray(line.get_xdata())) == 3]
    assert {str(line.get_label()) for line in lines} == {"frozen", "qlora-together", "qlora-apart", "full-together"}
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["500 M", "1.5 G", "7.6 G"]


def test_correctness_stands_against_messages_beyond_the_references(planted: Findings) -> None:
    figure = draw_correctness(planted, WIDE)
    assert figure is not None
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title() for panel in shown] == [
        place.title for place in planted.evidence.places if place.writes_code
    ]
    # The references have half a message; outputs have two on average, those of full fine-tuning 1.2 more.
    heights = [float(np.asarray(line.get_ydata())[0]) for line in shown[0].lines if line.get_marker() == "D"]
    assert heights and all(1.3 < height < 1.7 for height in heights)


def test_curves_by_track_have_a_line_for_each_way_and_seed() -> None:
    found = find(plant_study(problems=8, models=("coder-0.5b",), seeds=(1, 2)))
    figure = draw_track_curves(found, WIDE)
    assert figure is not None and draw_curves(found, WIDE) is None
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert len(panels) == 6
    lines = [line for line in panels[0].lines if line.get_linestyle() != "None"]
    assert len(lines) == 6
    assert len({(line.get_color(), str(line.get_linestyle())) for line in lines}) == 3


def test_curve_that_knows_no_tracks_is_drawn_whole(small: Findings) -> None:
    figure = draw_curves(small, WIDE)
    assert figure is not None and draw_track_curves(small, WIDE) is None
    without = replace(small.results, trials=tuple(replace(trial, curve=()) for trial in small.results.trials))
    assert draw_curves(find(without), WIDE) is None


def test_drawing_twice_gives_the_same_bytes(small: Findings) -> None:
    first, second = (texts_of(draw_forest(small, WIDE)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_methods_differ_in_colour_for_every_reader(seen: str, theme: str) -> None:
    colours = {kind: DARK[kind] if theme == "dark" else choose_colour(kind) for kind in (*MethodKind, "other")}
    apart = {
        pair: float(np.linalg.norm(look(colours[pair[0]], seen) - look(colours[pair[1]], seen)))
        for pair in combinations(colours, 2)
    }
    # Twice what is just noticed between patches far from each other.
    assert min(apart.values()) > 10, apart


def look(colour: str, seen: str) -> "np.ndarray":
    """A colour in CIELAB (D65) as somebody sees it."""
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SEEN[seen]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ linear / np.array([0.9505, 1.0, 1.089]), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_page_has_the_colours_of_the_pictures() -> None:
    assert PALETTE.items() <= LIGHT.items() and PALETTE.keys() <= DARK.keys()


def test_no_two_roles_share_a_colour() -> None:
    assert len(set(PALETTE.values())) == len(PALETTE)
