"""The arrows of the design: imports point down, the robot side is free of torch, its core free of ROS."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TRAINING = ROOT / "sarl_training"
PERCEPTION = ROOT / "ros2_ws" / "src" / "sarl_perception" / "sarl_perception"
DEMO = ROOT / "ros2_ws" / "src" / "sarl_demo" / "sarl_demo"

# Top to bottom. A module may import from its own folder and from layers below, never from its own layer or above, also
# not through a module that is in no layer (a helper of one layer has no place of its own).
LAYERS: list[set[str]] = [
    {"__main__"},
    {"cli"},
    {"benchmark", "demo"},
    {
        "simulate",
        "ingest",
        "pretrain",
        "supervise",
        "probe",
        "transfer",
        "calibrate",
        "export",
        "report",
    },
    {"methods", "tasks", "adapters", "simulation.sensors", "simulation.render"},
    {"losses", "views", "dataset", "simulation"},
    {"networks", "target_network", "readouts", "optim", "geometry", "run_folder", "distributed"},
    {"config"},
    {"errors"},
]
VERBS = LAYERS[3]
CORE = {"numpy", "cv2", "onnxruntime", "sarl_perception"}
ROS = {"rclpy", "sensor_msgs", "geometry_msgs", "std_msgs", "diagnostic_msgs", "sarl_msgs", "rcl_interfaces"}


def imports(path: Path, package: str = "") -> Iterator[str]:
    """Absolute dotted names a file imports, wherever in the file, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    """Top-level packages a file imports, without the standard library."""
    return {name.partition(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)


def layer_of(module: str) -> int | None:
    """Index of the layer of `a.b` (under sarl_training): the longest name counts; None for a module in no layer."""
    names = [".".join(module.split(".")[:length]) for length in (2, 1)]
    return next((index for name in names for index, layer in enumerate(LAYERS) if name in layer), None)


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def module_of(path: Path) -> str:
    """`a.b` of a file under sarl_training; a package is named like its folder."""
    parts = path.relative_to(TRAINING).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def training_imports() -> dict[str, set[str]]:
    """Module -> modules it imports, both under sarl_training and without that prefix."""
    paths = {module_of(path): path for path in python_files(TRAINING)}
    graph: dict[str, set[str]] = {module: set() for module in paths}
    for module, path in paths.items():
        package = ".".join(["sarl_training", *path.relative_to(TRAINING).parts[:-1]])
        for name in imports(path, package):
            target = name.removeprefix("sarl_training.")
            while name != target and target and target not in paths:  # an imported name: go to its module
                target = target.rpartition(".")[0]
            if target in paths and target != module:
                graph[module].add(target)
    return graph


def reached(module: str, graph: dict[str, set[str]]) -> Iterator[str]:
    """Modules of a layer that a module imports, directly or through modules in no layer."""
    pending, seen = list(graph[module]), set()
    while pending:
        target = pending.pop()
        if target in seen:
            continue
        seen.add(target)
        if layer_of(target) is None:
            pending += graph[target]
        else:
            yield target


def test_training_imports_point_down() -> None:
    graph = training_imports()
    wrong = [
        f"{module} imports {target}: the arrow points up"
        for module in graph
        if (upper := layer_of(module)) is not None
        for target in reached(module, graph)
        if layer_of(target) < upper
        or (layer_of(target) == upper and target.partition(".")[0] != module.partition(".")[0])
    ]
    assert not wrong, "\n".join(wrong)


def test_verbs_do_not_import_each_other() -> None:
    graph = training_imports()
    wrong = [
        f"{verb} imports {other}" for verb in VERBS & set(graph) for other in reached(verb, graph) if other in VERBS
    ]
    assert not wrong, "\n".join(wrong)


def test_verbs_are_there_before_slow_libraries() -> None:
    """`--help` and wrong words answer without them: each takes as long to import as torch, or half of that."""
    code = """
import sys
from importlib import import_module
from sarl_training.cli import VERBS
for verb in VERBS:
    import_module(f"sarl_training.{verb}")
print(*{"torchvision", "lightly", "lightning", "torchmetrics"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_training_does_not_import_the_robot_side() -> None:
    robot = {"sarl_perception", "sarl_demo", *ROS}
    wrong = {str(path.relative_to(ROOT)): roots(path) & robot for path in python_files(TRAINING)}
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize("path", python_files(PERCEPTION), ids=lambda path: str(path.relative_to(PERCEPTION)))
def test_perception_is_free_of_training(path: Path) -> None:
    assert not roots(path) & {"torch", "torchvision", "lightning", "lightly", "sarl_training", "sarl_demo"}


@pytest.mark.parametrize("name", ["estimator", "image_input", "contract", "geometry", "overlay"])
def test_the_core_is_free_of_ros(name: str) -> None:
    """Numpy, OpenCV and onnxruntime only, through every module of the package that it imports."""
    pending, seen = [PERCEPTION / f"{name}.py"], set()
    while pending:
        path = pending.pop()
        seen.add(path)
        assert roots(path) <= CORE, f"{path.name} imports {roots(path) - CORE}"
        for imported in imports(path):
            module = imported.split(".")
            if module[0] == "sarl_perception" and (found := PERCEPTION / f"{module[1]}.py").is_file():
                pending += [found] if found not in seen else []


def test_the_node_is_the_top_of_its_package() -> None:
    for path in python_files(PERCEPTION):
        assert not any(name.startswith("sarl_perception.perception_node") for name in imports(path)), path


def test_the_demo_uses_nothing_of_training_but_the_simulation() -> None:
    for path in python_files(DEMO):
        used = [name for name in imports(path) if name.startswith("sarl_training")]
        assert all(name.startswith("sarl_training.simulation") for name in used), f"{path.name}: {used}"


@pytest.mark.parametrize(
    "path",
    [*python_files(TRAINING), *python_files(PERCEPTION), *python_files(DEMO)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300, "over 300 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 50, f"{node.name} is over 50 lines"
    assert path.name != "utils.py"


def test_layers_name_real_modules_once() -> None:
    names = [name for layer in LAYERS for name in layer]
    assert len(names) == len(set(names))
    assert set(names) <= set(training_imports())
