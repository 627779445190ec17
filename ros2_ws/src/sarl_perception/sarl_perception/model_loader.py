"""From the parameters to a model that is checked, warm and fits them."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.task import Future

from sarl_perception.contract import ModelRefused
from sarl_perception.error_text import one_line
from sarl_perception.estimator import InferenceFailed, TactileEstimator
from sarl_perception.model_path import resolve_model
from sarl_perception.outputs import check_topics
from sarl_perception.parameters import Settings, region_fault


def load_model(settings: Settings) -> TactileEstimator:
    """The model that the settings name, after a few warming runs. Raises `ModelRefused`."""
    try:
        return _load(settings)
    except ModelRefused:
        raise
    except Exception as error:  # rclpy would swallow it, and so would a thread: a folder that may not be read, ...
        raise ModelRefused(f"{settings.model}: {type(error).__name__}: {one_line(error)}") from error


def _load(settings: Settings) -> TactileEstimator:
    estimator = TactileEstimator(
        resolve_model(settings.model),
        providers=settings.providers,
        sensor=settings.sensor or None,
        threads=settings.threads,
    )
    check_topics(estimator.contract)
    fault = region_fault(settings.region, estimator.contract.height, estimator.contract.width)
    if fault:
        raise ModelRefused(f"{estimator.model_path}: {fault}")
    try:
        estimator.warm_up()
    except InferenceFailed as error:
        raise ModelRefused(f"does not run: {error}") from error
    return estimator


def load_in_thread(settings: Settings, executor: Any) -> Future:
    """Future of `load_model`'s result or refusal, awaited by a callback of the executor, which goes on meanwhile."""
    loaded: Future = Future(executor=executor)

    def load() -> None:
        try:
            loaded.set_result(load_model(settings))
        except ModelRefused as error:
            loaded.set_result(error)

    threading.Thread(target=load, name="load model", daemon=True).start()
    return loaded
