"""Whether two checkpoints hold the same, to the bit."""

import torch


def assert_same(left: object, right: object, where: str = "state") -> None:
    """Equal tensors and values in dicts and lists of the same build; `where` names the place in the message."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, list):
        for index, pair in enumerate(zip(left, right, strict=True)):
            assert_same(*pair, f"{where}[{index}]")
    else:
        assert left == right, where
