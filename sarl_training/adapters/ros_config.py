"""Words of `sarl-train ingest rosbag`."""

from __future__ import annotations

from dataclasses import dataclass

from sarl_training.adapters.base import LabelledConfig
from sarl_training.adapters.ros_messages import LABEL_KINDS, matrix
from sarl_training.adapters.ros_stamps import Clock
from sarl_training.errors import UsageError


@dataclass(frozen=True)
class RosbagConfig(LabelledConfig):
    """A rosbag2 recording (sqlite3 or mcap), or a folder of them. Without label topics its images are unlabelled.

    A pose topic gives x y z roll pitch yaw (task `pose`), and edge_x edge_z edge_theta (with --task edge_pose: the pose
    of an edge, x axis along its normal, y axis along it, edge_z its depth); a wrench topic fx fy fz tx ty tz (task
    force); a point topic px py pz (task contact_point). With --axes these names make one task of your own.
    """

    image_topic: str = ""
    """Image or CompressedImage topic; the only one of the recording when not given."""
    pose_topic: str = ""
    """Topic of poses: PoseStamped, PoseWithCovarianceStamped, TransformStamped, Odometry, Pose."""
    wrench_topic: str = ""
    """Topic of forces on the sensor in its frame: WrenchStamped or Wrench; pressing gives fz < 0."""
    point_topic: str = ""
    """Topic of contact points: PointStamped or Point."""
    tolerance_s: float = 0.02
    """Furthest that a label's stamp may be from the image's, seconds."""
    clock: Clock = "auto"
    """Which time: header stamps, or when the recorder received a message. auto: header stamps unless they are missing
    or come from two clocks."""
    frame_transform: tuple[float, ...] = ()
    """x y z qx qy qz qw, or 16 numbers of a 4x4 row by row, in metres: turns poses and points into the sensor frame."""
    object_pose: tuple[float, ...] = ()
    """Pose of the object, likewise, when the pose topic is that of the fingertip in the same fixed frame. Not given:
    the topic gives edges as the node publishes them, z the depth."""
    segment_s: float | None = None
    """Length of the stretches that splits are made of, seconds; a twentieth of the time recorded, 0.5 to 5 s, when not
    given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, value in {"--tolerance-s": self.tolerance_s, "--segment-s": self.segment_s}.items():
            if value is not None and not value > 0:
                raise UsageError(f"{flag} {value}: must be above 0 s")
        for name in ("frame_transform", "object_pose"):
            if getattr(self, name):
                try:
                    matrix(getattr(self, name))
                except ValueError as error:
                    raise UsageError(f"--{name.replace('_', '-')}: {error}") from error
        if self.axes and not self.task:
            raise UsageError("--task: name what the --axes are labels of, for example shear")

    def label_topics(self) -> dict[str, str]:
        """Kind -> topic, of those given."""
        topics = {kind: getattr(self, f"{kind}_topic") for kind in LABEL_KINDS}
        return {kind: topic for kind, topic in topics.items() if topic}
