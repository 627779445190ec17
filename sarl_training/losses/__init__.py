"""The terms of the objectives: pure functions of tensors, one paper term per file. Targets never get a gradient."""

from sarl_training.losses.batch_statistics import covariance, invariance, nt_xent, redundancy, variance
from sarl_training.losses.code_prediction import code_agreement, code_imbalance, code_log_probabilities
from sarl_training.losses.contrast import info_nce, matched
from sarl_training.losses.global_alignment import normalized_mse
from sarl_training.losses.mutual_information import second_moment, spectral_mutual_information
from sarl_training.losses.prototype_distribution import prototype_distribution_alignment
from sarl_training.losses.region_affinity import region_affinity_matching
from sarl_training.losses.saliency_alignment import saliency_alignment
from sarl_training.losses.swapped_assignment import balanced_codes, swapped_prediction

__all__ = [
    "balanced_codes",
    "code_agreement",
    "code_imbalance",
    "code_log_probabilities",
    "covariance",
    "info_nce",
    "invariance",
    "matched",
    "normalized_mse",
    "nt_xent",
    "prototype_distribution_alignment",
    "redundancy",
    "region_affinity_matching",
    "saliency_alignment",
    "second_moment",
    "spectral_mutual_information",
    "swapped_prediction",
    "variance",
]
