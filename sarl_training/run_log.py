"""The story of a run while it goes on: metrics.jsonl, the same values in the trackers, and the progress bar."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from tqdm import tqdm

from sarl_training.run_folder import RunFolder
from sarl_training.trackers import TrackerName, Trackers


class RunLog:
    """What the one process that writes tells of a run. A context manager."""

    def __init__(
        self,
        folder: RunFolder,
        config: Mapping[str, Any],
        trackers: Iterable[TrackerName],
        *,
        step: int,
        steps: int,
        batch_size: int,
    ) -> None:
        """Forget what was logged after step `step`, from which the run goes on to `steps`."""
        self.folder, self.batch_size = folder, batch_size
        history = folder.forget_metrics_after(step)
        self._trackers = Trackers(folder.path, config, tuple(trackers), history)
        self._bar = tqdm(
            total=steps * batch_size,
            initial=step * batch_size,
            unit="img",
            unit_scale=True,
            desc=config["method_name"],
            smoothing=0.05,
        )

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._trackers.close()

    def advance(self) -> None:
        """One step more on the progress bar."""
        self._bar.update(self.batch_size)

    def log(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl, and the same in the trackers."""
        self.folder.log({"step": step, "epoch": round(epoch, 3), "time": round(time.time(), 3), **values})
        self._trackers.log(step, values)

    def show(self, values: Mapping[str, float], names: Iterable[str]) -> None:
        """Values beside the progress bar."""
        self._bar.set_postfix_str(" ".join(f"{name} {values[name]:.3g}" for name in names))
