"""What a run's encoder sees, drawn on images: warped pairs, saliency, parts. Each picture is a PNG."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sarl_training import geometry
from sarl_training.networks import Encoder, Features, normalise
from sarl_training.run_report.samples import Samples
from sarl_training.views import ViewPlan, make_view

SHOWN = 6
SALIENCY_LAYERS = ("layer2", "layer3", "layer4")
PART_LAYER = "layer3"
DEAD_SHARE = 0.001  # a prototype that wins fewer cells than this is dead
_TILE_PX, _GAP_PX, _MARGIN_PX = 156, 6, 52


class Parts(NamedTuple):
    """Which prototype wins which cells."""

    png: bytes
    share_K: np.ndarray
    """Share of all cells that each prototype wins."""


@torch.no_grad()
def draw_warped_pairs(samples: Samples, plans: Sequence[ViewPlan], seed: int) -> bytes:
    """Rows of image, view 1, view 2, and view 2 brought into view 1 by the two views' maps, the overlap outlined.

    Where the geometry is right, the fourth picture shows the same things at the same places as the second.
    """
    chosen = _evenly(len(samples.images_NHWC), SHOWN)
    images_BHWC = torch.from_numpy(samples.images_NHWC[chosen])
    views = [
        make_view(images_BHWC, samples.numbers_N[chosen], plan.size, plan.config, seed=seed, epoch=0, view=number)
        for number, plan in enumerate(plans[:2])
    ]
    first, second = views
    forth_B23 = geometry.view_to_view(first.to_source_B23, second.to_source_B23)
    back_B23 = geometry.view_to_view(second.to_source_B23, first.to_source_B23)
    size = plans[0].size
    points_BN2 = geometry.apply(forth_B23, geometry.cell_centres(size, size))
    warped_BCHW = F.grid_sample(second.x_BCHW, points_BN2.view(-1, size, size, 2), align_corners=False)
    outside_B1HW = ~geometry.inside(points_BN2).view(-1, 1, size, size)
    warped_BCHW = torch.where(outside_B1HW, 0.6, warped_BCHW)
    corners_42 = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    outlines_B42 = geometry.apply(back_B23, corners_42).numpy()
    rows = []
    for row, image in enumerate(samples.images_NHWC[chosen]):
        pictures = [image, *(_to_rgb(x_BCHW[row]) for x_BCHW in (first.x_BCHW, second.x_BCHW, warped_BCHW))]
        tiles = [_tile(picture) for picture in pictures]
        for tile in (tiles[1], tiles[3]):
            corners = np.round((outlines_B42[row] + 1) / 2 * _TILE_PX).astype(np.int32)
            cv2.polylines(tile, [corners], True, (255, 60, 40), 2, cv2.LINE_AA)
        rows.append(tiles)
    return _grid(rows, ["image", "view 1", "view 2", "view 2 in view 1"])


@torch.no_grad()
def draw_saliency(encoder: Encoder, samples: Samples) -> bytes:
    """Rows of images, and over them how strongly each place of a layer's map answers (Eq. 3's saliency)."""
    images_NHWC = samples.images_NHWC[_evenly(len(samples.images_NHWC), SHOWN)]
    features = _features(encoder, images_NHWC)
    rows = [[_tile(image) for image in images_NHWC]]
    colours = mpl.colormaps["inferno"]
    for layer in SALIENCY_LAYERS:
        tiles = []
        for image, saliency_HW in zip(images_NHWC, features.maps[layer].abs().sum(1).numpy(), strict=True):
            level = (saliency_HW - saliency_HW.min()) / max(float(np.ptp(saliency_HW)), 1e-12)
            smooth = cv2.resize(level.astype(np.float32), (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_LINEAR)
            tiles.append(_blend(_tile(image), (colours(smooth)[..., :3] * 255), 0.55))
        rows.append(tiles)
    return _grid(rows, [""] * len(images_NHWC), ["image", *SALIENCY_LAYERS])


@torch.no_grad()
def draw_parts(encoder: Encoder, prototypes_KC: Tensor, samples: Samples) -> Parts:
    """Images above the same with every cell of layer 3 in the colour of the prototype that is nearest to it."""
    cells_NCHW = F.normalize(_features(encoder, samples.images_NHWC).maps[PART_LAYER], dim=1)
    cosine_NKHW = torch.einsum("kc,nchw->nkhw", F.normalize(prototypes_KC.float(), dim=1), cells_NCHW)
    winner_NHW = cosine_NKHW.argmax(1).numpy()
    share_K = np.bincount(winner_NHW.ravel(), minlength=len(prototypes_KC)) / winner_NHW.size
    rank_K = np.argsort(np.argsort(-share_K))
    chosen = _evenly(len(samples.images_NHWC), SHOWN)
    images = [_tile(samples.images_NHWC[i]) for i in chosen]
    overlays = []
    for image, i in zip(images, chosen, strict=True):
        painted = part_colours(len(prototypes_KC))[rank_K[winner_NHW[i]]]
        overlays.append(_blend(image, cv2.resize(painted, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_NEAREST), 0.5))
    return Parts(_grid([images, overlays], [""] * len(images), ["image", "parts"]), share_K)


def part_colours(count: int) -> np.ndarray:
    """uint8 [count, 3]: the twenty commonest parts get colours of their own, the rest grey."""
    table = np.full((count, 3), 160, np.uint8)
    known = (np.array(mpl.colormaps["tab20"].colors) * 255).astype(np.uint8)
    table[: len(known)] = known[:count]
    return table


def _features(encoder: Encoder, images_NHWC: np.ndarray) -> Features:
    return encoder.eval()(normalise(torch.from_numpy(images_NHWC)))


def _evenly(total: int, most: int) -> np.ndarray:
    return np.linspace(0, total - 1, min(most, total)).astype(int)


def _to_rgb(x_CHW: Tensor) -> np.ndarray:
    return ((x_CHW + 1) * 127.5).clamp(0, 255).permute(1, 2, 0).to(torch.uint8).numpy()


def _tile(image_HWC: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(image_HWC), (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_CUBIC)


def _blend(image: np.ndarray, over: np.ndarray, share: float) -> np.ndarray:
    return (image * (1 - share) + over * share).astype(np.uint8)


def _grid(rows: Sequence[Sequence[np.ndarray]], columns: Sequence[str], names: Sequence[str] = ()) -> bytes:
    """PNG of equal tiles, white between them, with titles above the columns and names left of the rows."""
    pitch = _TILE_PX + _GAP_PX
    left, top = (_MARGIN_PX if names else 0), (_MARGIN_PX // 2 if any(columns) else 0)
    sheet = np.full((top + pitch * len(rows), left + pitch * len(columns), 3), 255, np.uint8)
    for r, row in enumerate(rows):
        if names:
            _write(sheet, names[r], 0, top + r * pitch + _TILE_PX // 2)
        for c, tile in enumerate(row):
            _write(sheet, columns[c], left + c * pitch, top - 8)
            y, x = top + r * pitch, left + c * pitch
            sheet[y : y + _TILE_PX, x : x + _TILE_PX] = tile
    return cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()


def _write(sheet: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 35, 40), 1, cv2.LINE_AA)
