"""The report of a run: verdicts on drawn curves, pictures against the geometry, a page that loads nothing."""

import html.parser
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from tiny_dataset import bar_image

from sarl_training import pretrain
from sarl_training.cli import main
from sarl_training.config import to_yaml
from sarl_training.errors import UsageError
from sarl_training.methods import METHODS
from sarl_training.networks import Encoder, save_encoder
from sarl_training.pretrain_config import PretrainConfig
from sarl_training.run_folder import RunFolder
from sarl_training.run_report import keep_samples, pictures, write_report
from sarl_training.run_report.curves import SPEED, WATCHED, draw_gradient_shares, draw_panels
from sarl_training.run_report.record import Curve, RunRecord, read_run
from sarl_training.run_report.samples import KEPT, Samples, read_samples
from sarl_training.run_report.verdict import judge
from sarl_training.views import ViewConfig, ViewPlan

EPOCHS = np.arange(1, 31) / 3


def curves(**values: np.ndarray) -> dict[str, Curve]:
    alive = {"feature_std": np.full(30, 0.4), "effective_rank": np.full(30, 50.0)}
    return {name: Curve(EPOCHS, np.asarray(value)) for name, value in {**alive, **values}.items()}


def write_run(path: Path, method: str = "sarl", seed: int = 0, probe: bool = True) -> Path:
    """A run folder as the loop leaves it, with an untrained encoder."""
    torch.manual_seed(seed)
    config = PretrainConfig(method, METHODS[method].Config(), data=Path("data"), out=path, image_size=64, seed=seed)
    folder = RunFolder(path)
    origin = {"command": "sarl-train <pretrain>", "commit": "c" * 40, "simulated": True, "images": 99,
              "resumed": [{"command": "sarl-train pretrain --resume"}]}  # fmt: skip
    folder.start(to_yaml(config), {**origin, "data_sha256": "d" * 64})
    for step in range(1, 11):
        terms = {"loss": 3 / step, "global": 2 / step, "sal": 1 / step} if method == "sarl" else {"loss": 3 / step}
        shares = {"gradient/global": 1.0, "gradient/sal": 0.5} if method == "sarl" else {"gradient/global": 1.0}
        folder.log({"step": step, "epoch": step / 5, **terms, **shares, "lr": 0.1, "images_per_second": 40.0,
                    "feature_std": 0.5, "effective_rank": 40.0, "collapsed": 0.0, "memory_peak_mb": 900.0})  # fmt: skip
        if probe and step % 2 == 0:
            folder.log({"step": step, "epoch": step / 5, "probe/score": 0.5, "probe/edge_pose/x_mm": 0.3})
    save_encoder(Encoder(), path / "encoder.safetensors", {"image_size": 64})
    state = {"prototypes_KC": torch.randn(8, 256)} if method == "sarl" else {}
    folder.save_checkpoint(10, {"step": 10, "method": state})
    keep_samples(path, np.stack([bar_image(i / 40 - 1, 4 * i, 64) for i in range(80)]))
    return path


class Page(html.parser.HTMLParser):
    """Headings, and everything that a browser would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.fetched: list[str] = []
        self._in = ""
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]

    def handle_data(self, data: str) -> None:
        if self._in == "h2" and data.strip():
            self.headings.append(data.strip())


# ------------------------------------------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("given", "word", "reason"),
    [
        (curves(loss=1 / EPOCHS), "still improving", r"loss fell by \d+%"),
        (curves(loss=np.full(30, 0.3)), "healthy", "loss has levelled off"),
        (curves(loss=-1 - np.log(EPOCHS)), "still improving", "loss fell"),
        (curves(**{"probe/score": 0.8 - 0.5 / EPOCHS}), "still improving", r"rose by 0\.0\d\d"),
        (curves(**{"probe/score": 0.8 - 0.5 * np.exp(-2 * EPOCHS)}), "healthy", r"levelled off at 0\.8"),
        (curves(**{"probe/score": 0.8 - 0.003 * (EPOCHS - 5) ** 2}), "healthy", r"best at epoch 5 .*take the best"),
        (curves(feature_std=np.linspace(0.5, 0.0, 30)), "collapsed", r"since epoch 9.33 .*feature std 0\.000"),
        (curves(effective_rank=np.r_[np.full(20, 40.0), np.full(10, 1.5)]), "collapsed", r"since epoch 7 .*rank 1\.5"),
        ({}, "too short to judge", "fewer than 4"),
    ],
)  # fmt: skip
def test_verdicts(given: dict[str, Curve], word: str, reason: str) -> None:
    found = judge(given)
    assert found.word == word and re.search(reason, found.reason), found


def test_a_collapse_that_was_overcome_is_no_collapse() -> None:
    std = np.r_[np.full(10, 0.01), np.full(20, 0.5)]
    assert judge(curves(feature_std=std, loss=np.full(30, 1.0))).word == "healthy"


def test_a_probe_that_wobbles_has_levelled_off() -> None:
    wobble = 0.8 + np.random.default_rng(0).normal(0, 0.002, 30)
    assert judge(curves(**{"probe/score": wobble, "loss": 1 / EPOCHS})).word == "healthy"


# ------------------------------------------------------------------------------------------------------ pictures


def test_the_warped_view_shows_the_same_things_at_the_same_places() -> None:
    """Of an image without any colour change, view 2 warped into view 1 is view 1 inside the overlap."""
    rng = np.random.default_rng(0)
    images = np.stack([cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (96, 96)) for _ in range(6)])
    plain = ViewConfig(crop_scale=(0.4, 0.9), jitter=0, grayscale=0, blur=0)
    png = pictures.draw_warped_pairs(Samples(images, np.arange(6)), [ViewPlan(plain, 96)] * 2, seed=0)
    sheet = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).astype(int)
    tile, pitch = pictures._TILE_PX, pictures._TILE_PX + pictures._GAP_PX
    compared = 0.0
    for row in range(6):
        top = sheet.shape[0] - (6 - row) * pitch
        view1, warped = (sheet[top : top + tile, c * pitch : c * pitch + tile] for c in (1, 3))
        seen = cv2.erode((np.abs(warped - 204).max(2) > 2).astype(np.uint8), np.ones((9, 9)), borderValue=0) > 0
        compared += seen.mean()
        assert np.abs(view1 - warped)[seen].mean() < 0.3 * np.abs(view1 - np.roll(warped, 12, 1))[seen].mean()
    assert compared > 2


def test_parts_are_the_nearest_prototypes() -> None:
    torch.manual_seed(0)
    encoder, samples = Encoder(), Samples(np.stack([bar_image(0, 30 * i, 64) for i in range(5)]), np.arange(5))
    with torch.no_grad():
        cells = pictures._features(encoder, samples.images_NHWC).maps["layer3"].permute(0, 2, 3, 1).reshape(-1, 256)
    prototypes = torch.cat([cells.mean(0)[None], -cells.mean(0)[None], cells[:1]])
    parts = pictures.draw_parts(encoder, prototypes, samples)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (cells.numpy(), prototypes.numpy())]
    winner = (unit[0] @ unit[1].T).argmax(1)
    assert parts.share_K == pytest.approx(np.bincount(winner, minlength=3) / len(winner)) and parts.share_K[1] == 0
    assert parts.png.startswith(b"\x89PNG")


def test_few_images_are_kept(tmp_path: Path) -> None:
    images = np.arange(200, dtype=np.uint8)[:, None, None, None].repeat(32, 1).repeat(32, 2).repeat(3, 3)
    keep_samples(tmp_path, images)
    kept = read_samples(tmp_path)
    assert len(kept.images_NHWC) == KEPT and np.array_equal(kept.images_NHWC, images[kept.numbers_N])
    assert kept.numbers_N[0] == 0 and kept.numbers_N[-1] == 199


# ---------------------------------------------------------------------------------------------------------- page


def test_no_label_of_a_curve_is_cut_off(tmp_path: Path) -> None:
    """Browsers show an SVG's box only; digits and lower-case letters are about 0.6 of the font size wide."""
    falling = Curve(EPOCHS, np.linspace(1e-3, 0, 30))
    terms = {f"gradient/{name}": Curve(EPOCHS, np.ones(30)) for name in ("global", "sal", "ppda", "ram")}
    run = RunRecord(tmp_path, {}, {}, {"lr": falling, **curves(), **terms})
    for svg in (draw_gradient_shares(run), draw_panels({"": run}, WATCHED), draw_panels({"": run}, SPEED)):
        width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
        texts = re.findall(r'font-size: ([\d.]+)px.*?text-anchor: (\w+)" x="([\d.]+)".*?>(.*?)</text>', svg)
        assert len(texts) > 8
        for size, anchor, x, words in texts:
            left = float(x) - {"start": 0, "middle": 0.5, "end": 1}[anchor] * 0.6 * float(size) * len(words)
            assert left >= 0 and left + 0.6 * float(size) * len(words) <= width, words
    once = {name: Curve(curve.epoch[:1], curve.value[:1]) for name, curve in terms.items()}
    assert draw_gradient_shares(RunRecord(tmp_path, {}, {}, once)) == ""


def test_one_run_is_one_page_that_loads_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = write_run(tmp_path / "run")
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"written: {run / 'report.html'}\n"
    page = Page(run / "report.html")
    assert page.headings == [
        "What it knows: online probe", "Is it alive", "Loss and its terms", "Which terms steer", "Do the views fit",
        "Where it looks", "Parts it found", "Speed", "Where it comes from",
    ]  # fmt: skip
    assert page.fetched and all(link.startswith(("data:image/png;base64,", "#")) for link in page.fetched)
    assert not re.search(r"@import|url\((?!#)", page.text)
    assert "sarl-train &lt;pretrain&gt;" in page.text and "<pretrain>" not in page.text
    assert "<td>resumed.1.command</td><td>sarl-train pretrain --resume</td>" in page.text
    assert "prototypes are dead" in page.text and page.text.count("<svg") == 6


def test_sections_without_anything_to_show_are_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "byol", probe=False)
    assert Page(write_report(run)).headings == [
        "Is it alive", "Loss and its terms", "Do the views fit", "Where it looks", "Speed", "Where it comes from",
    ]  # fmt: skip
    (run / "samples.npz").unlink()
    page = Page(write_report(run))
    assert "Where it looks" not in page.headings and "No samples.npz in the run folder: no pictures." in page.text


def test_what_is_spoilt_is_said_and_the_rest_drawn(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "encoder.safetensors").write_bytes(b"cut")
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text() + '{"step": 11, "lo')
    page = Page(write_report(run))
    assert "Do the views fit" in page.headings and "Where it looks" not in page.headings
    assert "Left out: " in page.text and "not a whole safetensors file" in page.text


def test_a_run_that_wrote_no_number_yet_is_reported(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.start(yaml.safe_dump({"method_name": "sarl", "epochs": 3}), {"data_sha256": "d"})
    assert "Too short to judge" in Page(write_report(folder.path)).text


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_reported(method: str, tmp_path: Path) -> None:
    page = Page(write_report(write_run(tmp_path / method, method)))
    assert "Do the views fit" in page.headings and "Left out" not in page.text


def test_runs_are_compared_in_one_page(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a", seed=0), write_run(tmp_path / "b", "byol", seed=1)
    out = tmp_path / "both.html"
    assert main(["report", str(first), str(second), "--out", str(out)]) == 0
    page = Page(out)
    assert page.headings[:4] == ["Verdicts", "Final numbers", "Settings that differ", "Online probe"]
    settings = page.text.split("Settings that differ")[1].split("<h2>")[0]
    assert "<td>seed</td><td>0</td><td>1</td>" in settings and "<td>method_name</td>" in settings
    assert "<td>out</td>" not in settings and "<td>epochs</td>" not in settings
    assert all(link.startswith("#") for link in page.fetched)


def test_words_that_name_no_run_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "no run (no config.yaml); give run folders" in capsys.readouterr().err
    assert main(["report"]) == 2
    run = write_run(tmp_path / "run")
    assert main(["report", str(run), str(run), str(run), "--out", str(tmp_path / "c.html")]) == 2
    assert "named twice" in capsys.readouterr().err and not (tmp_path / "c.html").exists()
    assert main(["report", str(run), str(run), "--out", str(tmp_path)]) == 2
    assert "is a folder; give a file" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no run"):
        read_run(tmp_path)
    (tmp_path / "config.yaml").write_text("tasks: [edge_pose]\nreadout: gap\n")
    with pytest.raises(UsageError, match=r"names no method.*supervise\.json"):
        read_run(tmp_path)


def test_metrics_are_read_as_json_numbers_only(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 11, "epoch": 2.2, "loss": float("nan"), "note": "text"}) + "\n")
    found = read_run(run)
    assert len(found.curves["loss"].value) == 10 and "note" not in found.curves and found.last("loss") == 0.3


def test_pretraining_ends_with_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain, "write_report", write_report)
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for i in range(12):
        cv2.imwrite(str(data / f"{i}.png"), bar_image(i / 6 - 1, 15 * i))
    words = ["pretrain", "sarl", "--data", str(data), "--out", str(run), "--image-size", "32", "--epochs", "2"]
    assert main([*words, "--batch-size", "4", "--log-every", "1", "--device", "cpu"]) == 0
    page = Page(run / "report.html")
    assert {"Which terms steer", "Do the views fit", "Where it looks", "Parts it found", "Images"} <= {*page.headings}
    assert "Left out" not in page.text and len((run / "images.csv").read_text().splitlines()) == 13
