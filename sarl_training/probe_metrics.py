"""Scores of probes and of the mean predictor, per axis or per rank, and the table that shows them.

Shapes: S seeds, N samples, D axes, K classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Scores = dict[str, float]
TOP = 5
_MODELS = {"encoder": "encoder", "random_init": "random-init", "mean": "mean predictor"}


def regression_scores(predicted_SND: Tensor, true_ND: Tensor, columns: Sequence[str]) -> Scores:
    """Mean absolute error per label column in its unit, their `mean`, and `<name>_std` over seeds."""
    from torchmetrics.functional import mean_absolute_error

    errors_SD = torch.stack([
        mean_absolute_error(values_ND.contiguous(), true_ND.contiguous(), num_outputs=len(columns)).reshape(-1)
        for values_ND in predicted_SND
    ])  # fmt: skip
    return _over_seeds({**dict(zip(columns, errors_SD.T, strict=True)), "mean": errors_SD.mean(1)})


def classification_scores(scores_SNK: Tensor, true_N: Tensor) -> Scores:
    """`top1` and, with more than five classes, `top5`, as fractions, and `<name>_std` over seeds."""
    from torchmetrics.functional.classification import multiclass_accuracy

    classes = scores_SNK.shape[2]
    ranks = {"top1": 1, "top5": TOP} if classes > TOP else {"top1": 1}
    return _over_seeds({
        name: torch.stack([
            multiclass_accuracy(scores_NK, true_N, classes, average="micro", top_k=k) for scores_NK in scores_SNK
        ])
        for name, k in ranks.items()
    })  # fmt: skip


def prior(labels_N: Tensor, classes: int, count: int) -> Tensor:
    """[1, count, K]: how often each class occurs in train, for every sample: the classification's mean predictor."""
    return torch.bincount(labels_N, minlength=classes).float().expand(1, count, classes)


def _over_seeds(values: Mapping[str, Tensor]) -> Scores:
    scores: Scores = {}
    for name, value_S in values.items():
        scores[name] = float(value_S.mean())
        scores[f"{name}_std"] = float(value_S.std(correction=0))
    return scores


def table_lines(task: str, results: Mapping[str, Mapping[str, Scores]]) -> list[str]:
    """One task's test scores, mean ± std over seeds; accuracies in percent."""
    names = [name for name in results["encoder"]["test"] if not name.endswith("_std")]
    percent = {"top1": 100.0, "top5": 100.0}
    lines = [f"{task:<16}" + "".join(f"{name + (' %' if name in percent else ''):>18}" for name in names)]
    for key, label in _MODELS.items():
        test = results[key]["test"]
        cells = [(test[name] * percent.get(name, 1), test[f"{name}_std"] * percent.get(name, 1)) for name in names]
        lines.append(f"  {label:<14}" + "".join(f"{mean:>10.3f} ± {std:<5.3f}" for mean, std in cells))
    return lines
