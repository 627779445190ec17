"""The story of a run while it goes on: metrics.jsonl, the same values in TensorBoard, and the progress bar."""

import shutil
import time
from collections.abc import Iterable
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from sarl_training.run_folder import RunFolder

NOT_DRAWN = ("step", "epoch", "time")


class RunLog:
    """What the one process that writes tells of a run. A context manager.

    TensorBoard's files are written anew from metrics.jsonl when a run is resumed: a killed process leaves them without
    their last values, or with values of steps that come again.
    """

    def __init__(self, folder: RunFolder, name: str, *, step: int, steps: int, batch_size: int) -> None:
        """Forget what was logged after step `step`, from which the run goes on to `steps`."""
        self.folder, self.batch_size = folder, batch_size
        kept = folder.forget_metrics_after(step)
        shutil.rmtree(folder.path / "tensorboard", ignore_errors=True)
        self._writer = SummaryWriter(folder.path / "tensorboard")
        for values in kept:
            self._draw(values)
        self._bar = tqdm(
            total=steps * batch_size, initial=step * batch_size, unit="img", unit_scale=True, desc=name, smoothing=0.05
        )

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()
        self._writer.close()

    def advance(self) -> None:
        """One step more on the progress bar."""
        self._bar.update(self.batch_size)

    def log(self, step: int, epoch: float, values: dict[str, float]) -> None:
        """One line of metrics.jsonl and as many points in TensorBoard."""
        line = {"step": step, "epoch": round(epoch, 3), "time": round(time.time(), 3), **values}
        self.folder.log(line)
        self._draw(line)

    def show(self, values: dict[str, float], names: Iterable[str]) -> None:
        """Values beside the progress bar."""
        self._bar.set_postfix_str(" ".join(f"{name} {values[name]:.3g}" for name in names))

    def _draw(self, line: dict[str, float]) -> None:
        for name, value in line.items():
            if name not in NOT_DRAWN:
                self._writer.add_scalar(name, value, line["step"], walltime=line["time"])
