"""Where results may be written, asked before hours of work and not after them."""

import os
import tempfile
from pathlib import Path

from sarl_training.errors import UsageError


def check_out(out: Path, data: Path) -> None:
    """UsageError if `--out`, a folder of results, is in the data or cannot be written. Nothing is created."""
    if data.resolve() in (out.resolve(), *out.resolve().parents):
        raise UsageError(f"--out {out}: is in the folder of --data; choose another, results do not go among the data")
    check_writable(out)


def check_writable(folder: Path) -> None:
    """UsageError if `folder` cannot be written, nor made in its nearest parent that exists."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not place.is_dir():
        raise UsageError(f"{folder}: {place} is a file, not a folder; choose another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{folder}: {place} cannot be written with your permissions; choose another place")
    try:
        with tempfile.TemporaryFile(dir=place):  # root may write anywhere, says os.access, in /proc too
            pass
    except OSError as error:
        raise UsageError(
            f"{folder}: no file can be made in {place} ({error.strerror}); choose another place"
        ) from error
