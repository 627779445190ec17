"""A linear head moved to another unit in closed form: shrunk towards the old head, how far decided by cross-validation.

Corrections start from the old head and, where it is known, from the head learned on many units.
Shapes: N contacts, F features, D axes, S starting heads, K candidates, L penalties. Everything float64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from sarl_training.errors import DataRefused

KEEP = 0  # candidate 0: the old head as it is
PENALTIES = (np.inf, *(10.0 ** (k / 2) for k in range(6, -9, -1)))  # times the mean eigenvalue; inf: an offset only
PRIORS = ("old head", "old head with gains", "many-unit head", "many-unit head with gains")  # two per start
GAIN_CONTACTS = 1.0  # the pull of gains and couplings to identity counts as so many contacts
# Where many units are known, few contacts choose at random between candidates that differ little: errors are judged
# worse by these shares over sqrt(contacts), of old heads and of each decade of penalty away from 1.
OLD_HANDICAP, DECADE_HANDICAP = 4.0, 0.9
OFFSET_ONLY_DECADES = 1.5
MOST_FOLDS = 5
LEAST_GROUPS = 5
LEAVE_ONE_OUT_BELOW = 10  # groups


@dataclass(frozen=True)
class Contacts:
    """Labelled contacts of the new unit, seen by the old model."""

    z_NF: np.ndarray
    """Standardised readout."""
    start_SND: np.ndarray
    """Answers of the heads to start from: the old one, then perhaps the many-unit one."""
    label_ND: np.ndarray
    group_N: np.ndarray


Linear = tuple[np.ndarray, np.ndarray]
"""Weights [F, D] and bias [D] of a head on standardised features."""


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


def calibrate(contacts: Contacts, starts: Sequence[Linear]) -> Calibrated:
    """Choose per axis by cross-validation over groups and fit on all; `held_out_ND` repeats both without each fold.

    `starts` are the heads that gave `contacts.start_SND`.
    """
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
    return Calibrated(*_head(contacts, starts, gram_NN, chosen_D), held_out_ND, fold_N, chosen_D)


def keep_where_no_better(found: Calibrated, contacts: Contacts, old: Linear) -> Calibrated:
    """`found` with the `old` head, that gave `contacts.start_SND[0]`, on axes where the error left out is not lower."""
    old_ND = contacts.start_SND[0]
    error_D, old_D = (np.abs(value_ND - contacts.label_ND).mean(0) for value_ND in (found.held_out_ND, old_ND))
    kept_D = error_D >= old_D
    return replace(
        found,
        weight_FD=np.where(kept_D, old[0], found.weight_FD),
        bias_D=np.where(kept_D, old[1], found.bias_D),
        held_out_ND=np.where(kept_D, old_ND, found.held_out_ND),
        chosen_D=np.where(kept_D, KEEP, found.chosen_D),
    )


def _choose(contacts: Contacts, gram_NN: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Candidate of least mean absolute error per axis, on groups of `rows` left out in turn."""
    fold_R = folds(contacts.group_N[rows])
    error_KD = np.zeros((1 + len(_priors(contacts)) * len(PENALTIES), contacts.label_ND.shape[1]))
    for held_R in _held(fold_R):
        found_KHD = _predict(contacts, gram_NN, rows[~held_R], rows[held_R])
        error_KD += np.abs(found_KHD - contacts.label_ND[rows[held_R]]).sum(1)
    return (error_KD * _handicap(len(contacts.start_SND), len(rows))[:, None]).argmin(0)


def _handicap(starts: int, count: int) -> np.ndarray:
    """[K] what the error of each candidate is multiplied by; 1 where only the old head is known."""
    if starts == 1:
        return np.ones(1 + len(PENALTIES) * 2)
    decades = np.abs(np.log10(PENALTIES[1:]))
    many = np.tile([OFFSET_ONLY_DECADES, *decades], 2) * DECADE_HANDICAP
    old = np.full(1 + len(PENALTIES) * 2, OLD_HANDICAP)
    return 1 + np.concatenate([old, many]) / np.sqrt(count)


def _predict(contacts: Contacts, gram_NN: np.ndarray, train: np.ndarray, held: np.ndarray) -> np.ndarray:
    """What every candidate, fitted on `train`, says of `held`: [K, H, D]."""
    found = [contacts.start_SND[0, held][None]]
    gram_TT = gram_NN[np.ix_(train, train)]
    cross_HT = gram_NN[np.ix_(held, train)] - gram_TT.mean(0)
    spectrum = _spectrum(gram_TT)
    for prior in _priors(contacts):
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


def _priors(contacts: Contacts) -> range:
    """Numbers of the `PRIORS` that these contacts know: each start plain and with gains."""
    return range(2 * len(contacts.start_SND))


def _base(contacts: Contacts, train: np.ndarray, prior: int) -> np.ndarray:
    """[N, D] where the correction starts from."""
    start_ND = contacts.start_SND[prior // 2]
    return start_ND @ gains(start_ND[train], contacts.label_ND[train]) if prior % 2 else start_ND


def gains(start_TD: np.ndarray, label_TD: np.ndarray) -> np.ndarray:
    """[D, D] gains and couplings of a start's answers, ridge towards identity; the offset is fitted beside it."""
    start_TD, label_TD = start_TD - start_TD.mean(0), label_TD - label_TD.mean(0)
    identity = np.eye(start_TD.shape[1])
    pull = np.diag(GAIN_CONTACTS * (start_TD**2).mean(0) + np.finfo(float).tiny)
    return identity + np.linalg.lstsq(start_TD.T @ start_TD + pull, start_TD.T @ (label_TD - start_TD), rcond=None)[0]


def _head(contacts: Contacts, starts: Sequence[Linear], gram_NN: np.ndarray, chosen_D: np.ndarray) -> Linear:
    """Weights and bias of the chosen candidates, fitted on all contacts."""
    weight_FD, bias_D = starts[0][0].copy(), starts[0][1].copy()
    everything, spectrum = np.arange(len(gram_NN)), _spectrum(gram_NN)
    for prior in _priors(contacts):
        start_ND, (start_FD, start_D) = contacts.start_SND[prior // 2], starts[prior // 2]
        base_ND = _base(contacts, everything, prior)
        mixing_DD = gains(start_ND, contacts.label_ND) if prior % 2 else np.eye(len(bias_D))
        dual_LND, offset_D = _dual(spectrum, contacts.label_ND - base_ND)
        for axis, candidate in enumerate(chosen_D):
            which, penalty = divmod(int(candidate) - 1, len(PENALTIES))
            if which != prior:
                continue
            dual_N = dual_LND[penalty][:, axis]
            change_F = contacts.z_NF.T @ (dual_N - dual_N.mean())
            weight_FD[:, axis] = start_FD @ mixing_DD[:, axis] + change_F
            bias_D[axis] = start_D @ mixing_DD[:, axis] + offset_D[axis] - contacts.z_NF.mean(0) @ change_F
    return weight_FD, bias_D


def _picked(found_KND: np.ndarray, chosen_D: np.ndarray) -> np.ndarray:
    return np.stack([found_KND[candidate, :, axis] for axis, candidate in enumerate(chosen_D)], 1)


def _held(fold_N: np.ndarray) -> Iterator[np.ndarray]:
    for fold in np.unique(fold_N):
        yield fold_N == fold
