"""Doing the runs in order, one process per GPU when there are several; what fails does not stop the rest."""

import errno
import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from sarl_training.atomic_file import write_atomically
from sarl_training.benchmarking.plan import Run
from sarl_training.benchmarking.records import Record
from sarl_training.benchmarking.settings import identity
from sarl_training.benchmarking.work import Workplace, perform
from sarl_training.errors import RunFailed, SarlError

logger = logging.getLogger(__name__)

_RECORD_FILE, _ERROR_FILE, _LOG_FILE = "record.json", "error.txt", "log.txt"
_POLL_S = 0.2
Store = Callable[[Record], object]


def left_to_do(runs: Sequence[Run], records: Mapping[str, Record], place: Workplace) -> list[Run]:
    """Runs without a record of the same settings and data, and those done ones whose files they still need."""
    hashes = {data: place.sources.hash(data) for data in {run.data for run in runs}}
    todo = {run for run in runs if not _is_recorded(run, records, hashes[run.data])}
    for run in reversed(runs):
        if run in todo:
            todo |= {need for need in run.needs if not place.artifact(need).exists()}
    return [run for run in runs if run in todo]


def _is_recorded(run: Run, records: Mapping[str, Record], data_hash: str) -> bool:
    record = records.get(run.key)
    return record is not None and record["config_sha256"] == identity(run) and record["data_sha256"] == data_hash


def do_here(runs: Sequence[Run], place: Workplace, store: Store) -> dict[str, str]:
    """One after another in this process; the reason by key of each that failed. RunFailed when none could succeed."""
    failed: dict[str, str] = {}
    for number, run in enumerate(runs, start=1):
        reason = _why_not(run, failed)
        print(f"\n[{number}/{len(runs)}] {run.key}{': left out, ' + reason if reason else ''}", flush=True)
        if not reason:
            try:
                store(perform(run, place))
            except Exception as error:  # of whatever kind: the other runs go on
                _stop_if_hopeless(error)
                logger.debug("%s", run.key, exc_info=True)
                reason = one_line(error)
                print(f"failed: {reason}", flush=True)
        if reason:
            failed[run.key] = reason
    return failed


def do_spread(runs: Sequence[Run], place: Workplace, store: Store, devices: Sequence[str]) -> dict[str, str]:
    """One process per device (an entry of CUDA_VISIBLE_DEVICES); runs start as soon as what they need is done."""
    waiting, failed = list(runs), dict[str, str]()
    working: dict[str, tuple[Run, BaseProcess]] = {}
    try:
        while waiting or working:
            for run in [run for run in waiting if _why_not(run, failed)]:
                failed[run.key] = _why_not(run, failed)
                waiting.remove(run)
            for device in devices:
                run = next_ready(waiting, [other for other, _ in working.values()])
                if device not in working and run is not None:
                    working[device] = run, _start(run, place, device)
                    waiting.remove(run)
            time.sleep(_POLL_S)
            for device, (run, process) in list(working.items()):
                if not process.is_alive():
                    del working[device]
                    reason = _collect(run, process, place, store)
                    print(f"{run.key}: {'failed: ' + reason if reason else 'done'} (on {device})", flush=True)
                    failed |= {run.key: reason} if reason else {}
    finally:
        for _, process in working.values():
            process.terminate()
    return failed


def next_ready(waiting: Iterable[Run], working: Iterable[Run]) -> Run | None:
    """The first run that needs none of those still to come."""
    waiting = list(waiting)
    unfinished = {*waiting, *working}
    return next((run for run in waiting if not unfinished & set(run.needs)), None)


def one_line(error: BaseException) -> str:
    """What went wrong, without line breaks."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SarlError) else f"{type(error).__name__}: {text}"


def _why_not(run: Run, failed: Mapping[str, str]) -> str:
    broken = [need.key for need in run.needs if need.key in failed]
    return f"needs {broken[0]}, which failed" if broken else ""


def _stop_if_hopeless(error: BaseException) -> None:
    """Re-raise what every other run would meet as well: a full disk, or an interruption that a verb reported."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            raise seen
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise RunFailed(f"{one_line(error)}. What is done is kept; the same command goes on") from error
        seen = seen.__cause__


def _start(run: Run, place: Workplace, device: str) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(run, place))
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = device  # a child looks at it once, on import
    try:
        process.start()
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
    return process


def _work(run: Run, place: Workplace) -> None:
    """In a process of its own: leaves a record or an error beside the run's folder, and its output in log.txt."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    outcome = _outcome(place.run_folder(run.key))
    outcome.mkdir(parents=True, exist_ok=True)
    for left_over in (_RECORD_FILE, _ERROR_FILE):  # by a benchmark that was killed before it collected them
        (outcome / left_over).unlink(missing_ok=True)
    log = os.open(outcome / _LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        write_atomically(outcome / _RECORD_FILE, json.dumps(perform(run, place)).encode())
    except Exception as error:  # of whatever kind: this process ends with its run
        write_atomically(outcome / _ERROR_FILE, one_line(error).encode())


def _end_with_parent() -> None:
    """A killed benchmark must not go on in the same folders as its successor."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _collect(run: Run, process: BaseProcess, place: Workplace, store: Store) -> str:
    """Store the record that a process left; the reason when there is none."""
    process.join()
    outcome = _outcome(place.run_folder(run.key))
    record, error = outcome / _RECORD_FILE, outcome / _ERROR_FILE
    if record.exists():
        store(json.loads(record.read_text(encoding="utf-8")))
        record.unlink()
        return ""
    if error.exists():
        reason = error.read_text(encoding="utf-8")
        error.unlink()
        return reason
    return f"its process ended with {process.exitcode}; see {outcome / _LOG_FILE}"


def _outcome(folder: Path) -> Path:
    """Beside the run's folder, which is emptied when its settings changed."""
    return folder.with_name(f"{folder.name}.process")
