"""Heads that answer on any unit of a sensor, learned once per model from contacts on many simulated units.

They travel in `<model>.units.npz` beside the model file: what calibration of a new unit starts from. Shapes: N
contacts, F features, D axes, U units; z is the readout as the model's head standardises it; SI units.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy import linalg

from sarl_training.calibration.fit import gains
from sarl_training.errors import DataRefused
from sarl_training.simulated_units import LEAST_UNITS

SUFFIX = ".units.npz"
PENALTY = 1e-3  # of the mean diagonal of the Gram matrix; 1e-3 and 3e-3 measured alike on other units
FOLDS = 4
LEAST_CONTACTS = 3  # per unit
_TRUNK = "trunk"


@dataclass(frozen=True)
class UnitHead:
    """A geometric head over many units, in two fits."""

    within_FD: np.ndarray
    """`z within` answers up to an offset that each unit has of its own: what is constant in a unit does not disturb."""
    pooled_FD: np.ndarray
    pooled_D: np.ndarray
    """`z pooled + bias` answers on a unit of which nothing is known, less sharply."""
    error_D: np.ndarray
    """Mean absolute error of `aligned` on simulated units left out."""
    covariance_DD: np.ndarray
    """Second moment of those errors."""
    spread_DD: np.ndarray
    """Of the errors of `within` on units left out, each unit's mean error taken out."""
    size: np.ndarray
    """[2]: contacts and units it was learned from."""

    def aligned(self, z_NF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights [F, D] and bias [D] for the unit of these unlabelled contacts: `within`, its offsets, gains and
        couplings such that it answers what `pooled` answers on them.
        """
        return align(z_NF @ self.within_FD, z_NF @ self.pooled_FD + self.pooled_D, self.within_FD)


def align(within_ND: np.ndarray, pooled_ND: np.ndarray, weight_FD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`weight_FD` and a bias, changed so that the answers `within_ND` come close to `pooled_ND`."""
    mixing_DD = gains(within_ND, pooled_ND)
    return weight_FD @ mixing_DD, (pooled_ND - within_ND @ mixing_DD).mean(0)


def learn(z_NF: np.ndarray, label_ND: np.ndarray, unit_N: np.ndarray) -> UnitHead:
    """Ridge over all units, within and pooled; errors are measured on units left out."""
    names, unit_N, counts_U = np.unique(unit_N, return_inverse=True, return_counts=True)
    if len(names) < LEAST_UNITS or counts_U.min() < LEAST_CONTACTS:
        raise DataRefused(
            f"{len(names)} units with {counts_U.min()} or more contacts; {LEAST_UNITS} units with {LEAST_CONTACTS} are "
            "needed to learn how units differ: simulate a larger suite"
        )
    z_NF, label_ND = z_NF.astype(np.float32), label_ND.astype(np.float64)
    mean_F, mean_D = z_NF.mean(0), label_ND.mean(0)
    within_F = (z_NF - _means(z_NF, unit_N)[unit_N]).var(0)
    scale_F = np.sqrt(within_F + 0.01 * within_F.mean())  # as `ridge.floored`
    scaled_NF = (z_NF - mean_F) / scale_F
    gram_NN = scaled_NF @ scaled_NF.T

    errors = [_held_out(gram_NN, label_ND, unit_N, np.arange(len(names)) % FOLDS == fold) for fold in range(FOLDS)]
    aligned_ND, within_ND = (np.concatenate(parts) for parts in zip(*errors, strict=True))
    within_FD, pooled_FD = (scaled_NF.T @ dual_ND / scale_F[:, None] for dual_ND in _duals(gram_NN, label_ND, unit_N))
    return UnitHead(
        within_FD=within_FD,
        pooled_FD=pooled_FD,
        pooled_D=mean_D - mean_F @ pooled_FD,
        error_D=np.abs(aligned_ND).mean(0),
        covariance_DD=aligned_ND.T @ aligned_ND / len(aligned_ND),
        spread_DD=within_ND.T @ within_ND / len(within_ND),
        size=np.array([len(z_NF), len(names)]),
    )


def _held_out(
    gram_NN: np.ndarray, label_ND: np.ndarray, unit_N: np.ndarray, held_U: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Errors on the contacts of the units `held_U` of fits on the others: aligned, and within less each unit's mean."""
    held, rest = np.flatnonzero(held_U[unit_N]), np.flatnonzero(~held_U[unit_N])
    _, rest_units = np.unique(unit_N[rest], return_inverse=True)
    duals = _duals(gram_NN[np.ix_(rest, rest)], label_ND[rest], rest_units)
    within_HD, pooled_HD = (gram_NN[np.ix_(held, rest)] @ dual_ND for dual_ND in duals)
    pooled_HD += label_ND[rest].mean(0) - gram_NN[np.ix_(rest, rest)].mean(0) @ duals[1]
    aligned_HD, apart_HD = np.empty_like(pooled_HD), np.empty_like(pooled_HD)
    for unit in np.flatnonzero(held_U):
        own = unit_N[held] == unit
        mixing_DD, offset_D = align(within_HD[own], pooled_HD[own], np.eye(label_ND.shape[1]))
        aligned_HD[own] = within_HD[own] @ mixing_DD + offset_D - label_ND[held][own]
        error_ND = within_HD[own] - label_ND[held][own]
        apart_HD[own] = error_ND - error_ND.mean(0)
    return aligned_HD, apart_HD


def _duals(gram_NN: np.ndarray, label_ND: np.ndarray, unit_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge in dual form: `scaled' dual` are the weights [F, D] of the within and of the pooled fit."""
    rows_NN = gram_NN - _means(gram_NN, unit_N)[unit_N]
    within_NN = rows_NN - _means(rows_NN.T, unit_N)[unit_N].T
    within_ND = _dual(within_NN, label_ND - _means(label_ND, unit_N)[unit_N])
    return within_ND - _means(within_ND, unit_N)[unit_N], _dual(gram_NN, label_ND - label_ND.mean(0))


def _dual(gram_NN: np.ndarray, target_ND: np.ndarray) -> np.ndarray:
    penalised_NN = gram_NN.astype(np.float64)
    penalised_NN[np.diag_indices(len(gram_NN))] += PENALTY * np.trace(gram_NN) / len(gram_NN)
    return linalg.solve(penalised_NN, target_ND, assume_a="pos", overwrite_a=True).astype(gram_NN.dtype)


def _means(x_NK: np.ndarray, unit_N: np.ndarray) -> np.ndarray:
    """[U, K]"""
    return np.stack([x_NK[unit_N == unit].mean(0) for unit in range(unit_N.max() + 1)])


def to_bytes(heads: Mapping[str, UnitHead], trunk_sha256: str) -> bytes:
    """The file: arrays by `<output>.<field>`, and which trunk they belong to."""
    arrays = {f"{name}.{key}": value for name, head in heads.items() for key, value in vars(head).items()}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays, **{_TRUNK: np.array(trunk_sha256)})
    return file.getvalue()


def load(path: Path, trunk_sha256: str) -> dict[str, UnitHead]:
    """By output name. DataRefused for another file, or one of another model."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataRefused(f"{path}: cannot be read ({error}); copy it again or leave it away") from error
    if str(arrays.pop(_TRUNK, "")) != trunk_sha256:
        raise DataRefused(
            f"{path}: belongs to another model; learn it again with `sarl-train calibrate MODEL DATA --out X{SUFFIX}`"
        )
    names = sorted({name.rsplit(".", 1)[0] for name in arrays})
    keys = [field.name for field in fields(UnitHead)]
    return {name: UnitHead(**{key: arrays[f"{name}.{key}"] for key in keys}) for name in names}
