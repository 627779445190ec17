"""Where a model file is, from what a user writes."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from sarl_perception.contract import ModelRefused

PACKAGE = "sarl_perception"
SCHEME = "package://"


def resolve_model(text: str) -> Path:
    """Path of a model given as a bare name (in this package's models folder), ~/path, absolute path or package://name/path.

    A path relative to the current folder is taken as such when it holds a slash. Raises `ModelRefused`.
    """
    if not text:
        raise ModelRefused("parameter model is empty: give a name, ~/path, absolute path or package://package/path")
    if text.startswith(SCHEME):
        package, _, rest = text.removeprefix(SCHEME).partition("/")
        return _share(package, text) / rest
    if "/" in text:
        return Path(text).expanduser().absolute()
    models = _share(PACKAGE, text) / "models"
    path = models / (text if text.endswith(".onnx") else f"{text}.onnx")
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in models.glob("*.onnx"))) or "none"
        raise ModelRefused(
            f"no model {text!r}; installed: {known}. Give a path to a file written by sarl-train export, or put one in"
            " models/ and build the workspace again"
        )
    return path


def _share(package: str, text: str) -> Path:
    try:
        return Path(get_package_share_directory(package))
    except (PackageNotFoundError, ValueError) as error:
        raise ModelRefused(f"model {text!r}: package {package!r} is not installed or not sourced") from error
