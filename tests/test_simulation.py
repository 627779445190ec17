"""The sensor simulation against closed forms, an independent contact solver and figures measured on real sensors."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sarl_training.simulation import skin
from sarl_training.simulation.appearance import splat_discs
from sarl_training.simulation.camera import SKIN_TO_LENS_MM, back_project, project
from sarl_training.simulation.contact import Columns, Contact, Exposure, Unit, draw_unit, pin_layout
from sarl_training.simulation.objects import OBJECTS, SHAPE_NAMES, TEXTURES, object_height
from sarl_training.simulation.press import solve_press
from sarl_training.simulation.render import render_contacts
from sarl_training.simulation.sensors import SENSORS
from sarl_training.simulation.skin import dome_sag

CPU = torch.device("cpu")
BALL = Contact("ball_tip", depth_mm=1.0, size_mm=(2.0, 0.0, 0.0, 0.0))
BAR = Contact("edge_bar", depth_mm=1.0)
PLANE = Contact("plate", depth_mm=1.5, size_mm=(28.0, 0.0, 0.0, 0.0))


def nominal_unit() -> Unit:
    """A unit without manufacturing variation, ring pins."""
    return replace(
        draw_unit(0, 0),
        pins_mm=tuple(map(tuple, pin_layout("rings"))),
        pin_radius_px=2.05,
        focal_px=110.8,
        refraction=1.395,
        centre_px=(0.0, 0.0),
        roll_rad=0.0,
        tension_scale=1.0,
        bed_scale=1.0,
        glow_gain=1.0,
        tint_rgb=(1.0, 1.0, 1.0),
        saturation=1.0,
        gamma=1.0,
    )


def press(*contacts: Contact):
    unit = nominal_unit()
    return solve_press(Columns(contacts, CPU), Columns([unit] * len(contacts), CPU))


def overlap_of(contact: Contact) -> np.ndarray:
    x, y = skin.grid_mm(CPU)
    height = object_height(
        [contact.object_name], x.reshape(1, -1), y.reshape(1, -1), torch.tensor([contact.size_mm]), skin.CELL_MM
    )
    return (contact.depth_mm + height.reshape(x.shape) - dome_sag(x * x + y * y)).double().numpy()


def conjugate_gradient_pressure(overlap: np.ndarray, steps: int = 400) -> np.ndarray:
    """Polonsky and Keer's constrained conjugate gradient on p >= 0 for the same membrane, written apart from the
    solver.
    """
    n = len(overlap)
    k = 2 * np.pi * np.fft.fftfreq(n, skin.CELL_MM)
    compliance = 1 / (skin.TENSION_N_PER_MM * (k[:, None] ** 2 + k[None] ** 2) + skin.BED_N_PER_MM3)
    lift = lambda p: np.fft.ifft2(np.fft.fft2(p) * compliance).real  # noqa: E731
    pressure = np.maximum(overlap, 0) * skin.BED_N_PER_MM3
    direction, previous, moved = np.zeros_like(pressure), 1.0, False
    for _ in range(steps):
        gap = lift(pressure) - overlap
        touching = pressure > 0
        norm = float((gap[touching] ** 2).sum())
        direction = np.where(touching, gap + (norm / previous) * direction * moved, 0.0)
        response = lift(direction)
        step = (gap[touching] * direction[touching]).sum() / (response[touching] * direction[touching]).sum()
        pressure = np.maximum(pressure - step * direction, 0)
        opened = (pressure == 0) & (gap < 0)
        pressure[opened] -= step * gap[opened]
        moved, previous = not opened.any(), norm
    return pressure


@pytest.mark.parametrize("contact", [BALL, BAR, PLANE], ids=lambda c: c.object_name)
def test_contact_force_agrees_with_an_independent_solver(contact):
    expected = conjugate_gradient_pressure(overlap_of(contact)).sum() * skin.CELL_MM**2
    assert -press(contact).force_B3[0, 2].item() == pytest.approx(expected, rel=0.02)


def test_contact_is_unilateral_and_never_adhesive():
    solved = press(BALL, BAR, PLANE)
    overlap = torch.tensor(np.stack([overlap_of(c) for c in (BALL, BAR, PLANE)]), dtype=torch.float32)
    assert (solved.pressure_BHW >= 0).all()
    assert (overlap - solved.u_BHW).max() < 0.03, "the skin must not pass through the object (mm)"
    apart = solved.u_BHW - overlap > 0.3
    assert solved.pressure_BHW[apart].max() < 1e-4, "pressure where nothing touches"


def test_a_hovering_object_exerts_no_force_and_a_deeper_press_more():
    forces = press(*(replace(BALL, depth_mm=d) for d in (-1.0, 0.3, 0.8, 1.6, 2.4))).force_B3[:, 2]
    assert forces[0] == 0
    assert (forces.diff() < -0.02).all()


def test_press_forces_lie_where_the_prototype_and_the_real_label_spread_put_them():
    """A 2 mm ball at 0.5, 1, 2 mm: 0.12, 0.29, 0.71 N; the spread of real ViTacTip force labels is about 0.4 N."""
    forces = -press(*(replace(BALL, depth_mm=d) for d in (0.5, 1.0, 2.0))).force_B3[:, 2]
    assert forces.tolist() == pytest.approx([0.12, 0.29, 0.71], rel=0.25)


def test_shear_follows_the_travel_until_it_slips():
    dragged = [replace(BALL, travel_mm=(t, 0.0), friction=0.7) for t in (2.0, 4.0, 30.0, 60.0)]
    force = press(*dragged).force_B3
    assert force[1, 0] == pytest.approx(2 * force[0, 0].item(), rel=1e-3)
    assert force[3, 0] == pytest.approx(force[2, 0].item(), rel=1e-3)
    assert force[3, 0] == pytest.approx(-0.7 * force[3, 2].item(), rel=1e-3)
    assert force[:, 1].abs().max() < 1e-4


def test_soft_objects_press_less_than_hard_ones():
    soft, hard = press(replace(PLANE, stiffness_N_per_mm3=0.006), PLANE).force_B3[:, 2].abs()
    assert soft < 0.6 * hard


def test_slide_matches_the_measured_pin_travel():
    """A real TacTip moves its pins by about 0.047 mm per mm of depth and mm of shear (pressed on a plane)."""
    solved = press(replace(PLANE, depth_mm=2.0, travel_mm=(3.0, 0.0)))
    centre = skin.CELLS // 2
    assert solved.slide_B2HW[0, 0, centre, centre].item() == pytest.approx(0.047 * 2.0 * 3.0, rel=0.5)


def test_ring_pins_appear_at_the_measured_radii():
    unit = Columns([nominal_unit()], CPU)
    sag = dome_sag(unit.pins_mm.square().sum(-1))
    pixels = project(unit.pins_mm, SKIN_TO_LENS_MM - 0.6 - sag, unit)[0]
    radii = torch.linalg.vector_norm(pixels, dim=-1)
    first_of_ring = np.cumsum([0, 1, 8, 16, 16, 32, 32])
    assert radii[first_of_ring].tolist() == pytest.approx([0, 12.3, 23.4, 34, 44.4, 55, 66.2], abs=0.3)


@settings(max_examples=40, deadline=None)
@given(radius=st.floats(0.05, 12.0), angle=st.floats(-math.pi, math.pi))
def test_back_projection_inverts_the_camera(radius, angle):
    unit = Columns([draw_unit(3, 1)], CPU)
    point = torch.tensor([[[radius * math.cos(angle), radius * math.sin(angle)]]])
    distance = SKIN_TO_LENS_MM - dome_sag(point.square().sum(-1))
    pixel = project(point, distance, unit)
    assert torch.allclose(back_project(pixel[0], unit)[0], point, atol=5e-3)


def test_the_scale_near_the_axis_is_the_measured_one():
    unit = Columns([nominal_unit()], CPU)
    points = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
    pixels = project(points, torch.full((1, 2), 19.0), unit)[0]
    assert (pixels[1, 0] - pixels[0, 0]).item() == pytest.approx(7.9, rel=0.05)


def test_discs_have_the_area_of_their_radius():
    image = splat_discs(torch.tensor([[[40.3, 60.7]]]), torch.tensor([[3.0]]), 112)
    assert image.sum().item() == pytest.approx(math.pi * 9, rel=0.05)


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_object_is_at_most_zero_high_and_reaches_its_top(name):
    x, y = (grid.reshape(1, -1) for grid in skin.grid_mm(CPU))
    height = object_height([name], x, y, torch.tensor([[4.0, 16.0, 0.0, 0.0]]), skin.CELL_MM)
    assert height.max() <= 1e-6
    assert name == "nothing" or height.max() > -0.15, "the highest face must be at 0"
    assert torch.isfinite(height).all()


def test_the_shape_set_has_the_21_objects_and_textures_stay_in_range():
    assert len(SHAPE_NAMES) == 21
    a, b = torch.rand(2, 1, 500) * 8
    for relief in TEXTURES.values():
        assert relief(a, b).min() >= 0 and relief(a, b).max() <= 1


def render(contacts: list[Contact], sensor: str, size: int = 96) -> np.ndarray:
    units, exposures = [nominal_unit()] * len(contacts), [Exposure(1.0, (0, 0))] * len(contacts)
    return render_contacts(contacts, units, exposures, [SENSORS[sensor]], size, CPU)[0][sensor]


@pytest.mark.parametrize("sensor", SENSORS)
def test_every_sensor_shows_a_press(sensor):
    images = render([replace(BAR, depth_mm=-6.0), replace(BAR, depth_mm=2.0)], sensor)
    assert images.shape == (2, 96, 96, 3) and images.dtype == np.uint8
    assert np.abs(images[0].astype(int) - images[1]).mean() > 1.0


def test_an_opaque_skin_hides_the_colour_of_the_object():
    pale, dark = replace(BAR, albedo_rgb=(1.0, 1.0, 1.0)), replace(BAR, albedo_rgb=(0.2, 0.2, 0.2))
    assert np.array_equal(*render([pale, dark], "tactip"))
    assert np.abs(np.subtract(*render([pale, dark], "vitac").astype(int))).max() > 40


def test_pins_only_darken_the_see_through_image():
    vitac, vitactip = render([BAR], "vitac")[0].astype(int), render([BAR], "vitactip")[0].astype(int)
    assert (vitactip <= vitac + 8).all()
    assert (vitac - vitactip > 60).sum() > 200


def test_brightness_by_radius_is_near_the_real_unit():
    """Mean green of real ViTacTip frames at 224 px radii 0-26, 26-52, 52-79, 79-105: 199, 152, 111, 83."""
    image = render([replace(BAR, depth_mm=0.8)], "vitactip", 224)[0, :, :, 1]
    axis = np.arange(224) - 111.5
    radius = np.hypot(axis[:, None], axis[None])
    means = [image[(radius >= a) & (radius < b)].mean() for a, b in ((0, 26), (26, 52), (52, 79), (79, 105))]
    assert means == pytest.approx([199, 152, 111, 83], rel=0.2)
