"""The paper's Tables I to IV, budgets of labels and readouts as Markdown, beside the paper's numbers."""

from collections.abc import Sequence

from sarl_training.benchmarking import paper_numbers
from sarl_training.benchmarking.cells import NONE, Numbers, paper_cell, table
from sarl_training.benchmarking.measures import FITS
from sarl_training.benchmarking.plan import (
    ABLATIONS,
    BASELINES,
    BUDGETS,
    CLASSIFIED,
    SENSORS,
    SHARED_VIEWS,
    TASKS,
    TRANSFER_SENSORS,
    TRANSFERRED,
    ablation,
)
from sarl_training.readouts import READOUTS

NAMES = {
    "supervised": "Supervised", "random_init": "random-init", "mean": "mean predictor", "simclr": "SimCLR",
    "byol": "BYOL", "simsiam": "SimSiam", "barlow_twins": "Barlow Twins", "vicreg": "VICReg", "swav": "SwAV",
    "minc": "MINC", "cplearn": "CPLearn", "densecl": "DenseCL", "sarl_paper": "SARL, paper's settings",
    "sarl": "**SARL, recommended**",
}  # fmt: skip
_ROWS = {
    row: text
    for subject, name in NAMES.items()
    for row, text in ((subject, name), (subject + SHARED_VIEWS, f"{name}, SARL's views"))
}
_CLASSES = [f"{task}/{rank}" for task in CLASSIFIED for rank in ("top1", "top5")]
_MEANS = ["force/mean", "contact_point/mean", "edge_pose/mean"]
_AXES = {
    "edge_pose": ("x_mm", "z_mm", "theta_deg"),
    "contact_point": ("px_mm", "py_mm", "pz_mm"),
    "force": ("fx_N", "fy_N", "fz_N"),
}
_RANKS = {"top1": "Top-1 %", "top5": "Top-5 %"}
_RECIPE = "SARL, here, has its `recommended` settings; the paper's numbers for SARL are of the paper's own settings."
_ERRORS = {"force": "force N", "contact_point": "contact point mm", "edge_pose": "edge pose, mean of mm, mm, deg"}


def _title(number: str, text: str, numbers: Numbers, kind: str = "") -> str:
    return (
        f"#### {number}: {text} ({numbers.images(kind)}{'; smoke: says nothing' if numbers.preset == 'smoke' else ''})"
    )


def _group(subject: str, metric: str) -> str:
    """Where the number of a row of Table I comes from."""
    task = metric.partition("/")[0]
    return f"supervise/supervised/vitactip/{task}" if subject == "supervised" else f"probe/{subject}/vitactip"


def _headed(metric: str) -> str:
    task, _, name = metric.partition("/")
    if name in _RANKS:
        return f"{task} {_RANKS[name]}"
    return _ERRORS[task] if name == "mean" else f"{task.replace('_', ' ')} {name.replace('_', ' ')}"


def table1(numbers: Numbers) -> list[str]:
    """Linear probes: classification, then means of regression, each beside the paper, then every axis."""
    subjects = [s for s in _ROWS if any(numbers.value(_group(s, m), m) for m in (*_CLASSES, *_MEANS))]
    if not any(subject.removesuffix(SHARED_VIEWS) in ("sarl_paper", *BASELINES) for subject in subjects):
        return []
    groups = [f"probe/{subject}/vitactip" for subject in subjects if subject != "supervised"]
    origin = numbers.origin([*groups, *(f"supervise/supervised/vitactip/{task}" for task in TASKS)])
    lines = [_title("Table I", "linear probe, classification", numbers), "", origin, ""]
    lines += _beside_paper(numbers, subjects, _CLASSES)
    lines += ["", _title("Table I", "linear probe, regression, mean absolute error", numbers), "", origin, ""]
    lines += _beside_paper(numbers, subjects, _MEANS)
    metrics = [f"{task}/{axis}" for task, axes in _AXES.items() for axis in axes]
    lines += ["", _title("Table I", "every axis, mean absolute error, here", numbers), "", origin, ""]
    header = ["method", *(_headed(metric) for metric in metrics)]
    rows = [[_ROWS[s], *(numbers.cell(_group(s, m), m) for m in metrics)] for s in subjects]
    said = "; ".join(f"{NAMES[s]} {x} / {z} / {t:.2f}" for s, (x, z, t) in paper_numbers.EDGE_AXES.items())
    lines += [*table(header, rows), "", f"Paper (real), edge pose x mm / z mm / theta deg: {said}."]
    missing = [name.strip("*") for subject, name in NAMES.items() if subject not in subjects]
    if missing:
        lines += ["", f"Not run yet: {', '.join(missing)}."]
    return [*lines, *_exported_heads(numbers, subjects)]


def _exported_heads(numbers: Numbers, subjects: Sequence[str]) -> list[str]:
    """The encoders of Table I under the readout that a robot gets."""
    groups = {
        s: f"heads/{s}/vitactip" for s in subjects if any(numbers.value(f"heads/{s}/vitactip", m) for m in _MEANS)
    }
    if not groups:
        return []
    metrics = [*(f"{task}/top1" for task in CLASSIFIED), *_MEANS]
    metrics += [f"edge_pose/{axis}" for axis in _AXES["edge_pose"]]
    header = ["method", *(_headed(metric) for metric in metrics)]
    rows = [[f"{_ROWS['supervised']} (its own head)", *(numbers.cell(_group("supervised", m), m) for m in metrics)]]
    rows += [[_ROWS[s], *(numbers.cell(group, m) for m in metrics)] for s, group in groups.items()]
    text = "the same encoders, read as `export` does (spatial readout, closed form), here"
    origin = numbers.origin([*groups.values(), *(f"supervise/supervised/vitactip/{task}" for task in TASKS)])
    return ["", _title("Table I", text, numbers), "", origin, "", *table(header, rows)]


def _beside_paper(numbers: Numbers, subjects: Sequence[str], metrics: Sequence[str]) -> list[str]:
    header = ["method"]
    for metric in metrics:
        header += [f"{_headed(metric)}, here", "paper (real)"]
    rows = []
    for subject in subjects:
        row = [_ROWS[subject]]
        for metric in metrics:
            published = paper_numbers.TABLE1.get(subject, {})
            row += [numbers.cell(_group(subject, metric), metric), paper_cell(published, metric)]
        rows.append(row)
    return table(header, rows)


def table2(numbers: Numbers) -> list[str]:
    """Transfer, beside the paper's numbers on the real sensors."""
    if not numbers.has(["transfer"]):
        return []
    subjects = ["supervised", "random_init", *TRANSFERRED]
    groups = [f"transfer/{s}/{sensor}/{task}" for s in subjects for sensor, task in TRANSFER_SENSORS.items()]
    title = _title(
        "Table II", "transfer to four stand-in sensors, not the Cardiff or Imperial data", numbers, "transfer"
    )
    header = ["method"]
    for sensor in TRANSFER_SENSORS:
        header += [f"{sensor} Top-1 %, here", "paper (real)", f"{sensor} Top-5 %, here", "paper (real)"]
    rows = []
    for subject in subjects:
        row = [NAMES[subject]]
        for sensor, task in TRANSFER_SENSORS.items():
            published = paper_numbers.TABLE2.get(subject, {}).get(sensor, ())
            for rank, metric in enumerate(_RANKS):
                row += [numbers.cell(f"transfer/{subject}/{sensor}/{task}", metric)]
                row += [f"{published[rank]:.2f}" if published else NONE]
        rows.append(row)
    return [title, "", numbers.origin(groups), "", *table(header, rows), "", _RECIPE]


def table3(numbers: Numbers) -> list[str]:
    """SARL's recommended settings with some of its terms switched off."""
    groups = {terms: f"probe/{ablation(terms)}/vitactip" for terms in ABLATIONS}
    if not numbers.value(groups[()], "edge_pose/mean") and not numbers.value(groups[()], "shape/top1"):
        return []
    header = ["terms", "shape Top-1 %, here", "paper (real)", "edge pose mean, here", "paper (real)"]
    header += ["x mm, here", "z mm, here", "theta deg, here"]
    rows = []
    for terms in sorted(ABLATIONS, key=len):
        shape, edge = paper_numbers.TABLE3[terms]
        row = [
            " + ".join(term.upper() for term in terms) or "none (BYOL with SARL's heads and views)",
            numbers.cell(groups[terms], "shape/top1"),
        ]
        row += [f"{shape:.2f}", numbers.cell(groups[terms], "edge_pose/mean"), f"{edge:.4f}"]
        rows.append([*row, *(numbers.cell(groups[terms], f"edge_pose/{axis}") for axis in _AXES["edge_pose"])])
    title = _title("Table III", "which spatial terms, linear probe", numbers)
    return [title, "", numbers.origin(groups.values()), "", *table(header, rows), "", _RECIPE]


def table4(numbers: Numbers) -> list[str]:
    """SARL pretrained and probed on each sensor's renders of the same contacts."""
    groups = [f"probe/sarl/{sensor}" for sensor in SENSORS]
    if not any(numbers.value(group, metric) for group in groups[:2] for metric in _CLASSES):
        return []
    header = ["sensor"]
    for metric in _CLASSES:
        header += [f"{_headed(metric)}, here", "paper (real)"]
    rows = []
    for sensor, group in zip(SENSORS, groups, strict=True):
        row = [sensor]
        for metric in _CLASSES:
            task, _, rank = metric.partition("/")
            row += [numbers.cell(group, metric), f"{paper_numbers.TABLE4[sensor][task][rank == 'top5']:.2f}"]
        rows.append(row)
    seen = "" if numbers.dataset else "the same contacts rendered to "
    title = _title("Table IV", f"modality, {seen}three sensors", numbers)
    return [title, "", numbers.origin(groups), "", *table(header, rows), "", _RECIPE]


def labels(numbers: Numbers) -> list[str]:
    """Test error by the number of labelled samples, train and val together."""
    if not numbers.has(["labels"]):
        return []
    metrics = ("edge_pose/x_mm", "edge_pose/z_mm", "edge_pose/theta_deg", "shape/top1")
    rows = []
    for budget in (*map(str, BUDGETS), "all"):
        for ways in zip(*(budget_lines(budget, metric) for metric in metrics), strict=True):
            cells = [numbers.cell(group, name) for _, group, name in ways]
            if any(cell != NONE for cell in cells):
                rows.append([budget, ways[0][0], *cells])
    title = _title("Labels", "how many labels a task needs", numbers)
    header = ["labels", "what", "x mm", "z mm", "theta deg", "shape Top-1 %"]
    origin = numbers.origin(["labels/sarl/vitactip", "labels/random_init/vitactip", "supervise/supervised/vitactip"])
    return [title, "", origin, "", *table(header, rows)]


def budget_lines(budget: str, metric: str) -> list[tuple[str, str, str]]:
    """For each way to use a budget of labels: what it is called, and the group and name of its number."""
    frozen = [
        (f"{name}, {how}", f"labels/{subject}/vitactip/{budget}", f"{way}/{metric}")
        for subject, name in (("sarl", "frozen SARL"), ("random_init", "random-init"))
        for way, how in (("gap+sgd", "linear probe"), ("spatial+ridge", "spatial readout"))
    ]
    task = metric.partition("/")[0] + ("" if budget == "all" else f"@{budget}")
    return [*frozen, ("supervised from scratch", f"supervise/supervised/vitactip/{task}", metric)]


def readouts(numbers: Numbers) -> list[str]:
    """Every readout times every way to fit it, per task, with its cost."""
    group, done = "readouts/sarl/vitactip", [r for r in numbers.records if r["kind"] == "readouts"]
    if not done:
        return []
    metrics = [f"{task}/{'mean' if task in _ERRORS else 'top1'}" for task in TASKS]
    header = ["readout", "fit", "features", "ms an image", *(_headed(metric) for metric in metrics)]
    rows = []
    for name in READOUTS:
        times = sorted(record["cost"][f"{name}/ms"] for record in done)
        for fit in FITS:
            cells = [numbers.cell(group, f"{name}+{fit}/{metric}") for metric in metrics]
            cost = [f"{done[0]['cost'][f'{name}/features']:.0f}", f"{times[len(times) // 2]:.1f}"]
            rows.append([name, "closed form" if fit == "ridge" else "SGD", *cost, *cells])
    title = _title("Readouts", "frozen SARL, which readout and which fit", numbers)
    note = "Time is PyTorch's for one image, from pixels to the readout; the exported file is faster (models/*.md)."
    return [title, "", numbers.origin([group]), "", *table(header, rows), "", note]


TABLES = (table1, table2, table3, table4, labels, readouts)
