"""The estimate drawn on the camera image: saliency, edge line, contact point, force arrow, class and contact text."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sarl_perception.contract import Output
from sarl_perception.estimator import Estimate, Region, centred_square

EDGE = (255, 220, 0)
POINT = (0, 230, 255)
FORCE = (255, 80, 80)
TEXT = (255, 255, 255)
SHADOW = (0, 0, 0)
SALIENCY_COLOURS = cv2.COLORMAP_INFERNO
SALIENCY_SHARE = 0.45  # of a pixel's colour, where the encoder responds most
SALIENCY_RADIUS = 0.85  # of the region's half width
WIDTHS_PER_NEWTON = 0.1  # of the region: from its centre, 5 N reach its border
SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Canvas:
    """An RGB image to draw on and where the sensor lies in it: apex at the region's centre, x right, y down."""

    image: np.ndarray
    region: Region
    field_of_view_m: float

    @property
    def unit(self) -> float:
        """Pixels of the region's width."""
        return float(self.region[2])

    @property
    def thickness(self) -> int:
        return max(1, round(self.unit / 160))

    def pixel(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Image position of a point of the tip plane; the lens is taken as linear near the apex."""
        x, y, width, height = self.region
        scale = self.unit / self.field_of_view_m
        return x + width / 2 + x_m * scale, y + height / 2 + y_m * scale


def draw_overlay(
    rgb: np.ndarray, estimate: Estimate, *, region: Region | None, field_of_view_m: float, in_contact: bool
) -> np.ndarray:
    """Copy of `rgb` (uint8 [H, W, 3]) with the estimate drawn on it; without contact only the text.

    `field_of_view_m` is the width of the region of interest at the skin.
    """
    canvas = Canvas(np.ascontiguousarray(rgb).copy(), region or centred_square(*rgb.shape[:2]), field_of_view_m)
    if estimate.saliency is not None:
        _draw_saliency(canvas, estimate.saliency)
    lines = [] if in_contact else ["no contact"]
    if estimate.is_unfamiliar:
        lines.append("unfamiliar image")
    for output in estimate.contract.outputs.values():
        if output.kind in DRAWERS and in_contact:
            DRAWERS[output.kind](canvas, output, estimate)
        if output.kind in CAPTIONS and (in_contact or output.kind == "contact"):
            lines.append(CAPTIONS[output.kind](output, estimate))
    _draw_text(canvas, lines)
    return canvas.image


def _draw_saliency(canvas: Canvas, saliency: np.ndarray) -> None:
    """Heat where the encoder responds most, inside the region's circle: beyond it lie dark corners and padding."""
    x, y, width, height = canvas.region
    rows, columns = (np.linspace(-1, 1, 2 * count + 1)[1::2] for count in saliency.shape)
    is_inside = np.hypot(*np.meshgrid(columns, rows)) < SALIENCY_RADIUS
    low, high = np.percentile(saliency[is_inside], (50, 99))
    level = (np.clip((saliency - low) / max(high - low, 1e-9), 0, 1) * is_inside).astype(np.float32)
    level = cv2.resize(level, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    heat = cv2.applyColorMap((255 * level).astype(np.uint8), SALIENCY_COLOURS)[..., ::-1]
    patch = canvas.image[y : y + height, x : x + width]
    share = SALIENCY_SHARE * level[..., None]
    patch[:] = (patch * (1 - share) + heat * share).astype(np.uint8)


def _draw_edge(canvas: Canvas, output: Output, estimate: Estimate) -> None:
    """The edge line across the region, and a short tick along its normal, away from the object."""
    x, _, theta = estimate[output.name].tolist()
    cos, sin = math.cos(theta), math.sin(theta)
    reach = canvas.field_of_view_m
    start = canvas.pixel(x * cos + reach * sin, x * sin - reach * cos)
    end = canvas.pixel(x * cos - reach * sin, x * sin + reach * cos)
    _line(canvas, start, end, EDGE)
    tick = x + 0.06 * reach
    _line(canvas, canvas.pixel(x * cos, x * sin), canvas.pixel(tick * cos, tick * sin), EDGE)


def _draw_point(canvas: Canvas, output: Output, estimate: Estimate) -> None:
    x, y, _ = estimate[output.name].tolist()
    centre = _fixed_point(canvas.pixel(x, y))
    radius = round(canvas.unit / 40) << SUBPIXEL_BITS
    cv2.circle(canvas.image, centre, radius, POINT, canvas.thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _draw_force(canvas: Canvas, output: Output, estimate: Estimate) -> None:
    """Shear as an arrow from the contact point (the apex without one)."""
    points = estimate.contract.of_kind("point")
    start = canvas.pixel(*estimate[points[0].name][:2].tolist()) if points else canvas.pixel(0.0, 0.0)
    fx, fy, _ = estimate[output.name].tolist()
    length = canvas.unit * WIDTHS_PER_NEWTON
    end = start[0] + fx * length, start[1] + fy * length
    cv2.arrowedLine(canvas.image, _clipped(start), _clipped(end), FORCE, canvas.thickness, cv2.LINE_AA, tipLength=0.25)


def _edge_caption(output: Output, estimate: Estimate) -> str:
    x, z, theta = estimate[output.name].tolist()
    return f"edge x {x * 1e3:+.2f} mm  z {z * 1e3:.2f} mm  theta {math.degrees(theta):+.1f} deg"


def _force_caption(output: Output, estimate: Estimate) -> str:
    fx, fy, fz = estimate[output.name].tolist()
    return f"force {fx:+.2f} {fy:+.2f} {fz:+.2f} N"


def _class_caption(output: Output, estimate: Estimate) -> str:
    classes = estimate.classes(output.name)
    label = max(classes, key=classes.__getitem__)
    return f"{output.name.removesuffix('_probabilities')} {label} {classes[label]:.0%}"


def _contact_caption(output: Output, estimate: Estimate) -> str:
    return f"contact {estimate[output.name][0]:.2f}"


DRAWERS = {"edge_pose": _draw_edge, "point": _draw_point, "wrench": _draw_force}
CAPTIONS = {
    "edge_pose": _edge_caption,
    "wrench": _force_caption,
    "classification": _class_caption,
    "contact": _contact_caption,
}


def _draw_text(canvas: Canvas, lines: list[str]) -> None:
    scale = canvas.unit / 800
    x, y = canvas.region[0] + round(8 * scale), canvas.region[1]
    for line in lines:
        y += round(30 * scale)
        # OpenCV 5 spaces letters by thickness: a thicker outline would not lie under its text.
        for colour, shift in ((SHADOW, canvas.thickness), (TEXT, 0)):
            place, font = (x + shift, y + shift), cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(canvas.image, line, place, font, scale, colour, canvas.thickness, cv2.LINE_AA)


def _line(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], colour: tuple[int, int, int]) -> None:
    cv2.line(canvas.image, _fixed_point(start), _fixed_point(end), colour, canvas.thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _fixed_point(position: tuple[float, float]) -> tuple[int, int]:
    """OpenCV's fixed-point coordinates; far outside values are clipped, as they would overflow."""
    x, y = _clipped(position)
    fraction = (position[0] - math.floor(position[0]), position[1] - math.floor(position[1]))
    one = 1 << SUBPIXEL_BITS
    return x * one + int(fraction[0] * one), y * one + int(fraction[1] * one)


def _clipped(position: tuple[float, float]) -> tuple[int, int]:
    limit = 30_000
    return tuple(int(max(-limit, min(limit, math.floor(value)))) for value in position)
