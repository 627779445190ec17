"""Simulated sensors by name."""

from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.sensors.tactip import TACTIP
from sarl_training.simulation.sensors.vitac import VITAC
from sarl_training.simulation.sensors.vitactip import VITACTIP

SENSORS: dict[str, Sensor] = {sensor.name: sensor for sensor in (VITACTIP, VITAC, TACTIP)}
