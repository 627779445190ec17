"""The node's parameters as the Markdown table of README: `ros2_ws/env.sh python -m sarl_perception.parameter_table`."""

from __future__ import annotations

import sys
from typing import Any

from sarl_perception.parameters import ABOUT, About, SettingsRefused, read_defaults


def parameter_table() -> str:
    """One row per parameter: value in `config/perception.yaml`, meaning, range, and when a change takes effect."""
    values = read_defaults()
    rows = [f"| `{name}` | `{_shown(values[name])}` | {_meaning(about)} |" for name, about in ABOUT.items()]
    return "\n".join(["| parameter | value | meaning |", "|---|---|---|", *rows])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(str(item) for item in value)}]"
    return str(value) if value != "" else '""'


def _meaning(about: About) -> str:
    allowed = f" {about.low:g} to {about.high:g}." if about.low is not None and about.high is not None else ""
    return f"{about.text}{allowed} *{about.effect}*"


def main() -> int:
    """Print the table."""
    try:
        print(parameter_table())
    except SettingsRefused as error:
        print(f"parameter_table: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
