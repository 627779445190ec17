# make setup | demo | demo-servo | test | test-all | smoke | lint | bench | workspace | clean
# Every target works as the first command on a fresh machine; PYTHON chooses the interpreter (3.10 or newer).
# RUNTIME chooses the inference runtime: robot (CPU), robot-gpu or robot-openvino.

PYTHON ?= python3
RUNTIME ?= robot
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup workspace demo demo-servo test test-all smoke lint bench clean
.DELETE_ON_ERROR:

setup: $(VENV)/.installed workspace

$(VENV)/.installed: pyproject.toml
	@echo "Installing into $(VENV): torch and its libraries are several GB, minutes on a fast line"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --upgrade --quiet pip
	$(BIN)/pip install --quiet --editable ".[training,$(RUNTIME),dev]"
	touch $@

workspace: $(VENV)/.installed
	ros2_ws/build.sh

demo: setup
	$(BIN)/sarl-train demo --out runs/demo

demo-servo: setup
	ros2_ws/env.sh $(BIN)/python -m sarl_demo.servo --out runs/servo

test: setup
	ros2_ws/env.sh $(BIN)/python -m pytest
	$(MAKE) smoke

# Every method, table and picture of the benchmark, tiny: it fails when a part of it does.
smoke: $(VENV)/.installed
	rm -rf runs/smoke
	$(BIN)/sarl-train benchmark all --preset smoke --work runs/smoke --device cpu

test-all: setup
	ros2_ws/env.sh $(BIN)/python -m pytest -m "slow or not slow"
	$(MAKE) smoke

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup
	mkdir -p runs/bench
	for subject in tests/bench/*.py; do ros2_ws/env.sh $(BIN)/python $$subject --out runs/bench || exit 1; done

# What was built and what these targets wrote; other folders in runs/ may be days of somebody's training.
clean:
	rm -rf ros2_ws/build ros2_ws/install ros2_ws/log runs/demo runs/servo runs/smoke runs/bench
