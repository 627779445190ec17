"""Write a file so that no reader ever sees half of it: written aside, then renamed over the name asked for."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from sarl_training.errors import RunFailed


def write_atomically(path: Path, chunks: bytes | Iterable[bytes], *, durable: bool = False) -> None:
    """Write `chunks` to `path`; on any failure the old `path` stays and nothing is left beside it.

    `durable` waits until the disk has it, so that not even a power cut leaves half a file: for checkpoints.

    Raises RunFailed when the file system refuses (disk full, no permission).
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
                file.write(chunk)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise RunFailed(
            f"{path}: cannot write: {error.strerror or error}; free space or choose another place, then start again"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # it would stand in for the reason
            aside.unlink(missing_ok=True)
