"""Does a model's press depth rank the frames of one ordered press? As they are, and with each channel's gain matched.

Only ranks are compared: the frames need no depths. Pin motion ranks them too, without any model, to check the order.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError

from sarl_training.contract import METADATA_KEY, check_contract
from sarl_training.errors import DataRefused
from sarl_training.onnx_file import OnnxModel
from sarl_training.realism.statistics import ZONES_PX, Measured, radius_px

_DEPTH_AXES = {"edge_pose": ("z", 1.0), "point": ("z", 1.0), "wrench": ("fz", -1.0)}
"""Axis that grows with the press, and its sign, by contract kind."""


class DepthReader:
    """An exported model as functions from frames to depths that grow with the press, by the name of the output."""

    def __init__(self, path: Path) -> None:
        try:
            file = path.read_bytes()
            properties = {entry.key: entry.value for entry in onnx.load_from_string(file).metadata_props}
            contract = json.loads(properties[METADATA_KEY])
        except (OSError, DecodeError, KeyError, ValueError) as error:
            raise DataRefused(
                f"{path}: not a model that `sarl-train export` wrote ({error}); give its .onnx"
            ) from error
        check_contract(contract)
        self.size = int(contract["image"]["height"])
        self._columns: dict[str, tuple[str, int, float]] = {}
        for output in contract["outputs"]:
            axis, sign = _DEPTH_AXES.get(output["kind"], ("", 0.0))
            if axis in output.get("axes", ()):
                self._columns[f"{output['name']} {axis}"] = (output["name"], output["axes"].index(axis), sign)
        if not self._columns:
            raise DataRefused(
                f"{path}: no output that grows with press depth (edge pose, point, force); choose another"
            )
        self._model = OnnxModel(file)

    def __call__(self, frames_NHWC: np.ndarray) -> dict[str, np.ndarray]:
        """Depths [N] by output, in its own unit, for frames of the model's size."""
        found = self._model(frames_NHWC)
        return {label: sign * found[name][:, axis] for label, (name, axis, sign) in self._columns.items()}


def spearman(values_N: np.ndarray) -> float:
    """Rank correlation of values with the order that they come in."""
    from torchmetrics.functional import spearman_corrcoef

    order = torch.arange(len(values_N), dtype=torch.float64)
    return float(spearman_corrcoef(torch.from_numpy(np.asarray(values_N, np.float64)), order))


def channel_gain(real_NHWC: np.ndarray, simulated_NHWC: np.ndarray) -> np.ndarray:
    """Factors [3] that give real frames the mean colour of simulated ones, inside the visible circle."""
    means = []
    for frames in (real_NHWC, simulated_NHWC):
        shrunk = np.stack([cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA) for frame in frames])
        means.append(shrunk[:, radius_px() < ZONES_PX["rim"][1]].mean((0, 1)).clip(1))
    return means[1] / means[0]


def rank_presses(
    reader: DepthReader,
    read: Callable[[Path, int], np.ndarray],
    frames: Sequence[Path],
    gain_C: np.ndarray,
    measured: Measured,
) -> dict[str, dict[str, float]]:
    """Spearman with the order, by what ranks: each output `raw` and with the `gain`, and mean pin motion from rest."""
    images = np.stack([read(path, reader.size) for path in frames])
    matched = np.clip(np.round(images * gain_C), 0, 255).astype(np.uint8)
    raw, gained = reader(images), reader(matched)
    ranks = {name: {"raw": spearman(raw[name]), "gain": spearman(gained[name])} for name in raw}
    motion_F = np.linalg.norm(np.nan_to_num(measured.moved_pins_FP2), axis=2).mean(1)
    if motion_F.any():
        ranks["mean pin motion (no model)"] = {"raw": spearman(motion_F)}
    return ranks
