"""The node's state as one diagnostic_msgs/DiagnosticArray."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from sarl_perception.estimator import TactileEstimator
from sarl_perception.faults import FaultBoard
from sarl_perception.frame_counters import Report


def diagnostic_array(
    name: str,
    stamp: Time,
    report: Report,
    board: FaultBoard,
    *,
    state: str,
    is_fresh: bool,
    estimator: TactileEstimator | None,
) -> DiagnosticArray:
    """Message for `/diagnostics`; `state` is the lifecycle state's label, or disabled."""
    faults = board.standing
    waiting = "waiting for the first answer" if state == "active" else f"not active: {state}"
    values = {
        "state": state,
        "outputs": "fresh" if is_fresh else "stale",
        "last_output_s": f"{report.since_output_s:.1f}" if report.outcomes["answered"] else "nan",
        "faults": ", ".join(fault.name for fault in faults),
        **{f"fault.{fault.name}": fault.text for fault in faults},
        "input_rate_hz": f"{report.input_hz:.1f}",
        "output_rate_hz": f"{report.output_hz:.1f}",
        "sent_rate_hz": f"{report.sent_hz:.1f}",
        "received": str(report.received),
        "lost": str(report.lost),
        **{outcome: str(count) for outcome, count in report.outcomes.items()},
        "latency_ms_p50": f"{report.latency_ms('age', 50):.2f}",
        "latency_ms_p99": f"{report.latency_ms('age', 99):.2f}",
        "transport_ms_p50": f"{report.latency_ms('transport', 50):.2f}",
        "processing_ms_p50": f"{report.latency_ms('processing', 50):.2f}",
        "processing_ms_p99": f"{report.latency_ms('processing', 99):.2f}",
        "inference_ms_p50": f"{report.latency_ms('inference', 50):.2f}",
        "inference_ms_p99": f"{report.latency_ms('inference', 99):.2f}",
        "overhead_ms_p50": f"{report.latency_ms('overhead', 50):.2f}",
        "unfamiliarity": f"{report.unfamiliarity:.2f}",
        **(_identity(estimator) if estimator else {}),
    }
    status = DiagnosticStatus(
        level=bytes([board.level]),
        name=f"{name}: tactile perception",
        message=" | ".join(fault.text for fault in faults) or ("answering" if is_fresh else waiting),
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
