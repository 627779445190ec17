"""Settings shared by the verbs: frozen dataclasses out to YAML and back, strictly. No torch here."""

import hashlib
import typing
from collections.abc import Collection
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from sarl_training.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]
IMAGE_SIZES = range(32, 1025, 8)
SEEDS = range(2**31)  # each gives other numbers to whatever draws from it

T = TypeVar("T")


def check_image_size(size: int) -> int:
    """Return `size` (px); UsageError unless the encoder can use it."""
    if size not in IMAGE_SIZES:
        raise UsageError(
            f"--image-size {size}: must be a multiple of {IMAGE_SIZES.step} from {IMAGE_SIZES.start} "
            f"to {IMAGE_SIZES[-1]}, for example 128"
        )
    return size


def check_seed(seed: int) -> int:
    """Return `seed`; UsageError unless every generator takes it."""
    if seed not in SEEDS:
        raise UsageError(f"--seed {seed}: must be from {SEEDS.start} to {SEEDS[-1]}, for example 0")
    return seed


def check_region(region: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return `region` (x y width height, px); UsageError unless some image may hold it."""
    if min(region[:2]) < 0 or min(region[2:]) < 1:
        raise UsageError(f"--region {' '.join(map(str, region))}: x y from 0, width height from 1 are allowed")
    return region


def to_dict(config: Any) -> dict[str, Any]:
    """Plain values only: paths become strings and tuples lists, so that YAML and JSON give the same text everywhere."""
    return _plain(asdict(config))


def to_yaml(config: Any) -> str:
    """YAML text of a config dataclass, fields in the order of their declaration."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def config_hash(config: Any, apart_from: Collection[str] = ()) -> str:
    """SHA-256 (hex) of the config's values but those of `apart_from`, independent of their order."""
    values = {name: value for name, value in to_dict(config).items() if name not in apart_from}
    return hashlib.sha256(yaml.safe_dump(values, sort_keys=True).encode()).hexdigest()


def from_dict(default: T, values: dict[str, Any], where: str = "config") -> T:
    """Return `default` with `values` laid over it. An unknown key or a value of another type raises UsageError."""
    if not isinstance(values, dict):
        raise UsageError(
            f"{where}: {values!r} is not a group of settings; known: {', '.join(f.name for f in fields(default))}"
        )
    unknown = sorted(set(values) - {f.name for f in fields(default)})
    if unknown:
        raise UsageError(f"{where}.{unknown[0]}: unknown setting; known: {', '.join(f.name for f in fields(default))}")
    hints = typing.get_type_hints(type(default))
    return replace(
        default,
        **{key: _cast(getattr(default, key), hints[key], value, f"{where}.{key}") for key, value in values.items()},
    )


def differences(left: dict[str, Any], right: dict[str, Any], where: str = "") -> list[str]:
    """`name: left value, right value` of each setting in which two `to_dict` results differ, nested ones dotted."""
    found = []
    for key in dict.fromkeys([*left, *right]):
        a, b = left.get(key), right.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{where}{key}.")
        elif a != b:
            found.append(f"{where}{key}: {a!r} recorded, {b!r} asked for")
    return found


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts laid over each other; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = (
            merge(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
        )
    return merged


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _cast(current: Any, hint: Any, value: Any, where: str) -> Any:
    optional = [part for part in typing.get_args(hint) if part is not type(None)]
    if type(None) in typing.get_args(hint) and len(optional) == 1:
        return None if value is None else _cast(optional[0](), optional[0], value, where)
    if is_dataclass(current):
        return from_dict(current, value, where)
    if isinstance(current, tuple) and isinstance(value, list | tuple):
        if typing.get_args(hint)[-1:] == (Ellipsis,):
            current = tuple(value)
        if len(value) == len(current):
            return tuple(_cast(c, type(c), v, where) for c, v in zip(current, value, strict=True))
    if isinstance(current, Path) and isinstance(value, str | Path):
        return Path(value)
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if typing.get_origin(hint) is Literal and value not in typing.get_args(hint):
        raise UsageError(f"{where}: {value!r} is not one of {', '.join(map(str, typing.get_args(hint)))}")
    if type(value) is not type(current):
        raise UsageError(f"{where}: {value!r} is not a {type(current).__name__}, as in {current!r}")
    return value
