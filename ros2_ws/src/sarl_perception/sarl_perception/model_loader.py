"""From the parameters to a model that is checked, warm and fits them."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.task import Future

from sarl_perception.contract import ModelRefused
from sarl_perception.estimator import InferenceFailed, Region, TactileEstimator
from sarl_perception.model_path import resolve_model
from sarl_perception.parameters import Settings, region_fault


def load_model(settings: Settings) -> TactileEstimator:
    """The model that the settings name, after a few warming runs. Raises `ModelRefused`."""
    estimator = TactileEstimator(
        resolve_model(settings.model),
        providers=settings.providers,
        region=region_of(settings),
        sensor=settings.sensor or None,
        threads=settings.threads,
    )
    fault = region_fault(settings.region, estimator.contract.height, estimator.contract.width)
    if fault:
        raise ModelRefused(f"{estimator.model_path}: {fault}")
    try:
        estimator.warm_up()
    except InferenceFailed as error:
        raise ModelRefused(f"does not run: {error}") from error
    return estimator


def load_in_thread(settings: Settings, executor: Any) -> Future:
    """Future of `load_model`'s result or error, awaited by a callback of the executor, which goes on meanwhile."""
    loaded: Future = Future(executor=executor)

    def load() -> None:
        try:
            loaded.set_result(load_model(settings))
        except Exception as error:  # the thread's last line of defence: whoever waits must hear
            loaded.set_result(error)

    threading.Thread(target=load, name="load model", daemon=True).start()
    return loaded


def region_of(settings: Settings) -> Region | None:
    """The region of interest (x, y, width, height) in pixels; None for the largest centred square."""
    x, y, width, height = settings.region
    return (x, y, width, height) if width > 0 else None
