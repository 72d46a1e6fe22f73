# Two commands do everything: `make book` and `make test`. Each sets itself up in .venv, where nothing else is touched.

PYTHON ?= python3
JOBS ?= 2
PORT ?= 8000
TORCH ?= 2.13.0
NOTEBOOKS ?= book
MODULES ?= conv network stability plateau

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
HTML := _build/html

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book test pdf zip notebooks serve lint format outputs chromium lock clean bench lighthouse mutants

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: $(READY) ## Build the book and say where to open it
	@$(BIN)/jupyter-book build . -W -n --keep-going
	@echo
	@echo "The book: file://$(CURDIR)/$(HTML)/index.html"
	@echo "or run 'make serve' and open http://localhost:$(PORT)/"

test: $(READY) chromium book ## Test everything: package, every notebook's outputs, every page in a browser
	@# The processes share the processors: threads within each would wait for one another.
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadscope

notebooks: $(READY) ## Open the chapters in JupyterLab
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) book

pdf: $(READY) chromium ## Make the book one PDF, _build/twin-filters.pdf
	@$(BIN)/python -m tools.pdf

zip: book ## Pack the built book to open anywhere without a network, _build/twin-filters.zip
	@$(BIN)/python tools/archive.py

serve: book ## Serve the built book on this computer (PORT=8000)
	@echo "Stop with Ctrl-C."
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

lint: $(READY) ## Check style and format, notebooks included
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY) ## Put style and format right where that can be done by rule
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

outputs: $(READY) ## Run the notebooks anew and store their text outputs (NOTEBOOKS=book), and what the statements' tests measure
	@$(BIN)/python tools/store_outputs.py $(NOTEBOOKS)
	@$(BIN)/python -m pytest tests/chapters --quiet --store-measured

chromium: $(READY) ## See to it that there is a Chromium for the browser tests
	@$(BIN)/python tools/chromium.py

lock: ## Write requirements.txt anew from pyproject.toml
	@set -e; env=$$(mktemp -d); trap 'rm -rf "$$env"' EXIT; \
	$(PYTHON) -m venv "$$env"; \
	"$$env/bin/python" -m pip install --quiet torch==$(TORCH) hatchling editables '.[test,lint]'; \
	"$$env/bin/python" tools/lock.py

clean: ## Remove what was built (the environment stays)
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
	find book src tests tools -name __pycache__ -prune -exec rm -rf {} +

# The stamp is older than the lock or the project file only when one of them changed.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Twin Filters needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	    "Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV). The first time, this takes some minutes."
	@$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

bench: $(READY) ## Compare the speed with PyTorch and JAX, which is installed for it (BENCH="--threads 1 conv")
	@$(BIN)/python -m pip install --quiet --no-build-isolation --constraint requirements.txt --editable '.[bench]'
	@$(BIN)/python benchmarks $(BENCH)

lighthouse: chromium book ## Measure every page with Lighthouse, which is installed for it (LIGHTHOUSE="--runs 1 book/intro")
	@$(BIN)/python benchmarks/pages.py $(LIGHTHOUSE)

mutants: $(READY) ## Break modules in one place at a time and count what their tests notice (MODULES="conv")
	@$(BIN)/python -m pip install --quiet --no-build-isolation --constraint requirements.txt --editable '.[mutants]'
	@$(BIN)/python tools/mutants.py --jobs $(JOBS) $(MODULES)
