"""The node's state as one diagnostic_msgs/DiagnosticArray."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from sarl_perception.estimator import TactileEstimator
from sarl_perception.frame_counters import Report


@dataclass
class Faults:
    """Standing faults, one line each, with what to do; empty when there is none."""

    model: str = ""
    qos: str = ""
    _refused: dict[str, str] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, reason: str, message: str) -> bool:
        """Note a frame that was refused; True the first time this reason is seen. Safe from the worker thread."""
        with self._lock:
            self._refused[reason] = message
            is_new = reason not in self._seen
            self._seen.add(reason)
            return is_new

    def take_refused(self) -> str:
        """The reasons for which frames were refused since the last call, as one line."""
        with self._lock:
            refused, self._refused = self._refused, {}
            return "; ".join(refused.values())


def judge(report: Report, faults: Faults, *, active: bool) -> tuple[bytes, str]:
    """(diagnostic level, one line that says the most important thing): the first rule that holds."""
    refused = faults.take_refused()
    silent, mute = report.input_hz == 0, report.output_hz == 0
    rules = [
        (bool(faults.model), DiagnosticStatus.ERROR, faults.model),
        (not active, DiagnosticStatus.OK, "not active"),
        (silent and bool(faults.qos), DiagnosticStatus.ERROR, faults.qos),
        (silent, DiagnosticStatus.STALE, "no images: is the camera running, on this topic and this ROS_DOMAIN_ID?"),
        (mute, DiagnosticStatus.ERROR, f"no image answered: {refused or 'no frame is finished yet'}"),
        (bool(refused), DiagnosticStatus.WARN, refused),
    ]
    return next(((level, text) for holds, level, text in rules if holds), (DiagnosticStatus.OK, "answering"))


def diagnostic_array(
    name: str, stamp: Time, report: Report, faults: Faults, *, state: str, estimator: TactileEstimator | None
) -> DiagnosticArray:
    """Message for `/diagnostics`; `state` is the lifecycle state's label."""
    level, message = judge(report, faults, active=state == "active")
    values = {
        "state": state,
        "input_rate_hz": f"{report.input_hz:.1f}",
        "output_rate_hz": f"{report.output_hz:.1f}",
        "received": str(report.received),
        **{outcome: str(count) for outcome, count in report.outcomes.items()},
        "latency_ms_p50": f"{report.age_ms[0]:.2f}",
        "latency_ms_p99": f"{report.age_ms[1]:.2f}",
        "processing_ms_p50": f"{report.processing_ms[0]:.2f}",
        "processing_ms_p99": f"{report.processing_ms[1]:.2f}",
        **(_identity(estimator) if estimator else {}),
    }
    status = DiagnosticStatus(
        level=level,
        name=f"{name}: tactile perception",
        message=message,
        hardware_id=estimator.contract.sensor if estimator else "",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _identity(estimator: TactileEstimator) -> dict[str, str]:
    contract = estimator.contract
    provenance = contract.provenance
    return {
        "model": str(estimator.model_path),
        "model_method": provenance["method"],
        "model_run": provenance["run"],
        "model_commit": provenance["commit"],
        "model_data": f"{'simulated' if provenance['simulated'] else 'real'} ({provenance['dataset']})",
        "model_outputs": ", ".join(contract.outputs),
        "provider": estimator.provider,
    }
