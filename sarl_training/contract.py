"""The JSON an ONNX file carries for the robot side: `models/contract.schema.json` is the law, CONTRACT.md explains
it.
"""

import importlib.metadata
import json
from functools import cache
from pathlib import Path

import jsonschema

from sarl_training.errors import DataRefused

VERSION = 1
METADATA_KEY = "sarl_contract"
_SCHEMA = "contract.schema.json"


@cache
def schema() -> dict:
    """The contract's JSON Schema: from the checkout, else from where the wheel's data file was installed."""
    file = Path(__file__).resolve().parents[1] / "models" / _SCHEMA
    if not file.exists():
        installed = importlib.metadata.files("sarl-training") or []
        file = next(Path(entry.locate()) for entry in installed if entry.name == _SCHEMA)
    return json.loads(file.read_text(encoding="utf-8"))


def check_contract(contract: dict) -> None:
    """Raises DataRefused that names the first field against the schema, and the value found."""
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema()).iter_errors(contract))
    if error is not None:
        field = ".".join(str(part) for part in error.absolute_path) or "contract"
        raise DataRefused(f"{METADATA_KEY}: {field}: {error.message}; see models/CONTRACT.md")
    names = [output["name"] for output in contract["outputs"]]
    if len(set(names)) != len(names):
        raise DataRefused(f"{METADATA_KEY}: outputs: names {', '.join(names)} must differ; see models/CONTRACT.md")
