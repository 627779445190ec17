"""The pretraining loop: views -> terms -> step, and at times measure, probe and checkpoint."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from sarl_training import diagnostics, distributed
from sarl_training.config import to_dict
from sarl_training.device import is_out_of_memory, memory_peak_mb
from sarl_training.errors import DataRefused, RunFailed
from sarl_training.image_feed import ImageFeed
from sarl_training.methods import Method
from sarl_training.networks import BEST_ENCODER_FILE, ENCODER_FILE, save_encoder
from sarl_training.online_probe import SCORE, OnlineProbe
from sarl_training.optim import learning_rate, set_rate
from sarl_training.pretrain_config import PretrainConfig
from sarl_training.run_folder import RunFolder
from sarl_training.run_log import RunLog
from sarl_training.sampler import Sampler
from sarl_training.views import View, make_view

if TYPE_CHECKING:
    from lightning.fabric import Fabric

logger = logging.getLogger(__name__)

WATCHED_IMAGES = 512  # un-augmented images whose embeddings are watched for collapse
STEPS_AHEAD = 2  # whose images are already being read


class Pretraining:
    """The loop and what it needs. Between steps all its state is what a checkpoint holds.

    Every process takes the steps; the first one alone measures, logs and writes, since all hold the same networks.
    """

    def __init__(
        self,
        config: PretrainConfig,
        folder: RunFolder,
        fabric: Fabric,
        feed: ImageFeed,
        sampler: Sampler,
        method: Method,
        optimiser: torch.optim.Optimizer,
        metadata: dict[str, Any],
        probe: OnlineProbe | None = None,
    ) -> None:
        self.config, self.folder, self.fabric, self.feed, self.sampler = config, folder, fabric, feed, sampler
        self.method, self.optimiser, self.metadata, self.probe = method, optimiser, metadata, probe
        # Not Fabric's own wrapper: it forbids the gradients of single terms that are measured.
        self.network = fabric.strategy.setup_module(method)
        self.steps_per_epoch = sampler.steps_per_epoch
        self.total = self.steps_per_epoch * config.epochs
        self.step = self.saved_step = 0
        self.best = float("-inf")  # score of the best online probe so far
        self.meter = diagnostics.Meter()
        self.resume_command = f"sarl-train pretrain {config.method_name} --out {shlex.quote(str(config.out))} --resume"

    def restore(self) -> None:
        """Take over the newest whole checkpoint."""
        state = self.folder.load_checkpoint(self.fabric.device)
        if state is not None:
            try:
                self.method.load_state_dict(state["method"])
                self.optimiser.load_state_dict(state["optimiser"])
                self.meter.load_state(state["meter"])
                self.step, self.best = state["step"], state["best"]
                self.saved_step = self.step
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                if is_out_of_memory(error):
                    raise
                raise DataRefused(
                    f"{self.folder.path}: the checkpoint is not one of this method and architecture "
                    f"({str(error).splitlines()[0]}); start a new run in another --out"
                ) from error
        step = torch.tensor(self.step, device=self.fabric.device)
        if distributed.total(step) != self.step * distributed.world_size():
            raise RunFailed(
                f"--out {self.folder.path}: not every process found the checkpoint of step {self.step}; "
                "choose a folder that all machines see"
            )

    def train(self) -> None:
        """Run the steps that are left."""
        with contextlib.ExitStack() as stack:
            log = None
            if self.fabric.is_global_zero:
                log = stack.enter_context(self._open_log())
            saved = time.monotonic()
            while self.step < self.total:
                measure = (self.step + 1) % self.config.log_every == 0 or self.step + 1 == self.total
                terms, norms = self.take_step(measure)
                if log is None:
                    continue
                log.advance()
                self.meter.add(terms, self.config.batch_size)
                overdue = time.monotonic() - saved > 60 * self.config.checkpoint_minutes
                due = self.step % self.steps_per_epoch == 0 or overdue
                if measure or due:
                    self.meter.check_finite(self.step)
                if measure:
                    self.report(norms, log)
                if self.probe_is_due():
                    self.measure_probe(log)
                if due:
                    self.save()
                    saved = time.monotonic()

    def take_step(self, measure: bool) -> tuple[dict[str, Tensor], dict[str, float]]:
        """One step: its terms, and if `measure` the norms of the weighted terms' gradients at the end of layer 3.

        Both are means over processes; the terms also over the parts of the batch, the norms are those of the last part.
        """
        self.method.before_step(self.step, self.total)
        torch.manual_seed(((self.config.seed << 32) + self.step) % 2**63)  # whatever a method draws: no state to keep
        set_rate(self.optimiser, learning_rate(self.step, self.total, self.config.optim), peak=self.config.optim.lr)
        self.optimiser.zero_grad()
        epoch, parts = self.sampler.step(self.step)
        self._read_ahead()
        sums: dict[str, Tensor] = {}
        norms: dict[str, float] = {}
        for number, samples_B in enumerate(parts, start=1):
            last = number == len(parts)
            with contextlib.nullcontext() if last else self._without_exchange():
                views = self.views(samples_B, epoch)
                with self.fabric.autocast():
                    terms = self.network(*views)
                if measure and last:
                    layer3 = self.method.encoder.layer3[-1].conv2.weight
                    norms = diagnostics.gradient_norms(terms, self.method.weights(), layer3)
                (terms["loss"] / len(parts)).backward()
            sums = {name: sums.get(name, 0) + term.detach() for name, term in terms.items()}
        self.optimiser.step()
        self.method.after_step()
        self.step += 1
        means_T = distributed.total(torch.stack(list(sums.values()))) / (len(parts) * distributed.world_size())
        return dict(zip(sums, means_T, strict=True)), norms

    def views(self, samples_B: np.ndarray, epoch: int) -> list[View]:
        """The method's views of these images in this epoch, whatever ran before."""
        images_BHWC = self.feed.take(samples_B)
        plan = self.method.plan(self.config.views, self.config.image_size)
        return [
            make_view(images_BHWC, samples_B, size, view_config, seed=self.config.seed, epoch=epoch, view=number)
            for number, (view_config, size) in enumerate(plan)
        ]

    def watch(self) -> dict[str, float]:
        """Spread of the embeddings of a fixed set of images, with an alarm when they have become one."""
        images = self.sampler.images
        chosen = np.linspace(0, images - 1, min(WATCHED_IMAGES, images)).astype(int)
        with self.fabric.autocast():
            embedding_BD = diagnostics.embed(self.method.encoder, self.feed.take(chosen))
        spread = {
            "feature_std": diagnostics.feature_std(embedding_BD),
            "effective_rank": diagnostics.effective_rank(embedding_BD),
        }
        alarm = diagnostics.collapse_alarm(**spread)
        if alarm:
            logger.warning("step %d: %s", self.step, alarm)
        return {**spread, "collapsed": float(bool(alarm))}

    def report(self, norms: dict[str, float], log: RunLog) -> None:
        """Log what was measured since the last report, and show the terms beside the progress bar."""
        rate = learning_rate(self.step - 1, self.total, self.config.optim)
        memory = {"memory_peak_mb": memory_peak_mb(self.fabric.device)}
        values = {**self.meter.take(), "lr": rate, **norms, **self.watch(), **memory}
        log.log(self.step, self.step / self.steps_per_epoch, values)
        log.show(values, ("loss", *self.method.weights(), "effective_rank"))

    def probe_is_due(self) -> bool:
        """After every `probe_every` epochs and after the last one."""
        epoch, rest = divmod(self.step, self.steps_per_epoch)
        return self.probe is not None and not rest and (not epoch % self.config.probe_every or self.step == self.total)

    def measure_probe(self, log: RunLog) -> None:
        """Log the online probe; keep the encoder if its score is the best so far."""
        with self.fabric.autocast():
            values = self.probe.measure(self.method.encoder)
        if not values:
            return
        log.log(self.step, self.step / self.steps_per_epoch, values)
        if values[SCORE] > self.best:
            self.best = values[SCORE]
            self._write_encoder(BEST_ENCODER_FILE, {"probe_score": round(self.best, 6)})

    def save(self) -> None:
        """The encoder as it is now, then the checkpoint: a run killed in between writes the encoder again."""
        if not torch.stack([p.isfinite().all() for p in self.method.parameters()]).all():
            raise RunFailed(
                f"step {self.step}: weights not finite; training stopped, the last good checkpoint is kept. "
                "Lower --optim.lr, or set --precision float32"
            )
        state = {
            "step": self.step,
            "best": self.best,
            "meter": self.meter.state(),
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        self._write_encoder(ENCODER_FILE, {})
        try:
            self.folder.save_checkpoint(self.step, state)
        except RunFailed as error:
            raise self._with_way_on(error) from error
        self.saved_step = self.step

    def _open_log(self) -> RunLog:
        config = self.config
        progress = {"step": self.step, "steps": self.total, "batch_size": config.batch_size}
        return RunLog(self.folder, to_dict(config), config.trackers, **progress)

    def _write_encoder(self, name: str, more: dict[str, Any]) -> None:
        metadata = {**self.metadata, "steps": f"{self.step}/{self.total}", **more}
        try:
            save_encoder(self.method.encoder, self.folder.path / name, metadata)
        except RunFailed as error:
            raise self._with_way_on(error) from error

    def _with_way_on(self, error: RunFailed) -> RunFailed:
        return RunFailed(f"{error}. The last checkpoint is whole. Then continue with: {self.resume_command}")

    def _without_exchange(self) -> contextlib.AbstractContextManager:
        """Gradients are averaged over processes after the last part of a batch only."""
        return self.network.no_sync() if isinstance(self.network, DistributedDataParallel) else contextlib.nullcontext()

    def _read_ahead(self) -> None:
        for step in range(self.step, min(self.step + 1 + STEPS_AHEAD, self.total)):
            for samples_B in self.sampler.step(step)[1]:
                self.feed.expect(samples_B)
