"""Simulated sensors by name: three tips that see the same contacts, and four stand-ins for transfer."""

from sarl_training.simulation.sensors.base import Sensor
from sarl_training.simulation.sensors.gelsight import GELSIGHT
from sarl_training.simulation.sensors.magictac_d import MAGICTAC_D
from sarl_training.simulation.sensors.magictac_t import MAGICTAC_T
from sarl_training.simulation.sensors.pnutac import PNUTAC
from sarl_training.simulation.sensors.tactip import TACTIP
from sarl_training.simulation.sensors.vitac import VITAC
from sarl_training.simulation.sensors.vitactip import VITACTIP

SENSORS: dict[str, Sensor] = {
    sensor.name: sensor for sensor in (VITACTIP, VITAC, TACTIP, MAGICTAC_T, MAGICTAC_D, GELSIGHT, PNUTAC)
}
