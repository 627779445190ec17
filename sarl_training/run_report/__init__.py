"""A run as a page that a person reads: `report.html` in its folder, complete in itself."""

from sarl_training.run_report.page import REPORT_FILE, write_comparison, write_report
from sarl_training.run_report.samples import keep_samples

__all__ = ["REPORT_FILE", "keep_samples", "write_comparison", "write_report"]
