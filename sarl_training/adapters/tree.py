"""The files of a source, a folder or a zip archive, by their relative names; read one at a time, never unpacked."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from sarl_training.adapters.base import natural
from sarl_training.errors import DataRefused
from sarl_training.image_file import IMAGE_SUFFIXES

LARGEST_FILE_BYTES = 512 * 2**20
_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError)
_BROKEN_ZIP = "a zip archive that is cut or broken; download or copy it again"
_DRIVE = re.compile(r"[A-Za-z]:")


class Tree:
    """`names` are the visible files in natural order, posix style."""

    def __init__(self, path: Path, names: list[str], archive: zipfile.ZipFile | None = None) -> None:
        self.path, self._archive = path, archive
        self.names = sorted((name for name in names if not _hidden(name)), key=natural)
        self._known = set(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def images(self) -> list[str]:
        """Names of image files, in natural order."""
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]

    def read(self, name: str) -> bytes:
        """The file's bytes; ValueError says why not."""
        try:
            if self._archive is None:
                return (self.path / name).read_bytes()
            if self._archive.getinfo(name).file_size > LARGEST_FILE_BYTES:
                raise ValueError(f"larger than {LARGEST_FILE_BYTES >> 20} MiB in the archive")
            return self._archive.read(name)
        except _UNREADABLE as error:
            raise ValueError(f"cannot be read ({' '.join(str(error).split())})") from error


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """Raises DataRefused when nothing is there, or a zip archive holds a name that leads out of it."""
    if path.is_dir():
        files = [file.relative_to(path).as_posix() for file in _walk(path)]
        yield Tree(path, files)
    elif zipfile.is_zipfile(path):
        with _archive(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            for name in names:
                if (reason := unsafe(name)) is not None:
                    raise DataRefused(f"{path}: holds a file named {name!r} ({reason}); do not use this archive")
            yield Tree(path, names, archive)
    elif not path.exists():
        raise DataRefused(f"{path}: no such file or folder")
    else:
        raise DataRefused(f"{path}: {_why_no_archive(path)}")


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise DataRefused(f"{path}: {_BROKEN_ZIP}") from error


def _why_no_archive(path: Path) -> str:
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as error:
        return f"cannot be read ({error.strerror}); check its permissions, or copy it again"
    if path.suffix.lower() == ".zip" or begins == b"PK\x03\x04":
        return _BROKEN_ZIP
    return "neither a folder nor a zip archive; unpack it first"


def unsafe(name: str) -> str | None:
    """Why a name from a file may not be joined to a folder, or None."""
    posix = name.replace("\\", "/")
    if not posix.strip() or "\0" in name:
        return "empty name"
    if posix.startswith("/") or _DRIVE.match(posix):
        return "absolute path"
    if ".." in PurePosixPath(posix).parts:
        return "leads out of the folder"
    return None


def _walk(folder: Path) -> Iterator[Path]:
    """Files below, folders behind links too, each real folder once."""
    pending, seen = [folder], set()
    while pending:
        here = pending.pop()
        real = here.resolve()
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = list(here.iterdir())
        except OSError as error:
            raise DataRefused(f"{here}: cannot be read ({error.strerror}); allow it or move it away") from error
        for entry in entries:
            if entry.is_dir():
                if not entry.name.startswith("."):
                    pending.append(entry)
            elif entry.is_file():
                yield entry


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)
