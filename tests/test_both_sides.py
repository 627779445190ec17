"""What training and the robot must do alike without sharing code: the way from an image to the model's input."""

import numpy as np
import pytest
from sarl_perception.estimator import crop, resize

from sarl_training.dataset import square_and_resize


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (101, 150), (150, 101), (33, 33), (480, 640), (20, 31)])
@pytest.mark.parametrize("size", [33, 64])
def test_crop_and_resize_agree_to_the_bit(shape: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.array_equal(square_and_resize(image, size), resize(crop(image, None), size, size))
