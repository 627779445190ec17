"""The terms of the objectives: pure functions of tensors, one paper term per file. Targets never get a gradient."""

from sarl_training.losses.global_alignment import normalized_mse
from sarl_training.losses.prototype_distribution import prototype_distribution_alignment
from sarl_training.losses.region_affinity import region_affinity_matching
from sarl_training.losses.saliency_alignment import saliency_alignment

__all__ = ["normalized_mse", "prototype_distribution_alignment", "region_affinity_matching", "saliency_alignment"]
