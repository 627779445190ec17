"""Draw a model's estimates on images of a folder, as the node's overlay does, and tile them into one picture.

    ros2_ws/env.sh python -m sarl_demo.sheet --model model.onnx --images frames --region 420 0 1080 1080 --out sheet.png

Images are taken evenly from the folder, in the order of their names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from sarl_perception.contract import ModelRefused
from sarl_perception.estimator import Region, TactileEstimator, crop
from sarl_perception.overlay import draw_overlay
from sarl_perception.parameters import SettingsRefused, read_defaults

from sarl_demo.frame_sources import SourceRefused, read_rgb

SUFFIXES = (".jpg", ".jpeg", ".png")


def draw_sheet(
    estimator: TactileEstimator,
    paths: list[Path],
    *,
    region: Region | None = None,
    columns: int,
    tile: int,
    field_of_view_m: float,
    threshold: float,
) -> np.ndarray:
    """uint8 [rows * tile, columns * tile, 3] RGB; each tile is the region of interest with the overlay."""
    rows = -(-len(paths) // columns)
    sheet = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    for index, path in enumerate(paths):
        rgb = read_rgb(path)
        estimate = estimator.estimate(rgb, region=region, saliency=True)
        probability = estimate.contact_probability
        square = cv2.resize(crop(rgb, region), (tile, tile), interpolation=cv2.INTER_AREA)
        drawn = draw_overlay(
            square,
            estimate,
            region=None,
            field_of_view_m=field_of_view_m,
            in_contact=probability is None or probability >= threshold,
        )
        y, x = tile * (index // columns), tile * (index % columns)
        sheet[y : y + tile, x : x + tile] = drawn
    return sheet


def pick(folder: Path, count: int) -> list[Path]:
    """At most `count` images of a folder, evenly spread over its order."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SourceRefused(f"{folder}: no {', '.join(SUFFIXES)} images")
    return [paths[index] for index in np.unique(np.linspace(0, len(paths) - 1, count).round().astype(int))]


def main() -> int:
    """Command line of `sheet`."""
    parser = argparse.ArgumentParser(
        prog="sheet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="ONNX file written by sarl-train export")
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    parser.add_argument("--region", type=int, nargs=4, metavar=("X", "Y", "WIDTH", "HEIGHT"), help="sensor, pixels")
    parser.add_argument("--count", type=int, default=24, help="images at most")
    parser.add_argument("--columns", type=int, default=6, help="images per row")
    parser.add_argument("--tile", type=int, default=320, help="side of one image, pixels")
    options = parser.parse_args()
    region: Region | None = tuple(options.region) if options.region else None
    try:
        defaults = read_defaults()
        sheet = draw_sheet(
            TactileEstimator(options.model),
            pick(options.images, options.count),
            region=region,
            columns=options.columns,
            tile=options.tile,
            field_of_view_m=defaults["overlay_field_of_view"],
            threshold=defaults["contact_on"],
        )
    except (ModelRefused, SourceRefused, SettingsRefused, ValueError) as error:
        print(f"sheet: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), sheet[..., ::-1])
    print(f"{options.out}: estimates of {options.model} on images of {options.images}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
