"""A linear head moved to another unit in closed form: shrunk towards the old head, how far decided by cross-validation.

Shapes: N contacts, F features, D axes, K candidates, L penalties. Everything float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from sarl_training.calibration.model_file import Head
from sarl_training.errors import DataRefused

KEEP = 0  # candidate 0: the old head as it is
PENALTIES = (np.inf, *(10.0 ** (k / 2) for k in range(6, -9, -1)))  # times the mean eigenvalue; inf: an offset only
PRIORS = ("old head", "old head with gains")
GAIN_SHRINKAGE = 0.01  # pull of gains and couplings to identity, in units of the axes' variance
MOST_FOLDS = 5
LEAST_GROUPS = 5
LEAVE_ONE_OUT_BELOW = 10  # groups


@dataclass(frozen=True)
class Contacts:
    """Labelled contacts of the new unit, seen by the old model."""

    z_NF: np.ndarray
    """Standardised readout."""
    old_ND: np.ndarray
    """The old head's answers."""
    label_ND: np.ndarray
    group_N: np.ndarray


@dataclass(frozen=True)
class Calibrated:
    """The new head, and what it would have said of each contact had its group not been there."""

    weight_FD: np.ndarray
    bias_D: np.ndarray
    held_out_ND: np.ndarray
    fold_N: np.ndarray
    chosen_D: np.ndarray
    """Candidate per axis."""


def candidate_name(candidate: int) -> str:
    """What a candidate is, for the card."""
    if candidate == KEEP:
        return "old head, kept"
    prior, penalty = divmod(candidate - 1, len(PENALTIES))
    strength = "offset only" if penalty == 0 else f"penalty {PENALTIES[penalty]:.3g}"
    return f"{PRIORS[prior]}, {strength}"


def folds(group_N: np.ndarray) -> np.ndarray:
    """Fold of each contact: whole groups, shuffled with a fixed seed; each group is its own fold under 10 groups."""
    names, index_N = np.unique(group_N, return_inverse=True)
    count = len(names) if len(names) < LEAVE_ONE_OUT_BELOW else MOST_FOLDS
    return (np.random.default_rng(0).permutation(len(names)) % count)[index_N]


def calibrate(contacts: Contacts, head: Head) -> Calibrated:
    """Choose per axis by cross-validation over groups and fit on all; `held_out_ND` repeats both without each fold."""
    groups = len(np.unique(contacts.group_N))
    if groups < LEAST_GROUPS:
        raise DataRefused(
            f"calibration data: {groups} groups of contacts, at least {LEAST_GROUPS} are needed to measure the error "
            "on contacts left out; lift the sensor between contacts, or record more"
        )
    gram_NN = contacts.z_NF @ contacts.z_NF.T
    fold_N = folds(contacts.group_N)
    held_out_ND = np.empty_like(contacts.label_ND)
    for held_N in tqdm(list(_held(fold_N)), "cross-validate", unit="fold", delay=1, leave=False):
        chosen_D = _choose(contacts, gram_NN, np.flatnonzero(~held_N))
        found_KND = _predict(contacts, gram_NN, np.flatnonzero(~held_N), np.flatnonzero(held_N))
        held_out_ND[held_N] = _picked(found_KND, chosen_D)
    chosen_D = _choose(contacts, gram_NN, np.arange(len(fold_N)))
    return Calibrated(*_head(contacts, head, gram_NN, chosen_D), held_out_ND, fold_N, chosen_D)


def _choose(contacts: Contacts, gram_NN: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Candidate of least mean absolute error per axis, on groups of `rows` left out in turn."""
    fold_R = folds(contacts.group_N[rows])
    error_KD = np.zeros((1 + len(PRIORS) * len(PENALTIES), contacts.label_ND.shape[1]))
    for held_R in _held(fold_R):
        found_KHD = _predict(contacts, gram_NN, rows[~held_R], rows[held_R])
        error_KD += np.abs(found_KHD - contacts.label_ND[rows[held_R]]).sum(1)
    return error_KD.argmin(0)


def _predict(contacts: Contacts, gram_NN: np.ndarray, train: np.ndarray, held: np.ndarray) -> np.ndarray:
    """What every candidate, fitted on `train`, says of `held`: [K, H, D]."""
    found = [contacts.old_ND[held][None]]
    gram_TT = gram_NN[np.ix_(train, train)]
    cross_HT = gram_NN[np.ix_(held, train)] - gram_TT.mean(0)
    spectrum = _spectrum(gram_TT)
    for prior in PRIORS:
        base_ND = _base(contacts, train, prior)
        dual_LTD, offset_D = _dual(spectrum, (contacts.label_ND - base_ND)[train])
        found.append(base_ND[held] + offset_D + cross_HT @ dual_LTD)
    return np.concatenate(found)


def _spectrum(gram_TT: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues [T] and vectors [T, T] of the Gram matrix of centred contacts."""
    centred_TT = gram_TT - gram_TT.mean(0) - gram_TT.mean(1)[:, None] + gram_TT.mean()
    values_T, vectors_TT = np.linalg.eigh(centred_TT)
    return values_T.clip(0), vectors_TT


def _dual(spectrum: tuple[np.ndarray, np.ndarray], residual_TD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`a` [L, T, D] and offset with `residual ~ (z - mean z) Z' a + offset`: kernel ridge, offset not penalised."""
    values_T, vectors_TT = spectrum
    offset_D = residual_TD.mean(0)
    moments_TD = vectors_TT.T @ (residual_TD - offset_D)
    scale = max(values_T.mean(), np.finfo(float).tiny)
    shrunk = [moments_TD / (values_T + penalty * scale)[:, None] for penalty in PENALTIES]
    return vectors_TT @ np.stack(shrunk), offset_D


def _base(contacts: Contacts, train: np.ndarray, prior: str) -> np.ndarray:
    """[N, D] where the correction starts from."""
    return contacts.old_ND if prior == PRIORS[0] else contacts.old_ND @ gains(contacts, train)


def gains(contacts: Contacts, train: np.ndarray) -> np.ndarray:
    """[D, D] gains and couplings of the old answers, ridge towards identity; the offset is fitted beside it."""
    old_TD, label_TD = contacts.old_ND[train], contacts.label_ND[train]
    old_TD, label_TD = old_TD - old_TD.mean(0), label_TD - label_TD.mean(0)
    identity = np.eye(old_TD.shape[1])
    pull = np.diag(GAIN_SHRINKAGE * (old_TD**2).sum(0) + np.finfo(float).tiny)
    return identity + np.linalg.lstsq(old_TD.T @ old_TD + pull, old_TD.T @ (label_TD - old_TD), rcond=None)[0]


def _head(contacts: Contacts, head: Head, gram_NN: np.ndarray, chosen_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of the chosen candidates, fitted on all contacts."""
    weight_FD, bias_D = head.weight_FD.copy(), head.bias_D.copy()
    everything, spectrum = np.arange(len(gram_NN)), _spectrum(gram_NN)
    for prior in range(len(PRIORS)):
        base_ND = _base(contacts, everything, PRIORS[prior])
        mixing_DD = np.eye(len(bias_D)) if prior == 0 else gains(contacts, everything)
        dual_LND, offset_D = _dual(spectrum, contacts.label_ND - base_ND)
        for axis, candidate in enumerate(chosen_D):
            which, penalty = divmod(int(candidate) - 1, len(PENALTIES))
            if which != prior:
                continue
            dual_N = dual_LND[penalty][:, axis]
            change_F = contacts.z_NF.T @ (dual_N - dual_N.mean())
            weight_FD[:, axis] = head.weight_FD @ mixing_DD[:, axis] + change_F
            bias_D[axis] = head.bias_D @ mixing_DD[:, axis] + offset_D[axis] - contacts.z_NF.mean(0) @ change_F
    return weight_FD, bias_D


def _picked(found_KND: np.ndarray, chosen_D: np.ndarray) -> np.ndarray:
    return np.stack([found_KND[candidate, :, axis] for axis, candidate in enumerate(chosen_D)], 1)


def _held(fold_N: np.ndarray) -> Iterator[np.ndarray]:
    for fold in np.unique(fold_N):
        yield fold_N == fold
