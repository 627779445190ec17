"""Lifecycle node: camera images in, tactile estimates out. Wiring only; the work is in the modules it imports.

Topics and services are those of README, ROS 2 interface. configure loads, checks and warms up the model; activate
subscribes. The executor thread only takes messages; one worker thread answers the newest.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from sarl_perception.contract import ModelRefused
from sarl_perception.diagnostics import Faults, diagnostic_array
from sarl_perception.estimator import InferenceFailed, Region, TactileEstimator
from sarl_perception.frame_counters import FrameCounters
from sarl_perception.frame_pipeline import Arrival, FramePipeline
from sarl_perception.mailbox import Worker
from sarl_perception.model_path import resolve_model
from sarl_perception.parameters import Settings, SettingsRefused, declare_parameters, read_settings
from sarl_perception.publishers import PUBLISHERS, OutputPublisher

TRANSPORTS = {"raw": (Image, "image_raw"), "compressed": (CompressedImage, "image_raw/compressed")}
RELIABILITIES = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}
OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
REPORT_PERIOD_S = 1.0
RCLError = rclpy_implementation.RCLError


class PerceptionNode(LifecycleNode):
    """Publishes what the model's heads allow, stamped like the image; nothing is better than a stale or wrong pose."""

    def __init__(self) -> None:
        super().__init__("perception_node")
        declare_parameters(self)
        self._settings: Settings
        self._estimator: TactileEstimator | None = None
        self._outputs: list[OutputPublisher] = []
        self._overlay: Any = None
        self._subscription: Any = None
        self._worker: Worker[Arrival] | None = None
        self._counters = FrameCounters()
        self._faults = Faults()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady clock: reports go on while simulated time stands still.
        self._reporter = self.create_timer(REPORT_PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # ---- lifecycle -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Configure and activate, when the parameter `autostart` says so."""
        if self.get_parameter("autostart").value and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._settings = settings = read_settings(self)
        try:
            estimator = TactileEstimator(
                resolve_model(settings.model),
                providers=settings.providers,
                region=_region(settings),
                sensor=settings.sensor or None,
                threads=settings.threads,
            )
            estimator.warm_up()
        except (ModelRefused, InferenceFailed) as error:
            self._faults.model = f"model refused: {error}"
            self.get_logger().error(self._faults.model)
            return TransitionCallbackReturn.FAILURE
        self._faults.model = ""
        self._estimator = estimator
        for output in estimator.contract.outputs.values():
            publisher = PUBLISHERS[output.kind](output)
            publisher.create(self, OUTPUT_QOS)
            self._outputs.append(publisher)
        self._overlay = self.create_publisher(Image, "overlay", OUTPUT_QOS)
        self._announce(estimator)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._counters = FrameCounters()
        self._faults = Faults()
        pipeline = FramePipeline(
            settings=self._settings,
            estimator=self._estimator,
            outputs=self._outputs,
            overlay=self._overlay,
            clock=self.get_clock(),
            logger=self.get_logger(),
            counters=self._counters,
            faults=self._faults,
            is_running=self.context.ok,
        )
        self._worker = Worker(pipeline.answer, "inference")
        message_type, topic = TRANSPORTS[self._settings.image_transport]
        self._subscription = self.create_subscription(
            message_type,
            topic,
            self._receive,
            QoSProfile(depth=1, reliability=RELIABILITIES[self._settings.reliability]),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._note_incompatible_qos),
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_input()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop the worker and destroy the node."""
        self._stop_input()
        self.destroy_node()

    def _stop_input(self) -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None:
            if self._worker.stop():
                self._counters.count("dropped")
            self._worker = None

    def _release(self) -> None:
        self._stop_input()
        for publisher in self._outputs:
            publisher.destroy(self)
        self._outputs.clear()
        if self._overlay is not None:
            self.destroy_publisher(self._overlay)
            self._overlay = None
        self._estimator = None

    # ---- input -----------------------------------------------------------------------------------------------------

    def _receive(self, message: Any) -> None:
        """Executor thread: hand the frame over and return at once."""
        self._counters.receive()
        if self._worker.offer((message, time.perf_counter())):
            self._counters.count("dropped")

    # ---- reports --------------------------------------------------------------------------------------------------

    def _note_incompatible_qos(self, event: Any) -> None:
        self._faults.qos = (
            f"the camera's QoS does not match on {self._subscription.topic_name}: it offers less than"
            f" {self._settings.reliability}; set parameter reliability to best_effort"
        )
        self.get_logger().error(self._faults.qos)

    def _announce(self, estimator: TactileEstimator) -> None:
        contract = estimator.contract
        self.get_logger().info(
            f"{estimator.model_path} for {contract.sensor} on {estimator.provider}: {', '.join(contract.outputs)}"
        )
        if estimator.provider != self._settings.providers[0]:
            self.get_logger().warning(f"{self._settings.providers[0]} is not available: using {estimator.provider}")
        if self._settings.contact_gate and not contract.of_kind("contact"):
            self.get_logger().warning("the model has no contact head: poses are published without contact too")

    def _report(self) -> None:
        report = self._counters.report(time.perf_counter())
        state = "active" if self._worker else "inactive" if self._estimator else "unconfigured"
        stamp = self.get_clock().now().to_msg()
        name = self.get_fully_qualified_name()
        self._diagnostics.publish(
            diagnostic_array(name, stamp, report, self._faults, state=state, estimator=self._estimator)
        )


def _region(settings: Settings) -> Region | None:
    x, y, width, height = settings.region
    return (x, y, width, height) if width > 0 else None


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    rclpy.init(args=args)
    node = None
    try:
        node = PerceptionNode()
        node.start()
        rclpy.spin(node)
    except (SettingsRefused, ParameterException) as error:
        print(f"perception_node: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RCLError:
        if rclpy.ok():  # else asked to stop in the middle of starting
            raise
    finally:
        if node is not None:
            node.close()
        rclpy.utilities.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
