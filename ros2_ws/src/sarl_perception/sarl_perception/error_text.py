"""Errors of libraries, which may have many lines, as one."""

from __future__ import annotations


def one_line(error: Exception) -> str:
    """The error's message without line breaks."""
    return " ".join(str(error).split())
