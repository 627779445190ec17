"""Batches of the image pool on the training device: from the GPU's own memory when the pool fits there, else read from
the cache file by a thread that stays ahead of the steps.
"""

import logging
import os
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from sarl_training.errors import DataRefused

logger = logging.getLogger(__name__)

POOL_SHARE = 0.4  # of a GPU's free memory; the rest is for the networks, whose batch is not known to fit yet
_CHUNK = 256  # images copied at once when a pool goes to the GPU


class ImageFeed(ABC):
    """uint8 RGB images by their numbers in the pool, on the training device."""

    @abstractmethod
    def take(self, samples_B: np.ndarray) -> Tensor:
        """B×H×W×3 on the device."""

    def expect(self, samples_B: np.ndarray) -> None:  # noqa: B027 - nothing to do where all images are at hand
        """Say that `take` of these very numbers will come soon."""


def open_feed(images_NHWC: np.memmap, device: torch.device) -> ImageFeed:
    """The fastest feed that `device` has memory for."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        fits = images_NHWC.nbytes <= POOL_SHARE * free
        place = "kept on the GPU" if fits else "streamed to the GPU"
        logger.info("images: %.2f GB, %s (%.1f GB free there)", images_NHWC.nbytes / 1e9, place, free / 1e9)
        if fits:
            return OnDevice(images_NHWC, device)
    return Streamed(images_NHWC, device)


class OnDevice(ImageFeed):
    """The whole pool in the device's memory."""

    def __init__(self, images_NHWC: np.memmap, device: torch.device) -> None:
        rows = _Rows(images_NHWC, pinned=device.type == "cuda")
        self.pool_NHWC = torch.empty(images_NHWC.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(images_NHWC), _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, len(images_NHWC)))
            self.pool_NHWC[numbers[0] : numbers[-1] + 1].copy_(rows.read(numbers), non_blocking=True)

    def take(self, samples_B: np.ndarray) -> Tensor:
        numbers_B = torch.from_numpy(samples_B)
        if self.pool_NHWC.is_cuda:
            numbers_B = numbers_B.pin_memory()
        return self.pool_NHWC.index_select(0, numbers_B.to(self.pool_NHWC.device, non_blocking=True))


class Streamed(ImageFeed):
    """Batches read ahead by a thread, through pinned memory and a CUDA stream of their own where there is a GPU.

    Memory is that of the batches expected, however large the pool is.
    """

    def __init__(self, images_NHWC: np.memmap, device: torch.device) -> None:
        self.device = device
        self._rows = _Rows(images_NHWC, pinned=device.type == "cuda")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._reader = ThreadPoolExecutor(1, "images")
        self._expected: dict[bytes, Future] = {}

    def expect(self, samples_B: np.ndarray) -> None:
        key = samples_B.tobytes()
        if key not in self._expected:
            self._expected[key] = self._reader.submit(self._read, samples_B)

    def take(self, samples_B: np.ndarray) -> Tensor:
        expected = self._expected.pop(samples_B.tobytes(), None)
        images_BHWC, copied = expected.result() if expected else self._read(samples_B)
        if copied is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(copied)
            images_BHWC.record_stream(current)  # its memory is not given away before this stream is done with it
        return images_BHWC

    def _read(self, samples_B: np.ndarray) -> tuple[Tensor, "torch.cuda.Event | None"]:
        images_BHWC = self._rows.read(samples_B)
        if self._stream is None:
            return images_BHWC, None
        with torch.cuda.stream(self._stream):
            return images_BHWC.to(self.device, non_blocking=True), self._stream.record_event()


class _Rows:
    """Rows of a memory-mapped array by positional reads: pages touched through the map would count as our memory."""

    def __init__(self, images_NHWC: np.memmap, *, pinned: bool) -> None:
        self.path, self.start, self.pinned = images_NHWC.filename, images_NHWC.offset, pinned
        self.shape, self.row_bytes = images_NHWC.shape[1:], images_NHWC[0].nbytes
        self.file = os.open(self.path, os.O_RDONLY)  # stays readable when the cache drops the file

    def read(self, samples_B: np.ndarray) -> Tensor:
        images_BHWC = torch.empty((len(samples_B), *self.shape), dtype=torch.uint8, pin_memory=self.pinned)
        for row, number in zip(images_BHWC.numpy(), samples_B.tolist(), strict=True):
            if os.preadv(self.file, [row], self.start + number * self.row_bytes) != self.row_bytes:
                raise DataRefused(f"{self.path}: cut short at image {number}; delete the file and start again")
        return images_BHWC

    def __del__(self) -> None:
        if hasattr(self, "file"):  # else it could not be opened
            os.close(self.file)
