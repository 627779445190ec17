"""What of a folder of images was taken, and what was not and why: every file is counted."""

import csv
import io
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sarl_training.errors import DataRefused
from sarl_training.file_hashes import hashes_or_errors
from sarl_training.image_file import find_images
from sarl_training.image_store import load_readable

LEAST_PX = 32  # an image with a shorter side shows nothing of a contact
CENSUS_FILE = "images.csv"
_EXAMPLES = 3


class Entry(NamedTuple):
    """One file (or a folder that was not looked into)."""

    file: str
    """Path below the folder."""
    taken: bool
    what: str
    """Kind of a taken image, else the reason."""
    detail: str = ""
    """Width × height, or what is special about this one."""


@dataclass(frozen=True)
class Census:
    """All entries of a folder."""

    folder: Path
    entries: list[Entry]

    def table(self) -> str:
        """Counts per kind and per reason, each with its first examples; one line each."""
        taken = [entry for entry in self.entries if entry.taken]
        lines = [f"{self.folder}: {len(self.entries)} entries, {len(taken)} images taken"]
        for value, title in ((True, "taken"), (False, "not taken")):
            groups: dict[str, list[Entry]] = defaultdict(list)
            for entry in self.entries:
                if entry.taken is value:
                    groups[entry.what].append(entry)
            for what, group in sorted(groups.items(), key=lambda item: -len(item[1])):
                named = ", ".join(printable(entry.file) for entry in group[:_EXAMPLES])
                lines.append(
                    f"  {title:<10}{len(group):>7}  {what:<38} {named}{', …' if len(group) > _EXAMPLES else ''}"
                )
        return "\n".join(lines)

    def to_csv(self) -> bytes:
        """UTF-8 with a header; bytes of names that are no UTF-8 are written as `\\udcXX`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "taken", "what", "detail"])
        writer.writerows(
            (entry.file, "yes" if entry.taken else "no", entry.what, entry.detail) for entry in self.entries
        )
        return text.getvalue().encode(errors="backslashreplace")


def read_counts(file: Path) -> list[tuple[str, str, str]]:
    """(taken or not taken, count, what) of a written census, the commonest first."""
    with file.open(newline="", encoding="utf-8") as opened:
        counts = Counter((row["taken"] != "yes", row["what"]) for row in csv.DictReader(opened))
    ordered = sorted(counts.items(), key=lambda item: (item[0][0], -item[1]))
    return [("not taken" if left_out else "taken", str(count), what) for (left_out, what), count in ordered]


def printable(name: str) -> str:
    """A file name on one line of any terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def take_images(folder: Path, size: int) -> tuple[list[Path], np.ndarray, Census]:
    """Every image of a folder that can be used, contents once: paths, uint8 [N, size, size, 3], and the census.

    Raises DataRefused with the table when none is left.
    """
    paths, others = find_images(folder)
    refusal = {path: _split(reason) for path, reason in others.items()}
    first: dict[str, Path] = {}
    copies: dict[Path, str] = {}
    for path, found in zip(paths, hashes_or_errors(paths), strict=True):
        if isinstance(found, OSError):
            refusal[path] = ("cannot be read", str(found.strerror))
        elif found in first:
            copies[path] = found
        else:
            first[found] = path
    images, facts, refused = load_readable(list(first.values()), list(first), size, LEAST_PX)
    refusal |= {first[content]: _split(reason) for content, reason in refused.items()}
    for path, content in copies.items():
        original = first[content]
        refusal[path] = refusal.get(original) or ("same content as another", os.path.relpath(original, folder))
    taken = {first[content]: fact for content, fact in facts.items()}
    entries = [
        Entry(os.path.relpath(path, folder), True, taken[path].kind, f"{taken[path].width}×{taken[path].height}")
        if path in taken
        else Entry(os.path.relpath(path, folder), False, *refusal[path])
        for path in sorted([*paths, *others])
    ]
    census = Census(folder, entries)
    if not taken:
        reasons = "; ".join(" ".join(line.split()) for line in census.table().splitlines()[1:])
        raise DataRefused(f"{folder}: no image that can be used: {reasons}")
    return list(taken), images, census


def _split(reason: str) -> tuple[str, str]:
    """`does not decode (image file is truncated)` -> the reason that counts, and what is particular."""
    what, bracket, detail = reason.partition(" (")
    return what, detail.removesuffix(")") if bracket else ""
