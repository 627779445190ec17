"""Tests leave nothing in the user's cache and do not fight for cores."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from ros_peer import Peer


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny tensors are computed faster by one thread than shared out, much faster on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images and hashes of the tests live in their own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def ros_domain() -> Iterator[None]:
    """ROS on a domain of the test module's own, on this machine only."""
    import rclpy
    from sarl_demo.processes import free_domain

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(free_domain()))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        rclpy.init()
        yield
        rclpy.utilities.try_shutdown()


@pytest.fixture
def peer(ros_domain: None) -> Iterator["Peer"]:
    """The other side of the node's topics and services."""
    from ros_peer import Peer

    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file that answers constants."""
    from tiny_model import write_model

    return write_model(tmp_path / "tiny.onnx")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What a process under test prints."""
    return tmp_path / "log"


@pytest.fixture(autouse=True, scope="session")
def no_reports() -> Iterator[None]:
    """Drawing a report takes longer than the small runs of most tests; test_report.py draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sarl_training.pretrain.write_report", lambda path: path)
        yield
