# make setup | demo | demo-servo | test | test-all | smoke | lint | bench | workspace | clean
# Every target works as the first command on a fresh machine; PYTHON chooses the interpreter (3.11 or newer).
# RUNTIME chooses the inference runtime: robot (CPU), robot-gpu or robot-openvino; it stays until another is named.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
RUNTIME ?= $(or $(patsubst $(VENV)/.installed-%,%,$(wildcard $(VENV)/.installed-*)),robot)
INSTALLED := $(VENV)/.installed-$(RUNTIME)
ifeq ($(filter robot robot-gpu robot-openvino,$(RUNTIME)),)
$(error RUNTIME=$(RUNTIME): robot, robot-gpu or robot-openvino)
endif
# Not that of a shell in which another environment is active.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

VERSION = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(origin PYTHON),command line)
WANTED := $(call VERSION,$(PYTHON))
FOUND := $(if $(wildcard $(BIN)/python),$(call VERSION,$(BIN)/python),$(WANTED))
ifeq ($(WANTED),)
$(error PYTHON=$(PYTHON): no such Python)
else ifneq ($(FOUND),$(WANTED))
$(error PYTHON=$(PYTHON): $(VENV) was made with Python $(FOUND); remove it first: rm -rf $(VENV))
endif
endif

.PHONY: setup workspace demo demo-servo test test-all smoke lint bench clean
.DELETE_ON_ERROR:

setup: $(INSTALLED) workspace

# The runtimes share a module name: one at a time.
$(INSTALLED): pyproject.toml
	@echo "Installing into $(VENV): torch and its libraries are several GB, minutes on a fast line"
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --upgrade --quiet pip
	[ -e $@ ] || $(BIN)/pip uninstall --yes -qq onnxruntime onnxruntime-gpu onnxruntime-openvino
	$(BIN)/pip install --quiet --editable ".[training,$(RUNTIME),dev]"
	rm -f $(VENV)/.installed*
	touch $@

workspace: $(INSTALLED)
	ros2_ws/build.sh

demo: setup
	$(BIN)/sarl-train demo --out runs/demo

demo-servo: setup
	ros2_ws/env.sh $(BIN)/python -m sarl_demo.servo --out runs/servo

test: setup
	ros2_ws/env.sh $(BIN)/python -m pytest
	$(MAKE) smoke

# Every method, table and picture of the benchmark, tiny: it fails when a part of it does.
smoke: $(INSTALLED)
	rm -rf runs/smoke
	$(BIN)/sarl-train benchmark all --preset smoke --work runs/smoke --device cpu

test-all: setup
	ros2_ws/env.sh $(BIN)/python -m pytest -m "slow or not slow"
	$(MAKE) smoke

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup
	mkdir -p runs/bench
	for subject in tests/bench/*.py; do ros2_ws/env.sh $(BIN)/python $$subject --out runs/bench || exit 1; done

# What was built and what these targets wrote; other folders in runs/ may be days of somebody's training.
clean:
	rm -rf ros2_ws/build ros2_ws/install ros2_ws/log runs/demo runs/servo runs/smoke runs/bench
