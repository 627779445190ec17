"""`sarl-train VERB ...`: parse the words, call the verb, report errors in one line. Nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import logging
import math
import os
import re
import select
import sys
import traceback

import tyro

from sarl_training import __version__
from sarl_training.errors import ExitStatus, SarlError, UsageError

VERBS = {
    "simulate": "render contacts of a simulated fingertip with ground truth",
    "ingest": "real frames and labels of a foreign layout, or a rosbag, as a dataset: ingest rosbag ...",
    "pretrain": "pretrain an encoder without labels: pretrain sarl, or a baseline to compare it with",
    "supervise": "train a ResNet-18 on labels: from scratch, the bound for frozen encoders, or fine-tune one",
    "probe": "measure a frozen encoder with linear probes",
    "transfer": "fine-tune an encoder's last block on classes of sensors that it has never seen",
    "benchmark": "the paper's tables and figures, from one command that can be killed and started again",
    "export": "fit deployment heads and write one ONNX file for the robot",
    "calibrate": "fit a model file to another unit of its sensor from a few labelled contacts",
    "report": "a training run as a page, or several compared",
    "demo": "all of it, from nothing to poses on a ROS 2 topic",
}

SECONDS_BETWEEN_LOGGED_PROGRESS = "10"  # of progress bars whose updates pile up in a file

TOPICS = ("pretrain", "ingest")  # verbs whose options depend on their first word


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (`errors.ExitStatus`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    show_traceback = "--traceback" in words
    words = [word for word in words if word != "--traceback"]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", SECONDS_BETWEEN_LOGGED_PROGRESS)
    try:
        status = _dispatch(words)
        sys.stdout.flush()  # here, not at exit, where a reader that has gone is a traceback
        return status
    except SarlError as error:
        if show_traceback:
            traceback.print_exc()
        _complain(str(error))
        return error.status
    except KeyboardInterrupt:
        _complain("interrupted; start the same command again, with --resume where it has that")
        return ExitStatus.FAILED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return ExitStatus.FAILED
        if show_traceback:
            traceback.print_exc()
        _complain(f"{type(error).__name__}: {' '.join(str(error).split())}; --traceback shows where")
        return ExitStatus.FAILED


def _reader_has_gone() -> bool:
    """Whether nobody reads what is printed (`| head`): nothing to say then, and what is still to print goes nowhere."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    gone = bool(watch.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone


def _complain(message: str) -> None:
    """One line, also when torchrun started several processes and all of them fail."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from sarl_training.distributed import first_to_fail

        if not first_to_fail():
            return
    print(f"sarl-train: {message}", file=sys.stderr)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return ExitStatus.DONE if words else ExitStatus.USAGE
    if words[0] == "--version":
        print(f"sarl-train {__version__}")
        return ExitStatus.DONE
    verb, *rest = words
    if verb not in VERBS:
        raise UsageError(f"{verb}: unknown command; choose from {', '.join(VERBS)}")
    module = importlib.import_module(f"sarl_training.{verb}")
    config = _parse(module, verb, rest)
    if config is None:
        return ExitStatus.DONE
    module.run(config)
    return ExitStatus.DONE


def _parse(module: object, verb: str, words: list[str]) -> object | None:
    """The verb's config, or None when help was asked for and shown. tyro's boxed messages become one line."""
    parse = getattr(module, "parse", None) or (
        lambda args: tyro.cli(getattr(module, f"{verb.capitalize()}Config"), args=args, prog=f"sarl-train {verb}")
    )
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            config = parse(words)
    except SystemExit as stop:
        if stop.code in (0, None):
            print(out.getvalue(), end="")
            return None
        topic = f"{verb} {words[0]}" if verb in TOPICS else verb
        raise UsageError(_one_line(err.getvalue() or out.getvalue()) + f"; see sarl-train {topic} --help") from None
    _check_finite(config)
    return config


def _check_finite(config: object, prefix: str = "--") -> None:
    """UsageError for nan and inf, which pass for numbers on the command line."""
    for field in dataclasses.fields(config):
        value, flag = getattr(config, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            _check_finite(value, f"{flag}.")
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise UsageError(f"{flag} {number}: must be a finite number")


def _one_line(boxed: str) -> str:
    """The text of tyro's box without its title, which the text says again, and without the help that `see` names."""
    text = re.sub(r"\x1b\[[0-9;]*m|[─-╿]", " ", boxed).split("For full helptext")[0]
    title, *lines = [" ".join(line.split()) for line in text.splitlines() if line.strip("- ")]
    said = " ".join(lines) or title
    said = re.split(r" Got errors:| Argument helptext:", said)[0].removeprefix("Error parsing ").rstrip(".")
    said = re.sub(r"invalid literal for int\(\) with base 10: (.*)", r"\1 is no whole number", said)
    return re.sub(r"could not convert string to float: (.*)", r"\1 is no number", said)


def _overview() -> str:
    lines = [f"  {verb:<10} {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: sarl-train COMMAND [options]     (sarl-train COMMAND --help shows a command's options)",
            "",
            "A sense of touch for camera-in-gel fingertips: train on the workstation, publish over ROS 2.",
            "",
            *lines,
            "",
            "Exit codes: 0 done, 1 the program failed, 2 the words were wrong, 3 the data or model file was refused.",
            "--traceback shows where an error came from.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
