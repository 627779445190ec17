"""Where real frames are, for the tests that need them; `test_realdata.py` names their three public sources."""

import os
from pathlib import Path

import pytest

REALDATA = Path(os.environ.get("SARL_REALDATA", Path(__file__).resolve().parents[2] / "shared" / "realdata"))
needed = pytest.mark.skipif(
    not REALDATA.is_dir(), reason=f"no real frames at {REALDATA}: set SARL_REALDATA to the folder that holds them"
)
