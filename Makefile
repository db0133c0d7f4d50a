# make demo             open JupyterLab on the first notebook
# make demo HEADLESS=1  execute it instead: build/first-look.html and build/first-look.png
# make test             install what tests need and run them all
# make docs             the API reference from the docstrings into build/docs
# make shots            screenshots into build/shots, and the README's pictures
# make zoo              every method on every torchvision architecture, resumable: tests/zoo/SUPPORT.md
# make sheets           contact sheets of the progression that tutorials show, into build/sheets
# make trust            where every method points on the demo pictures, resumable: tests/metrics/LOCALISATION.md
# make bench            the first sight, and the heart of the comparison with other libraries: build/bench.md, in minutes
# make bench-full       all of that comparison, hours, resumable
# make bench-gpu        kernels, latencies and the peers on a CUDA device: build/bench-gpu.md; says so where there is none
# make bench-ui         how the Explorer answers a hand in a real browser: build/bench-ui.md, in minutes
PYTHON ?= python3
VENV := .venv
WORKERS ?= 2
BIN := $(VENV)/bin
NOTEBOOK := notebooks/1-first-look.ipynb
# JupyterLab does not start for root unasked, and in a container everybody is root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: demo test test-all docs shots bench bench-full bench-gpu bench-ui zoo trust sheets bundle bundle-check chromium lint clean

demo: $(VENV)/demo.stamp
ifdef HEADLESS
	$(BIN)/python notebooks/headless.py $(NOTEBOOK) build/first-look
else
	$(BIN)/jupyter lab $(AS_ROOT) --LabApp.default_url=/lab/tree/$(NOTEBOOK)
endif

# The browser's tests have the machine to themselves, for they wait for a hand; the others share it, one thread each.
OTHERS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/browser

test: $(VENV)/test.stamp chromium bundle-check
	$(BIN)/python -m pytest tests/browser; browser=$$?; $(OTHERS) && exit $$browser

test-all: $(VENV)/test.stamp chromium bundle-check
	$(BIN)/python -m pytest -m "slow or not slow" tests/browser; browser=$$?; $(OTHERS) -m "slow or not slow" && exit $$browser

docs: $(VENV)/docs.stamp
	$(BIN)/python -m tests.docs

shots: $(VENV)/test.stamp chromium
	$(BIN)/python -m pytest -m "slow or not slow" tests/browser -k "first_sight or cat_and_cup or leave_one_out or contact_sheet or test_states or (test_compare and looks)"
	$(BIN)/python -m tests.browser.first_look
	$(BIN)/python -m tests.browser.picture

bench: $(VENV)/test.stamp
	$(BIN)/python -m tests.benchmarks.first_sight
	$(BIN)/python -m tests.benchmarks

bench-full: $(VENV)/test.stamp
	$(BIN)/python -m tests.benchmarks --full
	$(BIN)/python -m tests.benchmarks.adaptive
	$(BIN)/python -m tests.benchmarks.zoo

bench-gpu: $(VENV)/test.stamp
	$(BIN)/python -m tests.benchmarks.gpu

bench-ui: $(VENV)/test.stamp chromium
	$(BIN)/python -m tests.benchmarks.ui

zoo: $(VENV)/test.stamp
	$(BIN)/python -m tests.zoo.survey

trust: $(VENV)/test.stamp
	$(BIN)/python -m tests.metrics.table

sheets: $(VENV)/test.stamp
	$(BIN)/python -m tests.sheets

$(VENV)/pip.stamp:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml
	@echo "installing the package with PyTorch and JupyterLab into $(VENV): minutes the first time, 6 GB with CUDA's libraries"
	$(BIN)/python -m pip install --quiet -e ".[imagenet]"
	touch $@

$(VENV)/docs.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@

$(VENV)/test.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[test]"
	# What Quantus asks for would replace OpenCV, and is not needed here; without it its tests skip.
	$(BIN)/python -m pip install --quiet --no-deps quantus || echo "Quantus cannot be installed: tests against it will skip"
	touch $@

# Browser tests use Debian's Chromium; where it cannot be installed they skip and say how to get it.
chromium:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
		echo "chromium is missing and cannot be installed here: browser tests will skip (apt-get install chromium)"

bundle:
	cd js && npm ci --no-audit --no-fund && npm run build

# The committed bundle must be what the sources give; without Node there is nothing to compare.
bundle-check:
	@if command -v npm >/dev/null; then \
		cd js && npm ci --silent --no-audit --no-fund && npm run --silent check && npm run --silent test && npm run --silent build && \
		git diff --exit-code --stat -- ../saliency_widgets/static || { echo "the committed bundle differs from js/: run make bundle and commit"; exit 1; }; \
	else echo "npm is missing: the committed bundle is not compared with js/"; fi

lint: $(VENV)/test.stamp
	$(BIN)/ruff check saliency_widgets tests notebooks/headless.py

clean:
	rm -rf build dist js/node_modules .pytest_cache .ruff_cache
