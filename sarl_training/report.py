"""`sarl-train report`: one run as a page, or several runs compared in one."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from sarl_training.errors import UsageError
from sarl_training.run_report import REPORT_FILE, write_comparison, write_report


@dataclass(frozen=True)
class ReportConfig:
    """Draw report.html of a training run, or compare several runs in one page. Needs the run folders only."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of `pretrain`."""
    out: Path | None = None
    """File for the comparison of several runs; comparison.html in this folder when not given."""


def run(config: ReportConfig) -> None:
    """Write the page and say where it is."""
    if not config.runs:
        raise UsageError("sarl-train report: no run given; say for example `sarl-train report runs/sarl`")
    if len(config.runs) == 1:
        if config.out is not None:
            raise UsageError(f"--out {config.out}: one run is reported in its own folder ({REPORT_FILE}); leave it out")
        print(f"written: {write_report(config.runs[0])}")
    else:
        print(f"written: {write_comparison(config.runs, config.out or Path('comparison.html'))}")
