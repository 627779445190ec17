"""results.json: one record per run, merged by key under a lock, and means over seeds."""

import fcntl
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sarl_training.atomic_file import write_atomically
from sarl_training.errors import DataRefused, RunFailed

Record = dict[str, Any]
_FORMAT = 1


def read_records(path: Path) -> dict[str, Record]:
    """By key; empty when the file is not there. DataRefused when it is something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataRefused(f"{path}: cannot be read as JSON ({error}); restore it, or move it away") from error
    records = content.get("records") if isinstance(content, dict) and content.get("format") == _FORMAT else None
    if not isinstance(records, dict):
        raise DataRefused(f"{path}: not a file of sarl-train benchmark; move it away, or give another --out")
    return records


def merge_record(path: Path, record: Record) -> dict[str, Record]:
    """Put one record in, whatever another process put in since; returns all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = {**read_records(path), record["key"]: record}
            content = {"format": _FORMAT, "records": dict(sorted(records.items())), "means": means(records.values())}
            write_atomically(path, (json.dumps(content, indent=1) + "\n").encode(), durable=True)
    except OSError as error:
        raise RunFailed(f"{path}: cannot be written ({error.strerror or error}); free space or give --out") from error
    return records


def means(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean, standard deviation (of the population) and number of seeds of each test metric, by key without seed."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for name, value in record.get("test", {}).items():
            values[group_of(record["key"])][name].append(value)
    return {
        group: {
            name: {"mean": statistics.fmean(v), "std": statistics.pstdev(v), "seeds": len(v)}
            for name, v in sorted(metrics.items())
        }
        for group, metrics in sorted(values.items())
    }


def scope_of(key: str) -> str:
    """The preset, and the dataset when it is the user's own."""
    return key.partition("/")[0]


def group_of(key: str) -> str:
    """The key without its seed."""
    return key.rpartition("/")[0]
