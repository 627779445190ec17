"""What must be run for which tables: a pure function from names and a preset to a list of runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

from sarl_training.benchmarking.presets import Preset

TABLES = ("table1", "table2", "table3", "table4", "fig4", "labels", "readouts")
TASKS = ("shape", "grating", "material", "force", "contact_point", "edge_pose")
BASELINES = ("simclr", "byol", "simsiam", "barlow_twins", "vicreg", "swav", "minc", "cplearn", "densecl")
SHARED_VIEWS = "_shared_views"  # ends the subject of a baseline that has SARL's views instead of its own paper's
TRANSFERRED = ("simclr", "byol", "barlow_twins", "sarl")  # as in Table II
TERMS = ("sal", "ppda", "ram")
ABLATIONS = tuple(
    tuple(term for term, on in zip(TERMS, chosen, strict=True) if on) for chosen in product((0, 1), repeat=3)
)
TRANSFER_SENSORS = {
    "magictac_t": "printed_objects", "magictac_d": "printed_objects", "gelsight": "carbide_tools",
    "pnutac": "hand_tools",
}  # fmt: skip
SENSORS = ("tactip", "vitac", "vitactip")
BUDGETS = (20, 50, 100, 500)
BUDGET_TASKS = ("edge_pose", "shape")
SCATTER_TASK = "edge_pose"
CLASSIFIED = ("shape", "grating", "material")
# What a dataset of the user's own must have: of each sensor labels of one of the tasks, or just images if none is said.
NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "table1": (("vitactip",), TASKS),
    "table2": (("vitactip",), ()),
    "table3": (("vitactip",), BUDGET_TASKS),
    "table4": (SENSORS, CLASSIFIED),
    "fig4": (("vitactip",), (SCATTER_TASK,)),
    "labels": (("vitactip",), BUDGET_TASKS),
    "readouts": (("vitactip",), TASKS),
}

Kind = Literal["pretrain", "probe", "heads", "supervise", "transfer", "labels", "readouts", "scatter"]


@dataclass(frozen=True)
class Run:
    """One thing to do, and one record of it. `needs` must be done before, and leave their files."""

    scope: str
    """The preset's name, and `@dataset` behind it when the data is the user's own."""
    kind: Kind
    subject: str
    """What is measured: a method, `<method>_shared_views`, `sarl_paper`, `sarl_with_<terms>`, `random_init`, `mean` or
    `supervised`."""
    seed: int
    sensor: str = "vitactip"
    detail: str = ""
    """Of supervise: the task, and `@N` for a budget of N labels. Of labels: the budget, or `all`."""
    needs: tuple[Run, ...] = ()

    @property
    def preset(self) -> str:
        """Name of the preset."""
        return split_scope(self.scope)[0]

    @property
    def key(self) -> str:
        """Names the run in results.json and on disk."""
        return "/".join(
            [
                self.scope,
                self.kind,
                self.subject,
                self.sensor,
                *([self.detail] if self.detail else []),
                f"s{self.seed}",
            ]
        )

    @property
    def data(self) -> Literal["main", "modalities", "transfer"]:
        """Which dataset it reads."""
        if self.kind == "transfer":
            return "transfer"
        return "modalities" if self.sensor != "vitactip" else "main"


def split_scope(scope: str) -> tuple[str, str]:
    """Names of the preset and of the user's own dataset, which is empty for the simulated one."""
    preset, _, dataset = scope.partition("@")
    return preset, dataset


def ablation(terms: Iterable[str]) -> str:
    """SARL's recommended preset with these terms; all of them is SARL itself."""
    terms = tuple(terms)
    return "sarl" if terms == TERMS else f"sarl_with_{'_'.join(terms) or 'none'}"


def tables_of(names: Collection[str]) -> list[str]:
    """The tables meant by `names`, in their own order; `all` means each."""
    return [table for table in TABLES if table in names or "all" in names]


def plan(
    names: Collection[str],
    preset: Preset,
    labelled: Mapping[str, int],
    augment: Literal["own", "shared"] = "own",
    dataset: str = "",
) -> list[Run]:
    """Every run that the tables `names` need, each once, those needed by others first.

    `labelled` is the number of train and val samples of each task, among them one that each table NEEDS: other tasks
    and larger budgets are left out.
    `augment` is whose views the baselines of Table I have, `dataset` names the user's own data.
    """
    scope = f"{preset.name}@{dataset}" if dataset else preset.name
    table1 = partial(_table1, suffix=SHARED_VIEWS if augment == "shared" else "")
    makers = {
        "table1": table1, "table2": _table2, "table3": _table3, "table4": _table4, "fig4": _fig4,
        "labels": _labels, "readouts": _readouts,
    }  # fmt: skip
    runs: dict[Run, None] = {}
    for seed in range(preset.seeds):  # a first whole result early
        for name in tables_of(names):
            for run in makers[name](scope, seed, labelled):
                runs |= dict.fromkeys([*run.needs, run])
    return list(runs)


def _pretrain(scope: str, subject: str, seed: int, sensor: str = "vitactip") -> Run:
    return Run(scope, "pretrain", subject, seed, sensor)


def _probe(scope: str, subject: str, seed: int, sensor: str = "vitactip") -> Run:
    return Run(scope, "probe", subject, seed, sensor, needs=(_pretrain(scope, subject, seed, sensor),))


def _heads(scope: str, subject: str, seed: int) -> Run:
    return Run(scope, "heads", subject, seed, needs=(_pretrain(scope, subject, seed),))


def _supervise(scope: str, task: str, seed: int) -> Run:
    return Run(scope, "supervise", "supervised", seed, detail=task)


def _table1(scope: str, seed: int, labelled: Mapping[str, int], suffix: str) -> list[Run]:
    bounds = [
        Run(scope, kind, subject, seed)
        for kind, subject in (("probe", "random_init"), ("heads", "random_init"), ("probe", "mean"))
    ]
    supervised = [_supervise(scope, task, seed) for task in TASKS if task in labelled]
    return [
        *bounds,
        *(
            measure(scope, subject, seed)
            for subject in ("sarl", "sarl_paper", *(name + suffix for name in BASELINES))
            for measure in (_probe, _heads)
        ),
        *supervised,
    ]


def _table2(scope: str, seed: int, labelled: Mapping[str, int]) -> list[Run]:
    runs = []
    for sensor, task in TRANSFER_SENSORS.items():
        runs += [Run(scope, "transfer", bound, seed, sensor, task) for bound in ("random_init", "supervised")]
        runs += [
            Run(scope, "transfer", subject, seed, sensor, task, (_pretrain(scope, subject, seed),))
            for subject in TRANSFERRED
        ]
    return runs


def _table3(scope: str, seed: int, labelled: Mapping[str, int]) -> list[Run]:
    return [_probe(scope, ablation(terms), seed) for terms in ABLATIONS]


def _table4(scope: str, seed: int, labelled: Mapping[str, int]) -> list[Run]:
    return [_probe(scope, "sarl", seed, sensor) for sensor in SENSORS]


def _fig4(scope: str, seed: int, labelled: Mapping[str, int]) -> list[Run]:
    if seed:
        return []
    needs = (_pretrain(scope, "sarl", seed), _supervise(scope, SCATTER_TASK, seed))
    return [Run(scope, "scatter", "sarl", seed, detail=SCATTER_TASK, needs=needs)]


def _labels(scope: str, seed: int, labelled: Mapping[str, int]) -> list[Run]:
    tasks = [task for task in BUDGET_TASKS if task in labelled]
    budgets = [count for count in BUDGETS if all(count < labelled[task] for task in tasks)]
    pretrained = (_pretrain(scope, "sarl", seed),)
    runs = []
    for budget in [*map(str, budgets), "all"]:
        runs.append(Run(scope, "labels", "sarl", seed, detail=budget, needs=pretrained))
        runs.append(Run(scope, "labels", "random_init", seed, detail=budget))
        whole = budget == "all"
        runs += [_supervise(scope, task if whole else f"{task}@{budget}", seed) for task in tasks]
    return runs


def _readouts(scope: str, seed: int, labelled: Mapping[str, int]) -> list[Run]:
    return [Run(scope, "readouts", "sarl", seed, needs=(_pretrain(scope, "sarl", seed),))]
