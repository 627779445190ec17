"""Edge pose geometry against closed forms and a Monte Carlo covariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sarl_perception.geometry import (
    UNOBSERVED_VARIANCE,
    edge_from_pose,
    edge_pose_covariance,
    edge_position,
    yaw_quaternion,
)


def test_at_theta_zero_x_is_the_offset_along_x() -> None:
    assert edge_position(0.002, 0.001, 0.0) == pytest.approx((0.002, 0.0, 0.001))
    assert yaw_quaternion(0.0) == pytest.approx((0.0, 0.0, 0.0, 1.0))


def test_a_quarter_turn_puts_the_offset_on_y() -> None:
    assert edge_position(0.002, 0.001, math.pi / 2) == pytest.approx((0.0, 0.002, 0.001))
    assert yaw_quaternion(math.pi / 2) == pytest.approx((0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)))


@pytest.mark.parametrize("theta", [-3.0, -0.4, 0.0, 1.2, 3.1])
def test_round_trip(theta: float) -> None:
    edge = (-0.003, 0.0015, theta)
    assert edge_from_pose(edge_position(*edge), yaw_quaternion(theta)) == pytest.approx(edge)


def test_covariance_matches_samples_across_and_is_large_along_the_edge() -> None:
    x, z, theta = 0.004, 0.002, 0.7
    spread = np.array([[1e-8, 2e-9, 1e-6], [2e-9, 4e-8, 0.0], [1e-6, 0.0, 4e-4]])
    covariance = edge_pose_covariance(x, theta, spread)
    samples = np.random.default_rng(0).multivariate_normal([x, z, theta], spread, 200_000)
    positions = np.array([samples[:, 0] * np.cos(samples[:, 2]), samples[:, 0] * np.sin(samples[:, 2]), samples[:, 1]])
    normal = np.array([math.cos(theta), math.sin(theta), 0.0])
    along = np.array([-math.sin(theta), math.cos(theta), 0.0])
    assert normal @ covariance[:3, :3] @ normal == pytest.approx(np.var(normal @ positions), rel=0.02)
    assert covariance[2, 2] == pytest.approx(4e-8)
    assert covariance[5, 5] == pytest.approx(4e-4)
    assert along @ covariance[:3, :3] @ along == pytest.approx(UNOBSERVED_VARIANCE)
    assert covariance[3, 3] == covariance[4, 4] == UNOBSERVED_VARIANCE
    assert np.allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-12
