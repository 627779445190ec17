"""Downstream tasks by name."""

from sarl_training.tasks.base import SENSOR_FRAME, SimulatedTask, Task
from sarl_training.tasks.contact import CONTACT
from sarl_training.tasks.contact_point import CONTACT_POINT
from sarl_training.tasks.edge_pose import EDGE_POSE
from sarl_training.tasks.force import FORCE
from sarl_training.tasks.grating import GRATING
from sarl_training.tasks.material import MATERIAL
from sarl_training.tasks.shape import SHAPE

__all__ = ["SENSOR_FRAME", "TASKS", "SimulatedTask", "Task"]

TASKS: dict[str, SimulatedTask] = {
    task.name: task for task in (SHAPE, GRATING, MATERIAL, FORCE, CONTACT_POINT, EDGE_POSE, CONTACT)
}
