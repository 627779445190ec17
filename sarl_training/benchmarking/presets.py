"""How large a benchmark is: images, epochs, seeds. One line per preset."""

from dataclasses import dataclass
from typing import Literal

from sarl_training.simulate import Suite

PresetName = Literal["full", "standard", "cpu_long", "cpu", "smoke"]


@dataclass(frozen=True)
class Preset:
    """One size of the whole benchmark."""

    name: PresetName
    suite: Suite
    """Simulated contacts to pretrain on and to probe."""
    transfer_suite: Suite
    render_size: int
    """Side of the simulated images in pixels; they are read at `image_size`."""
    image_size: int
    epochs: int
    batch_size: int
    seeds: int
    supervised_epochs: int
    supervised_batch: int
    transfer_epochs: int
    transfer_batch: int
    baselines: Literal["paper", "recommended"]
    """Preset of the baselines' own settings (the size above goes on top): widths as published, or what a small run
    can carry. SARL runs with both of its presets."""
    shows: str
    """What its tables can and cannot show."""


PRESETS: dict[PresetName, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "full", "full", "transfer", 224, 224, 100, 256, 3, 60, 64, 60, 64, "paper",
            "The paper's sizes: 224 px, 100 epochs, batch 256, on as many contacts.",
        ),
        Preset(
            "standard", "standard", "transfer_standard", 224, 128, 60, 256, 3, 60, 64, 60, 64, "recommended",
            "A quarter of the contacts at 128 px: the order of the methods; gratings under 1 mm are 2 to 4 px wide.",
        ),
        Preset(
            "cpu_long", "small", "transfer_small", 224, 64, 12, 32, 3, 20, 32, 20, 32, "recommended",
            "As cpu for 12 epochs, 1 275 steps, five hours on two cores for Table I alone: which methods gain from "
            "longer training. Neither gratings and textures nor the end of a published schedule.",
        ),
        Preset(
            "cpu", "small", "transfer_small", 224, 64, 4, 32, 3, 20, 32, 20, 32, "recommended",
            "4 000 contacts at 64 px for 4 epochs, a night on two cores: whether a method learns poses and contact "
            "points at all, and large differences. Not gratings and textures (finer than a pixel), nor which method "
            "would win a long run: 4 epochs are 425 steps, the published schedules have tens of thousands.",
        ),
        Preset(
            "smoke", "smoke", "transfer_smoke", 64, 32, 1, 32, 1, 1, 8, 1, 16, "recommended",
            "smoke: says nothing. One epoch of dozens of 32 px images; it shows that every part runs.",
        ),
    )
}  # fmt: skip
