"""Covariance of a calibrated head from the errors on contacts left out, and a sense for what is unfamiliar recentred.

Shapes: N contacts, D axes, C channel statistics.
"""

import numpy as np
from scipy import special

from sarl_training.deployment_heads import LEAST_RELATIVE_STD
from sarl_training.familiarity import FALSE_ALARMS

KNOWN_CONTACTS = 10  # contacts that the covariance known from many units counts as
ELLIPSOID = 0.9  # widened so that the ellipsoid of this content is right for few contacts


def covariance(
    error_ND: np.ndarray, inflation_N: np.ndarray, spread_D: np.ndarray, known_DD: np.ndarray | None = None
) -> np.ndarray:
    """[D, D] of `error / sqrt(inflation)`, drawn to `known_DD` where there are few contacts, with Student tails.

    A covariance from N errors puts too few of the next ones inside its ellipsoid: it is widened by the ratio of
    Hotelling's quantile to the chi-square's. Without `known_DD`, too few contacts give no correlations.
    """
    count, axes = error_ND.shape
    scaled_ND = error_ND / np.sqrt(inflation_N)[:, None]
    moment_DD = scaled_ND.T @ scaled_ND
    if known_DD is None:
        shape_DD = moment_DD / count
        if count <= 2 * axes:  # too few to say how errors go together
            shape_DD = np.diag(np.diag(shape_DD))
    else:
        count += KNOWN_CONTACTS
        shape_DD = (moment_DD + KNOWN_CONTACTS * known_DD) / count
    floor_DD = np.diag((LEAST_RELATIVE_STD * spread_D) ** 2)
    return (shape_DD + floor_DD) * few_contacts(count, axes)


def few_contacts(count: int, axes: int) -> float:
    """What a covariance of `count` errors is multiplied by for an honest `ELLIPSOID`; 1 for many."""
    freedom = max(count - axes, 1)
    hotelling = axes * (count + 1) * (count - 1) / (count * freedom) * special.fdtri(axes, freedom, ELLIPSOID)
    return float(hotelling / special.chdtri(axes, 1 - ELLIPSOID))


def held_out_covariances(
    error_ND: np.ndarray,
    inflation_N: np.ndarray,
    spread_D: np.ndarray,
    fold_N: np.ndarray,
    known_DD: np.ndarray | None = None,
) -> np.ndarray:
    """[N, D, D]: what each contact's covariance would be, fitted on the errors of the other folds."""
    found = np.empty((*error_ND.shape, error_ND.shape[1]))
    for fold in np.unique(fold_N):
        held_N = fold_N == fold
        shape_DD = covariance(error_ND[~held_N], inflation_N[~held_N], spread_D, known_DD)
        found[held_N] = shape_DD * inflation_N[held_N][:, None, None]
    return found


def recentred(channels_NC: np.ndarray, whitening_CC: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and whitening for the new unit's frames: its own mean, and a scale by which `FALSE_ALARMS` of the frames
    pass the threshold that stays in the file. Frames are scored against the mean of the others.
    """
    count = len(channels_NC)
    centre_C = channels_NC.mean(0, dtype=np.float64)
    apart_NC = (channels_NC - centre_C) * (count / (count - 1))
    unfamiliar_N = np.sqrt(np.square(apart_NC @ whitening_CC).mean(1))
    scale = threshold / max(float(np.quantile(unfamiliar_N, 1 - FALSE_ALARMS)), np.finfo(np.float32).tiny)
    return centre_C, whitening_CC * scale
