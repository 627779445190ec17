"""Settings of `sarl-train report --realism`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sarl_training.config import Device, check_region, check_seed
from sarl_training.errors import UsageError
from sarl_training.realism.simulated import ObjectName


@dataclass(frozen=True)
class RealismConfig:
    """Hold simulated units of a sensor against real frames of one unit: pins, their motion, light, sharpness.

    Writes realism.html, .png, .md and .json: each figure of the real unit, and whether it is inside the 5 to 95 % range
    of simulated units.
    """

    realism: Path
    """Real frames in contact: a folder that `sarl-train ingest` wrote, or a plain folder of one unit's frames."""
    out: Path
    """Folder to write."""
    sensor: Literal["vitactip", "vitac", "tactip"] = "vitactip"
    """Which skin the frames show, and which is simulated."""
    region: tuple[int, int, int, int] | None = None
    """Square of the camera image, x y width height in pixels, that the visible circle fills to 97 %; the whole centre
    square when not given. Leave it out for a folder that was ingested with one."""
    rest: Path | None = None
    """A frame with nothing in reach, of the same camera and region: pin motion is then from there, else from each pin's
    median place, and sharpness without contact is compared too."""
    touched: ObjectName = "bar"
    """What the simulated units press: bar (2 x 16 mm), plate (wider than the tip, hard or soft), edge or ball."""
    ranking_model: Path | None = None
    """ONNX file of `export`: how well its press depth ranks the frames, which are then one press in order of their
    names."""
    units: int = 40
    """Simulated units."""
    contacts: int = 6
    """Contacts of each."""
    frames: int = 200
    """Real frames to read at most, evenly over the folder."""
    seed: int = 0
    """Seed of the simulated units."""
    device: Device = "auto"
    """Where to simulate."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name, value, least in (
            ("units", self.units, 2),
            ("contacts", self.contacts, 1),
            ("frames", self.frames, 3),
        ):
            if value < least:
                raise UsageError(f"--{name} {value}: at least {least} is needed")
        if self.region is not None:
            check_region(self.region)
