# The four front doors. Each makes .venv if there is none; PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check format docs bench bench-resume bench-evaluate clean

# make demo [CORPUS=path] [MINUTES=n] [OUT=dir]
demo: $(VENV)/.installed
	$(BIN)/astrollama demo $(if $(CORPUS),--corpus "$(CORPUS)") $(if $(MINUTES),--minutes $(MINUTES)) $(if $(OUT),--out "$(OUT)")

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/reference/generate.py --check
	$(BIN)/astrollama results --out docs/results.md --check

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/import_corpus.py
	$(BIN)/python benchmarks/near_duplicates.py
	$(BIN)/python benchmarks/latex.py
	$(BIN)/python benchmarks/train_peers.py
	$(BIN)/python benchmarks/train_growth.py
	$(BIN)/python benchmarks/estimates.py

# CORPUS: a corpus directory, GENERAL: a file of general text
bench-evaluate: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/identity.py --corpus "$(CORPUS)" $(if $(GENERAL),--general "$(GENERAL)")
	$(BIN)/python benchmarks/harness_agreement.py
	$(BIN)/python benchmarks/embed.py

bench-resume: $(VENV)/.installed
	$(BIN)/python benchmarks/resume_kills.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/reference/generate.py

clean:
	rm -rf $(VENV)

# torch comes first and pinned, so that nothing asks for a larger build of it.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "error: $(PYTHON) is not Python 3.11 to 3.13: give another one, for example make PYTHON=python3.12" >&2; exit 2; }
	@echo "installing astrollama and what it needs into $(VENV), once: this takes minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing the tools for tests and checks into $(VENV), once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
