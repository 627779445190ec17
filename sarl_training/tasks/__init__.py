"""Downstream tasks by name, and the simulated transfer sets."""

from sarl_training.tasks.base import SimulatedTask, Task
from sarl_training.tasks.carbide_tools import CARBIDE_TOOLS
from sarl_training.tasks.contact import CONTACT
from sarl_training.tasks.contact_point import CONTACT_POINT
from sarl_training.tasks.edge_pose import EDGE_POSE
from sarl_training.tasks.force import FORCE
from sarl_training.tasks.grating import GRATING
from sarl_training.tasks.hand_tools import HAND_TOOLS
from sarl_training.tasks.material import MATERIAL
from sarl_training.tasks.printed_objects import PRINTED_OBJECTS
from sarl_training.tasks.shape import SHAPE

__all__ = ["TASKS", "TRANSFER_SETS", "SimulatedTask", "Task"]

TASKS: dict[str, SimulatedTask] = {
    task.name: task for task in (SHAPE, GRATING, MATERIAL, FORCE, CONTACT_POINT, EDGE_POSE, CONTACT)
}

# Not among TASKS: a transfer set is one of many possible, so a dataset declares it, as foreign ones do.
TRANSFER_SETS: dict[str, SimulatedTask] = {task.name: task for task in (PRINTED_OBJECTS, CARBIDE_TOOLS, HAND_TOOLS)}
