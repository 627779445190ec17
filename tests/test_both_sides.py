"""What training and the robot must do alike without sharing code: the way from an image to the model's input."""

from types import SimpleNamespace

import numpy as np
import pytest
from sarl_perception.encodings import ENCODINGS
from sarl_perception.estimator import crop, resize
from sarl_perception.image_input import message_to_rgb

from sarl_training.adapters import ros_messages
from sarl_training.dataset import square_and_resize
from sarl_training.image_file import decode_bytes


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (101, 150), (150, 101), (33, 33), (480, 640), (20, 31)])
@pytest.mark.parametrize("size", [33, 64])
def test_crop_and_resize_agree_to_the_bit(shape: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.array_equal(square_and_resize(image, size), resize(crop(image, None), size, size))


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("name", sorted(ENCODINGS.keys() - {"nv24"}))
def test_a_recorded_image_is_what_the_node_saw(name: str, big_endian: bool) -> None:
    """Of every encoding that the node reads by itself; nv24 is for the node alone."""
    height, width = 6, 10
    step = ENCODINGS[name].row_bytes(width) + 6
    data = np.random.default_rng(0).integers(0, 256, 2 * height * step, np.uint8)
    message = SimpleNamespace(
        height=height, width=width, encoding=name, step=step, data=data, is_bigendian=int(big_endian)
    )
    recorded = decode_bytes(ros_messages.image_file(message))[0]
    assert np.array_equal(recorded, message_to_rgb(message))
