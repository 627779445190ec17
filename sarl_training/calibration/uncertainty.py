"""Covariance of a calibrated head from the errors on contacts left out, and a sense for what is unfamiliar recentred.

Shapes: N contacts, D axes, C channel statistics.
"""

import numpy as np

from sarl_training.deployment_heads import LEAST_RELATIVE_STD
from sarl_training.familiarity import FALSE_ALARMS


def covariance(error_ND: np.ndarray, inflation_N: np.ndarray, spread_D: np.ndarray) -> np.ndarray:
    """[D, D] such that `e' (covariance inflation)^-1 e` is D on average; widened by (D + 1) / N for few contacts."""
    count, axes = error_ND.shape
    floor_DD = np.diag((LEAST_RELATIVE_STD * spread_D) ** 2)
    shape_DD = (error_ND.T @ error_ND) / count + floor_DD
    if count <= 2 * axes:  # too few to say how errors go together
        shape_DD = np.diag(np.diag(shape_DD))
    nees_N = (error_ND * np.linalg.solve(shape_DD, error_ND.T).T).sum(1) / inflation_N
    return shape_DD * max(nees_N.mean() / axes, 1 / inflation_N.mean()) * (1 + (axes + 1) / count)


def held_out_covariances(
    error_ND: np.ndarray, inflation_N: np.ndarray, spread_D: np.ndarray, fold_N: np.ndarray
) -> np.ndarray:
    """[N, D, D]: what each contact's covariance would be, fitted on the errors of the other folds."""
    found = np.empty((*error_ND.shape, error_ND.shape[1]))
    for fold in np.unique(fold_N):
        held_N = fold_N == fold
        shape_DD = covariance(error_ND[~held_N], inflation_N[~held_N], spread_D)
        found[held_N] = shape_DD * inflation_N[held_N][:, None, None]
    return found


def recentred(
    channels_NC: np.ndarray, mean_C: np.ndarray, whitening_CC: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and whitening for the new unit's frames: its own mean, and a scale by which `FALSE_ALARMS` of the frames
    pass the threshold that stays in the file. Frames are scored against the mean of the others.
    """
    count = len(channels_NC)
    centre_C = channels_NC.mean(0, dtype=np.float64)
    apart_NC = (channels_NC - centre_C) * (count / (count - 1))
    unfamiliar_N = np.sqrt(np.square(apart_NC @ whitening_CC).mean(1))
    scale = threshold / max(float(np.quantile(unfamiliar_N, 1 - FALSE_ALARMS)), np.finfo(np.float32).tiny)
    return centre_C, whitening_CC * scale
