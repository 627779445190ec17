"""Real against simulated: pins, motion and light are recovered from drawn frames; the command writes what it says."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import real_frames
import torch
from real_frames import REALDATA
from test_report import Page
from tiny_dataset import write_dataset

from sarl_training.cli import main
from sarl_training.realism import picture, press_order
from sarl_training.realism.comparison import Row, compare
from sarl_training.realism.frames import list_frames, read_frame
from sarl_training.realism.pins import detect_pins, pin_motion
from sarl_training.realism.simulated import simulated_units
from sarl_training.realism.statistics import SIZE_PX, Figure, Measured, measure, radius_px
from sarl_training.simulation.contact import pin_layout

ROOT = Path(__file__).resolve().parents[1]
PITCH_PX = 11.0
FEW = ["--units", "2", "--contacts", "2", "--device", "cpu"]


def hexagon() -> np.ndarray:
    """127 pins, nearest neighbours PITCH_PX apart."""
    steps = range(-6, 7)
    cells = [(q + r / 2, r * 3**0.5 / 2) for q in steps for r in steps if abs(q + r) <= 6]
    return PITCH_PX * np.array(cells) + SIZE_PX / 2 + 0.3


def paint(pins_P2: np.ndarray, level_HW: np.ndarray | float = 150.0, bright: bool = False) -> np.ndarray:
    """Soft discs of 4 px at sub-pixel places on a background, in a dark border."""
    shade = np.broadcast_to(np.asarray(level_HW, float), (SIZE_PX, SIZE_PX)).copy()
    shade[radius_px() > 109] = 15
    row, column = np.mgrid[:SIZE_PX, :SIZE_PX] + 0.5
    for x, y in pins_P2:
        cover = 1 / (1 + np.exp((np.hypot(column - x, row - y) - 2.0) / 0.35))
        shade = shade * (1 - cover) + (200 if bright else 35) * cover
    return np.repeat(shade.round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("bright", [False, True])
def test_pins_are_found_where_they_are(bright: bool) -> None:
    image = paint(hexagon(), 20.0 if bright else 150.0, bright)
    found = detect_pins(image, bright)
    assert len(found) == 127
    assert np.linalg.norm(hexagon()[:, None] - found, axis=2).min(1).max() < 0.25


def test_an_object_edge_is_no_pin() -> None:
    background = np.full((SIZE_PX, SIZE_PX), 120.0)
    background[100:120, 40:190] = 240
    assert len(detect_pins(paint(hexagon(), background), False)) == 127


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.5, -2.0), (9.0, 4.0)])
def test_motion_is_followed_through_stretch_and_shift(shift: tuple[float, float]) -> None:
    """Also where pins move nearly a whole spacing, so that the nearest pin is a wrong one."""
    rest = hexagon()
    offset = (rest - SIZE_PX / 2) / 70
    true = 4 * offset * np.exp(-(offset**2).sum(1, keepdims=True)) + shift
    rng = np.random.default_rng(0)
    found = rng.permutation(rest + true)[3:]
    motion = pin_motion(rest, found)
    seen = np.isfinite(motion[:, 0])
    assert seen.sum() == 124 and np.abs(motion - true)[seen].max() < 1e-9


def test_too_few_pins_are_not_followed() -> None:
    assert (
        np.isnan(pin_motion(hexagon(), hexagon()[:5])).all() and np.isnan(pin_motion(np.zeros((0, 2)), hexagon())).all()
    )


def test_figures_of_drawn_frames() -> None:
    rest = hexagon()
    level = 200 - radius_px()
    frames = np.stack([paint(rest + np.array([step, 0]), level) for step in (1.0, 2.0, 3.0)])
    figures = measure(frames, paint(rest, level), "vitactip").figures
    value = {name: figure.value for name, figure in figures.items()}
    assert value["pins found"] == 127
    assert value["pin spacing (nearest neighbour, median)"] == pytest.approx(PITCH_PX, abs=0.1)
    assert value["pins off the image centre"] == pytest.approx(0.3 * 2**0.5, abs=0.05)
    assert value["pin motion, mean"] == pytest.approx(2.0, abs=0.05)
    assert value["pin motion against each other, mean"] < 0.1
    assert value["pin diameter"] == pytest.approx(4.1, abs=0.5)
    assert value["brightness, rim"] == pytest.approx(200 - 93, abs=1.5)
    assert value["red less blue, centre"] == 0
    assert value["sharpness at rest, rim (median)"] == pytest.approx(100 / (200 - 93 + 8), rel=0.1)  # slope 1 a px
    assert value["noise of the grey value"] < 0.7


def test_noise_and_colour_are_measured() -> None:
    rng = np.random.default_rng(0)
    frames = (np.array([140.0, 120, 100]) + rng.normal(0, 3, (3, SIZE_PX, SIZE_PX, 1))).round().astype(np.uint8)
    figures = measure(frames, None, "vitac").figures
    assert figures["noise of the grey value"].value == pytest.approx(3, rel=0.1)
    assert figures["red less blue, inner"].value == pytest.approx(40, abs=0.1)
    assert not any("pin" in name and "pixels" not in name for name in figures)


def test_blur_lowers_sharpness() -> None:
    rng = np.random.default_rng(0)
    sharp = np.repeat(rng.integers(100, 200, (3, SIZE_PX, SIZE_PX, 1), np.uint8), 3, axis=3)
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in sharp])
    name = "sharpness in contact, inner (median)"
    assert measure(soft, None, "vitac").figures[name].value < 0.3 * measure(sharp, None, "vitac").figures[name].value


def test_simulated_pins_are_found_and_move_under_contact() -> None:
    unit = next(simulated_units("vitactip", "plate", 1, 2, 0, torch.device("cpu")))
    assert len(detect_pins(unit.rest_HWC, False)) in (len(pin_layout("rings")), len(pin_layout("hexagonal")))
    figures = measure(unit.frames_NHWC, unit.rest_HWC, "vitactip").figures
    assert figures["pin motion outward, mean"].value > 0.5 and figures["pins followed"].value > 0.97


def test_inside_and_outside_by_percentiles() -> None:
    def unit(value: float) -> Measured:
        return Measured({"a": Figure(value, "px", "unit")}, *([np.zeros(1)] * 4))

    simulated = [unit(value) for value in range(101)]
    for value, where in ((4.9, "below"), (5.0, "inside"), (95.0, "inside"), (95.1, "above")):
        (row,) = compare(unit(value), simulated)
        assert row == Row("a", "px", "unit", value, 5.0, 50.0, 95.0) and row.where == where
    assert compare(unit(float("nan")), simulated) == []


def test_gain_matches_the_mean_colour() -> None:
    real = np.full((2, 64, 64, 3), (50, 100, 200), np.uint8)
    simulated = np.full((2, 96, 96, 3), (100, 100, 100), np.uint8)
    assert press_order.channel_gain(real, simulated) == pytest.approx([2, 1, 0.5])
    assert press_order.spearman(np.array([1.0, 2, 5, 9])) == pytest.approx(1, abs=1e-5)
    assert press_order.spearman(np.array([3.0, 2, 1])) == pytest.approx(-1, abs=1e-5)


# ------------------------------------------------------------------------------------------------------- command


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Five camera frames of one press, the sensor in a part of them, and one at rest beside."""
    path = tmp_path_factory.mktemp("camera") / "frames"
    path.mkdir()
    for step in range(6):
        camera = np.zeros((300, 400, 3), np.uint8)
        camera[40:264, 100:324] = paint(hexagon() + np.array([0.7 * step, 0]))
        cv2.imwrite(str(path / f"press-{step}.png" if step else path.parent / "rest.png"), camera)
    return path


def test_the_command_writes_page_picture_table_and_numbers(folder, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    words = ["--region", "100", "40", "224", "224", "--rest", str(folder.parent / "rest.png"), "--touched", "plate"]
    model = ["--ranking-model", str(ROOT / "models" / "vitactip_sim.onnx")]
    assert main(["report", "--realism", str(folder), "--out", str(out), *words, *model, *FEW]) == 0
    said = capsys.readouterr().out
    assert "inside the 5 to 95 % range" in said and "mean pin motion (no model), raw 1.00\n" in said
    facts = json.loads((out / "realism.json").read_text())
    named = {row["name"]: row for row in facts["figures"]}
    assert named["pins found"]["real"] == 127 and named["pin motion, mean"]["real"] == pytest.approx(2.1, abs=0.05)
    assert all(row["where"] == Row(*list(row.values())[:-1]).where for row in facts["figures"])
    assert facts["press_order_spearman"]["mean pin motion (no model)"]["raw"] == pytest.approx(1, abs=1e-5)
    assert set(facts["press_order_spearman"]["edge_pose z"]) == {"raw", "gain"}
    page = Page(out / "realism.html")
    assert page.headings[-1] == "Does a model rank the press" and len(page.headings) == 3
    assert page.fetched and all(link.startswith("data:image/png;base64,") for link in page.fetched)
    outside = [row for row in facts["figures"] if row["where"] != "inside"]
    table = (out / "realism.md").read_text()
    assert outside and all(row["name"] in table for row in outside) and "| inside |" not in table
    assert (out / "realism.png").read_bytes().startswith(b"\x89PNG") and (out / "realism.png").stat().st_size < 300_000


def test_every_axis_of_the_picture_says_what_it_shows(monkeypatch) -> None:
    frames = np.stack([paint(hexagon())] * 2)
    unit, save, labels = measure(frames, None, "vitactip"), picture.Figure.savefig, []

    def spied(figure, *words, **settings):
        labels.extend(axis.get_xlabel() for axis in figure.axes if axis.axison)
        return save(figure, *words, **settings)

    monkeypatch.setattr(picture.Figure, "savefig", spied)
    picture.draw(frames, unit, [frames], [unit], [Row("pins found", "", "", 127, 120, 125, 130)])
    assert len(labels) == 3 and all(labels)


def test_frames_that_cannot_be_used_are_refused(folder, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    simulated = write_dataset(tmp_path / "simulated", {"edge_pose": 5})
    real = write_dataset(tmp_path / "real", {"edge_pose": 5}, info={"simulated": False})
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "no.onnx").write_bytes(b"not a model")
    for words, status, message in (
        ([tmp_path / "none"], 3, "no such folder"),
        ([empty], 3, "0 frames, at least 3"),
        ([simulated], 3, "simulated frames"),
        ([real, "--sensor", "tactip"], 3, "no frames of tactip; there are vitactip"),
        ([folder, "--region", "300", "0", "200", "200"], 3, "400x300 pixels, --region 300 0 200 200 leads out"),
        ([folder, "--rest", tmp_path / "rest.png"], 3, "rest.png"),
        ([folder, "--ranking-model", tmp_path / "no.onnx"], 3, "not a model"),
        ([folder, "--units", "1"], 2, "--units 1: at least 2"),
        ([folder, "--region", "-1", "0", "9", "9"], 2, "x y from 0"),
        ([folder, "--sensor", "gelsight"], 2, "gelsight"),
    ):
        assert main(["report", "--realism", *map(str, words), "--out", str(out)]) == status, words
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1, said
    assert not out.exists()


def test_help_is_that_of_the_comparison(capsys) -> None:
    assert main(["report", "--realism", "--help"]) == 0
    assert "--ranking-model" in capsys.readouterr().out
    assert main(["report", "--help"]) == 0
    assert "--realism" in capsys.readouterr().out


@real_frames.needed
@pytest.mark.parametrize("skin", ["ViTacTip", "TacTip"])
def test_every_pin_of_the_real_unit_is_found(skin: str) -> None:
    """137 pins in each of the 11 frames, nearly all followed."""
    paths = list_frames(REALDATA / "vitactip_bar" / "images" / skin, skin.lower())
    figures = measure(np.stack([read_frame(path, None, SIZE_PX) for path in paths]), None, skin.lower()).figures
    value = {name: figure.value for name, figure in figures.items()}
    assert value["pins found"] == 137 and value["pins followed"] > 0.98 and 0.3 < value["pin motion, mean"] < 3
