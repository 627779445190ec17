"""The baselines' losses against NumPy versions written from their papers, sample by sample."""

import math

import numpy as np
import pytest
import torch

from sarl_training import losses
from sarl_training.feature_queue import FeatureQueue


def rows(count: int, width: int, seed: int = 0, grad: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float32).requires_grad_(grad)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def arrays(*tensors: torch.Tensor) -> list[np.ndarray]:
    return [tensor.detach().double().numpy() for tensor in tensors]


def log_sum_exp(values: np.ndarray) -> float:
    return float(np.log(np.exp(values - values.max()).sum()) + values.max())


def test_nt_xent():
    a, b = rows(5, 7, 0), rows(5, 7, 1)
    both = unit(np.concatenate(arrays(a, b)))
    costs = []
    for i in range(10):
        others = np.array([both[i] @ both[j] / 0.2 for j in range(10) if j != i])
        costs.append(log_sum_exp(others) - both[i] @ both[(i + 5) % 10] / 0.2)
    assert losses.nt_xent(a, b, temperature=0.2).item() == pytest.approx(np.mean(costs), rel=1e-5)


def test_redundancy():
    a, b = rows(20, 6, 0), rows(20, 6, 1)
    standard = [(x - x.mean(0)) / x.std(0) for x in arrays(a, b)]
    expected = 0.0
    for i in range(6):
        for j in range(6):
            correlation = np.mean(standard[0][:, i] * standard[1][:, j])
            expected += (1 - correlation) ** 2 if i == j else 0.3 * correlation**2
    assert losses.redundancy(a, b, off_diagonal=0.3).item() == pytest.approx(expected, rel=1e-4)


def test_variance_invariance_covariance():
    a, b = 0.5 * rows(20, 6, 0), 0.5 * rows(20, 6, 1)
    x, y = arrays(a, b)
    assert losses.invariance(a, b).item() == pytest.approx(np.mean((x - y) ** 2), rel=1e-5)
    hinge = [np.mean(np.maximum(0, 1 - np.sqrt(v.var(0, ddof=1) + 1e-4))) for v in (x, y)]
    assert losses.variance(a, b).item() == pytest.approx(np.mean(hinge), rel=1e-5)
    covariance = 0.0
    for v in (x, y):
        matrix = np.cov(v.T)
        covariance += (np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2)) / 6
    assert losses.covariance(a, b).item() == pytest.approx(covariance, rel=1e-4)


@pytest.mark.parametrize("form", ["quadratic", "gha"])
def test_spectral_mutual_information(form):
    online, target = rows(5, 4, 0, grad=True), rows(5, 4, 1, grad=True)
    moment = losses.second_moment(rows(30, 4, 2) * torch.tensor([3.0, 2.0, 1.0, 0.1]))
    z, t, lam = arrays(online, target, moment)
    z, t, s = unit(z), unit(t), 3.0
    expected = 0.0
    for n in range(5):
        quadratic = sum(z[n, i] * lam[i, j] * z[n, j] for i in range(4) for j in range(i + 1))
        expected += (-s * z[n] @ t[n] + s**2 / 2 * quadratic) / 5
    loss = losses.spectral_mutual_information(online, target, moment, scale=s, form=form)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert target.grad is None

    triangle = np.tril(lam)
    pull = triangle if form == "gha" else (triangle + triangle.T) / 2
    raw = arrays(online)[0]
    for n in range(5):
        slope = (-s * t[n] + s**2 * pull @ z[n]) / 5
        expected_gradient = (slope - z[n] * (z[n] @ slope)) / np.linalg.norm(raw[n])
        np.testing.assert_allclose(online.grad[n].numpy(), expected_gradient, rtol=1e-4, atol=1e-6)


def test_second_moment_has_trace_one():
    x = rows(9, 4)
    expected = np.mean([np.outer(v, v) for v in unit(arrays(x)[0])], axis=0)
    np.testing.assert_allclose(losses.second_moment(x).numpy(), expected, atol=1e-6)
    assert losses.second_moment(x).trace().item() == pytest.approx(1)


def test_codes_are_chosen_and_used():
    a, b = rows(6, 10, 0), rows(6, 10, 1)
    codes = torch.where(rows(10, 32, 2) > 0, 1.0, -1.0)
    log_p, log_q = (losses.code_log_probabilities(x, codes) for x in (a, b))
    u, v, w = arrays(a, b, codes)
    # The paper's form: embedding sqrt(f / n) u / |u|, temperature f / (sqrt(n) log(...)); any n gives the same.
    n, f, c, epsilon = 6, 10, 32, 1e-8
    temperature = f / (math.sqrt(n) * math.log((1 - epsilon * (c - 1)) / epsilon))
    probabilities = []
    for x in (u, v):
        logits = math.sqrt(f / n) * unit(x) @ w / temperature
        probabilities.append(np.array([np.exp(row - log_sum_exp(row)) for row in logits]))
    p, q = probabilities
    np.testing.assert_allclose(log_p.exp().numpy(), p, rtol=1e-3, atol=1e-7)
    agreement = -np.mean([np.sum(p[i] * np.log(q[i])) for i in range(6)])
    assert losses.code_agreement(log_p, log_q).item() == pytest.approx(agreement, rel=1e-4)
    mean = p.mean(axis=0)
    assert losses.code_imbalance(log_p).item() == pytest.approx(np.sum(mean * np.log(mean * c)), rel=1e-4)
    assert losses.code_imbalance(torch.full((6, 32), -math.log(32))).item() == pytest.approx(0, abs=1e-6)
    one_each = torch.full((6, 32), -60.0)
    one_each[torch.arange(6), torch.arange(6)] = 0
    assert losses.code_imbalance(one_each).item() == pytest.approx(math.log(32 / 6), rel=1e-5), "the floor for B < C"


def test_info_nce():
    query, positive, negatives = rows(5, 7, 0, grad=True), rows(5, 7, 1, grad=True), rows(11, 7, 2, grad=True)
    q, k, m = (unit(x) for x in arrays(query, positive, negatives))
    costs = [log_sum_exp(np.append(m @ q[i], q[i] @ k[i]) / 0.2) - q[i] @ k[i] / 0.2 for i in range(5)]
    loss = losses.info_nce(query, positive, negatives, temperature=0.2)
    assert loss.item() == pytest.approx(np.mean(costs), rel=1e-5)
    loss.backward()
    assert query.grad.abs().max() > 0
    assert positive.grad is None
    assert negatives.grad is None


def test_places_are_matched_by_the_cosine_of_their_features():
    query, key = rows(2 * 6, 5, 0).view(2, 6, 5), rows(2 * 6, 5, 1).view(2, 6, 5)
    values = rows(2 * 6, 3, 2).view(2, 6, 3)
    found = losses.matched(query, key, values)
    q, k, v = arrays(query, key, values)
    for b in range(2):
        for i in range(6):
            best = max(range(6), key=lambda j: unit(q[b, i]) @ unit(k[b, j]))
            np.testing.assert_allclose(found[b, i].numpy(), v[b, best], rtol=1e-6)
    shuffled = torch.tensor([3, 1, 5, 0, 4, 2])
    assert torch.equal(losses.matched(query, query[:, shuffled] * 2, values[:, shuffled]), values), "its own place"


def sinkhorn(scores: np.ndarray, epsilon: float) -> np.ndarray:
    """Three rounds: each prototype the same share of the images, each image one."""
    q = np.exp(scores / epsilon)
    for _ in range(3):
        q /= q.sum(axis=0, keepdims=True) * q.shape[1]
        q /= q.sum(axis=1, keepdims=True) * q.shape[0]
    return q * q.shape[0]


@pytest.mark.parametrize("queued", [0, 9])
def test_codes_are_balanced_together_with_the_queue(queued):
    cosine, queue = 0.3 * rows(6, 4, 0), 0.3 * rows(queued, 4, 1)
    codes = losses.balanced_codes(cosine, queue, epsilon=0.1)
    expected = sinkhorn(np.concatenate(arrays(cosine, queue)), 0.1)[:6]
    np.testing.assert_allclose(codes.numpy(), expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(codes.sum(dim=1).numpy(), 1, rtol=1e-5)


def test_swapped_prediction():
    cosine, codes = rows(5, 4, 0, grad=True), rows(5, 4, 1).softmax(dim=1).requires_grad_()
    x, q = arrays(cosine, codes)
    costs = [-sum(q[i, k] * (x[i, k] / 0.1 - log_sum_exp(x[i] / 0.1)) for k in range(4)) for i in range(5)]
    loss = losses.swapped_prediction(cosine, codes, temperature=0.1)
    assert loss.item() == pytest.approx(np.mean(costs), rel=1e-5)
    loss.backward()
    assert codes.grad is None


def test_a_queue_keeps_the_newest_rows():
    queue, seen = FeatureQueue(7, 3), []
    np.testing.assert_allclose(queue.rows_QD.norm(dim=1), 1, rtol=1e-6)
    for step, count in enumerate((3, 3, 3, 9, 2)):
        new = rows(count, 3, step)
        queue.push(new)
        seen += new.tolist()
        kept = {tuple(row) for row in queue.rows_QD.tolist()}
        assert {tuple(row) for row in seen[-7:]} <= kept, f"step {step}"
    again = FeatureQueue(7, 3)
    again.load_state_dict(queue.state_dict())
    new = rows(4, 3, 9)
    queue.push(new)
    again.push(new)
    assert torch.equal(queue.rows_QD, again.rows_QD)
