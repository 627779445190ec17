"""Lifecycle node: camera images in, tactile estimates out. Wiring only; the work is in the modules it imports.

Topics and services are those of README, On the robot. configure loads, checks and warms up the model; activate
subscribes. The executor thread only takes messages; one worker thread answers the newest.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from sarl_perception.bridge import find_cv_bridge
from sarl_perception.camera import Camera
from sarl_perception.contract import ModelRefused
from sarl_perception.estimator import TactileEstimator
from sarl_perception.faults import Fault, Level
from sarl_perception.frame_counters import FrameCounters, Report
from sarl_perception.frame_pipeline import Arrival, FramePipeline
from sarl_perception.health import Situation, judge
from sarl_perception.mailbox import Worker
from sarl_perception.model_loader import load_in_thread, load_model
from sarl_perception.outputs import Outputs
from sarl_perception.parameters import (
    ABOUT,
    AT_CONFIGURE,
    SettingsRefused,
    declare_parameters,
    read_settings,
    region_fault,
)
from sarl_perception.reporter import Reporter
from sarl_perception.ros_process import ros

LOOK_PERIOD_S = 0.1


class PerceptionNode(LifecycleNode):
    """Publishes what the model's heads allow, stamped like the image; nothing is better than a stale or wrong pose."""

    def __init__(self) -> None:
        try:
            super().__init__("perception_node", automatically_declare_parameters_from_overrides=True)
        except ValueError as error:  # rclpy's, without the name
            raise SettingsRefused(
                "a parameter is an empty list, whose type ROS cannot tell: leave it out for its default"
            ) from error
        self._estimator: TactileEstimator | None = None
        declare_parameters(self, self._refusal)
        self._settings = read_settings(self)
        self.add_post_set_parameters_callback(self._take_parameters)
        self._outputs = Outputs(self)
        self._camera: Camera | None = None
        self._pipeline: FramePipeline | None = None
        self._worker: Worker[Arrival] | None = None
        self._is_active = False
        self._convert_other = find_cv_bridge()
        self._counters = FrameCounters(time.perf_counter())
        self._model_faults: list[Fault] = []
        self._reporter = Reporter(self)
        self.create_service(SetBool, "~/enable", self._enable)
        # A group of its own: loading a model holds back neither images nor other services.
        self._loading = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, "~/reload_model", self._reload, callback_group=self._loading)
        # A steady clock: reports go on while simulated time stands still.
        self.create_timer(LOOK_PERIOD_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # ---- lifecycle -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Configure and activate, when the parameter `autostart` says so."""
        if self._settings.autostart and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            estimator = load_model(self._settings)
        except ModelRefused as error:
            self._model_faults = [Fault("model", Level.ERROR, f"model refused: {error}", away_s=0.0)]
            return TransitionCallbackReturn.FAILURE
        self._adopt(estimator)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._is_active = True
        self._start_input()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._is_active = False
        self._stop_input()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._is_active = False
        self._stop_input()
        self._outputs.destroy()
        self._estimator = None
        self._model_faults = []
        return TransitionCallbackReturn.SUCCESS

    on_shutdown = on_error = on_cleanup

    def close(self) -> None:
        """Stop the worker and destroy the node."""
        self._stop_input()
        self.destroy_node()

    # ---- input and model ------------------------------------------------------------------------------------------

    def _start_input(self) -> None:
        """Hear the camera, when active and enabled."""
        if not (self._is_active and self._settings.enabled) or self._camera is not None:
            return
        self._counters = FrameCounters(time.perf_counter())
        self._start_worker()
        self._camera = Camera(
            self,
            transport=self._settings.image_transport,
            reliability=self._settings.reliability,
            counters=self._counters,
            handle=self._receive,
        )

    def _stop_input(self) -> None:
        if self._camera is not None:
            self._camera.destroy()
            self._camera = None
        self._stop_worker()

    def _start_worker(self) -> None:
        self._pipeline = FramePipeline(
            settings=self._settings,
            estimator=self._estimator,
            outputs=self._outputs,
            clock=self.get_clock(),
            counters=self._counters,
            convert_other=self._convert_other,
            is_running=self.context.ok,
        )
        self._worker = Worker(self._pipeline.answer, "inference")

    def _stop_worker(self) -> None:
        """Wait for the frame in hand: nothing is published after this."""
        if self._worker is not None and self._worker.stop():
            self._counters.count("dropped")
        self._worker = self._pipeline = None

    def _receive(self, message: Any, arrived_s: float) -> None:
        """Executor thread: hand the frame over and return at once."""
        if self._worker.offer((message, arrived_s)):
            self._counters.count("dropped")

    def _adopt(self, estimator: TactileEstimator) -> None:
        """Let go of the model there is and use this one."""
        is_running = self._worker is not None
        self._stop_worker()
        self._estimator = estimator
        self._outputs.adopt(estimator.contract)
        if is_running:
            self._start_worker()
        self._model_faults = []
        contract, wanted = estimator.contract, estimator.wanted_provider
        self.get_logger().info(
            f"{estimator.model_path} for {contract.sensor} on {estimator.provider}: {', '.join(contract.outputs)}"
        )
        if estimator.provider != wanted:
            text = (
                f"provider {wanted} is not available: using {estimator.provider}, which may be slower; install its"
                " runtime (README, On the robot) or change parameter providers"
            )
            self._model_faults = [Fault("provider", Level.WARN, text, away_s=0.0)]
        if self._settings.contact_gate and not contract.of_kind("contact"):
            self.get_logger().warning("the model has no contact head: poses are published without contact too")

    # ---- parameters and services ----------------------------------------------------------------------------------

    def _refusal(self, name: str, value: Any) -> str:
        """Why a parameter cannot have this value now."""
        if self._estimator is None:
            return ""
        if ABOUT[name].effect == AT_CONFIGURE and value != getattr(self._settings, name):
            node = self.get_fully_qualified_name()
            return f"{name} takes effect at configure: clean up first (ros2 lifecycle set {node} cleanup)"
        contract = self._estimator.contract
        return region_fault(value, contract.height, contract.width) if name == "region" else ""

    def _take_parameters(self, parameters: list[Parameter]) -> None:
        """Use the new values from the next frame on."""
        self._settings = read_settings(self)
        if self._pipeline is not None:
            self._pipeline.settings = self._settings
        if self._settings.enabled:
            self._start_input()
        else:
            self._stop_input()

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        result = self.set_parameters([Parameter("enabled", value=request.data)])[0]
        response.success = result.successful
        response.message = result.reason or f"{'enabled' if request.data else 'disabled'}; {self._state()}"
        return response

    async def _reload(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Load the file that the parameter `model` names; the model in use stays until the new one is ready."""
        response.success, response.message = False, "not configured: the lifecycle transition configure loads the model"
        if self._estimator is None:
            return response
        before = self._estimator
        result = await load_in_thread(self._settings, self.executor)
        if self._estimator is not before:
            response.message = f"cleaned up while the model was loaded, which is not used; {self._state()}: call again"
            return response
        if isinstance(result, ModelRefused):
            refusal = str(result)
        else:  # the region may have changed meanwhile
            refusal = region_fault(self._settings.region, result.contract.height, result.contract.width)
        if refusal:
            response.message = f"model refused, {before.model_path} stays in use: {refusal}"
            self._model_faults = [fault for fault in self._model_faults if fault.name != "reload"]
            self._model_faults.append(Fault("reload", Level.WARN, response.message, away_s=0.0))
        else:
            self._adopt(result)
            response.success, response.message = True, f"now in use: {result.model_path} on {result.provider}"
        return response

    # ---- reports --------------------------------------------------------------------------------------------------

    def _state(self) -> str:
        if self._estimator is None:
            return "unconfigured"
        if not self._is_active:
            return "inactive"
        return "active" if self._settings.enabled else "disabled"

    def _look(self) -> None:
        """Judge how the node does, and have it told."""
        now_s = time.perf_counter()
        report = self._counters.report(now_s)
        faults = list(self._model_faults)
        if self._camera is not None:
            faults += judge(self._situation(report, now_s))
        has_answered = self._camera is not None and report.outcomes["answered"] > 0
        self._reporter.look(
            report,
            faults,
            now_s,
            state=self._state(),
            is_fresh=has_answered and report.since_output_s < self._settings.stale_after,
            estimator=self._estimator,
        )

    def _situation(self, report: Report, now_s: float) -> Situation:
        camera, limit_s = self._camera, self._settings.stale_after
        connected_s = camera.connected_s(now_s)
        is_unheard = connected_s is None and report.since_input_s >= limit_s
        return Situation(
            report=report,
            topic=camera.topic,
            connected_s=connected_s,
            obstacle=camera.obstacle() if is_unheard else "",
            is_reliable=self._settings.reliability == "reliable",
            stale_after_s=limit_s,
        )


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    try:
        with ros(args) as at_end:
            node = PerceptionNode()
            at_end.callback(node.close)
            node.start()
            rclpy.spin(node)
    except (SettingsRefused, ParameterException) as error:
        print(f"perception_node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
