"""Tells how the node does: the log once per change, /diagnostics each second and at a change, ~/fresh when it turns."""

from __future__ import annotations

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from sarl_perception.diagnostics import diagnostic_array
from sarl_perception.estimator import TactileEstimator
from sarl_perception.faults import Fault, FaultBoard, Level
from sarl_perception.frame_counters import Report

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PERIOD_S = 1.0
TOLERANCE_S = 0.05  # half a look, so that a report is not a look late


class Reporter:
    """Remembers what was said, so that the log says it once."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._board = FaultBoard()
        self._is_fresh: bool | None = None
        self._reported_s = float("-inf")
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._fresh = node.create_publisher(Bool, "~/fresh", LATCHED)

    def look(
        self,
        report: Report,
        faults: Iterable[Fault],
        now_s: float,
        *,
        state: str,
        is_fresh: bool,
        estimator: TactileEstimator | None,
    ) -> None:
        """Take in the faults of this moment and tell what has to be told."""
        news = self._board.update(faults, now_s)
        logger = self._node.get_logger()
        for fault in news.began:
            text = f"{fault.text} [{fault.name}; said once, /diagnostics goes on]"
            if fault.level == Level.WARN:  # two calls: rclpy wants one severity per line of code
                logger.warning(text)
            else:
                logger.error(text)
        for name in news.over:
            logger.info(f"over: {name}")
        has_turned = is_fresh != self._is_fresh
        if has_turned:
            self._is_fresh = is_fresh
            self._fresh.publish(Bool(data=is_fresh))
        if news.has_changed or has_turned or now_s - self._reported_s >= PERIOD_S - TOLERANCE_S:
            self._reported_s = now_s
            self._diagnostics.publish(
                diagnostic_array(
                    self._node.get_fully_qualified_name(),
                    self._node.get_clock().now().to_msg(),
                    report,
                    self._board,
                    state=state,
                    is_fresh=is_fresh,
                    estimator=estimator,
                )
            )
