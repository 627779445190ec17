"""Tiny copies of public layouts, as their authors write them: header blanks, spelling variants, empty rows and all."""

from pathlib import Path

import cv2
import numpy as np
from tiny_dataset import bar_image


def picture(path: Path, number: int, size: int = 40) -> Path:
    """An image file that differs from every other number's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = bar_image(((number * 37) % 100) / 50 - 1, (number * 53) % 90 - 45, size)
    image[0, :16] = ((number >> np.arange(16)) & 1)[:, None] * 200
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


def bristol(root: Path, count: int = 30, old: bool = False) -> Path:
    """`cr_tactip/surface_3d/{train,val}`: targets and images; the newer or the older columns."""
    names = ["x", "y", "z", "Rx", "Ry", "Rz"]
    pose = [f"pose_{i + 1}" if old else f"pose_{name}" for i, name in enumerate(names)]
    shear = [f"move_{i + 1}" if old else f"shear_{name}" for i, name in enumerate(names)]
    image_folder, table = ("sensor_images", "targets.csv") if old else ("processed_images", "targets_images.csv")
    rng = np.random.default_rng(0)
    for split, start in (("train", 0), ("val", 1000)):
        folder = root / "cr_tactip" / "surface_3d" / split
        lines = [",".join(["sensor_image", "obj_id", *pose, *shear])]
        for k in range(count):
            picture(folder / image_folder / f"image_{k + 1}.png", start + k)
            values = [0, 0, rng.uniform(1, 5), rng.uniform(-25, 25), 0, 0, rng.uniform(-5, 5), 0, 0, 0, 0, 0]
            lines.append(",".join([f"image_{k + 1}.png", "1", *(f"{value:.6f}" for value in values)]))
        (folder / table).write_text("\n".join(lines) + "\n")
    return root


def multidiffsense(root: Path, contacts: int = 10) -> Path:
    """One object seen by three sensors; the table ends in empty rows."""
    lines = [
        "image_name,data_name,obj_id,pose_id," + ",".join(f"{n}_{i}" for n in ("pose", "move") for i in range(1, 7))
    ]
    for k in range(contacts):
        for s, sensor in enumerate(("TacTip", "ViTac", "ViTacTip")):
            picture(root / "tactile" / "1" / sensor / "target" / f"1_{sensor}_{k}.png", 100 * s + k)
        lines.append(f"frame_{k}_0.png,frame_{k},1,{k + 1},{k * 0.5 - 2},{k % 3},0.5,0,0,{k * 10 - 45},0,0,0,0,0,0")
    (root / "csv").mkdir()
    (root / "csv" / "1.csv").write_text("\n".join([*lines, *["," * 15] * 4, ""]) + "\n")
    return root


def tacverse(root: Path) -> Path:
    """All three parts; the sensor's name is misspelt in one, names have two or three parts, the header has blanks."""
    force = root / "Force_Regression" / "ViTacTip"
    lines = ["image_name , fx, fy ,fz "]
    for k in range(60):
        picture(force / f"img_{k}.jpg", k)
        lines.append(f"img_{k}.jpg, {0.01 * k:.3f}, {-0.02 * k:.3f}, {-1 - 0.1 * (k % 7):.3f}")
    (force / "ViTacTip.csv").write_text("\n".join(lines) + "\n")
    for kind, label in enumerate(("sphere", "cone", "wave")):
        for k in range(20):
            picture(
                root / "Shape_Classification" / "GelsigntNoMarker" / label / f"{label}_{k}.jpg", 1000 + 50 * kind + k
            )
    for s, size in enumerate(("0.30", "0.35", "1.5")):
        for group in range(1, 11):
            frames = [f"{size}_{group}.jpg"] if group == 1 else [f"{size}_{group}_{f}.jpg" for f in (1, 2)]
            for f, name in enumerate(frames):
                place = root / "Grating_Classification" / "ViTac" / "Blackline" / name
                picture(place, 5000 + 100 * s + 4 * group + f)
    return root


def class_folders(root: Path, count: int = 40, splits: tuple[str, ...] = ("",)) -> Path:
    """Two classes of a sequence each, with or without folders of splits above."""
    for p, part in enumerate(splits):
        for c, name in enumerate(("type_2", "type_10")):
            for k in range(count):
                picture(root / part / name / f"frame{k}.png", 4000 * p + 2000 * c + k)
    return root
