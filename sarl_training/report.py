"""`sarl-train report`: one run as a page, several runs compared, or simulated units held against real frames."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from sarl_training.errors import UsageError
from sarl_training.output_place import check_writable
from sarl_training.realism import RealismConfig, hold_against_reality
from sarl_training.run_report import REPORT_FILE, write_comparison, write_report

REALISM = "--realism"


@dataclass(frozen=True)
class ReportConfig:
    """Draw report.html of a training run, or compare several runs in one page. Needs the run folders only.

    `sarl-train report --realism REALFRAMES --out DIR` is something else: real frames of a sensor held against simulated
    units; see `sarl-train report --realism --help`.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of `pretrain`."""
    out: Path | None = None
    """File for the comparison of several runs; comparison.html in this folder when not given."""


def parse(words: list[str]) -> ReportConfig | RealismConfig:
    """Words after `sarl-train report`."""
    config = RealismConfig if any(word.partition("=")[0] == REALISM for word in words) else ReportConfig
    if config is RealismConfig and {"-h", "--help"} & set(words):
        words = ["--help"]
    return tyro.cli(config, args=words, prog="sarl-train report")


def run(config: ReportConfig | RealismConfig) -> None:
    """Write the page and say where it is."""
    if isinstance(config, RealismConfig):
        page, said = hold_against_reality(config)
        print(f"{said}\nwritten: {page}")
    elif not config.runs:
        raise UsageError("report: no run given; say for example `sarl-train report runs/sarl`")
    elif len(config.runs) == 1:
        if config.out is not None:
            raise UsageError(f"--out {config.out}: one run is reported in its own folder ({REPORT_FILE}); leave it out")
        print(f"written: {write_report(config.runs[0])}")
    else:
        out = config.out or Path("comparison.html")
        if out.is_dir():
            raise UsageError(f"--out {out}: is a folder; give a file, for example {out / 'comparison.html'}")
        check_writable(out.parent)
        print(f"written: {write_comparison(config.runs, out)}")
