PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format bench lite tapes wheel chromium clean

demo: $(VENV)/.demo  ## open the lesson in JupyterLab; EXECUTE=1 runs it here and prints the answers
	$(BIN)/cozeloop-magic model fetch
	$(BIN)/cozeloop-magic demo $(if $(EXECUTE),--execute)

test: $(VENV)/.test chromium lint  ## everything that must be true
	$(BIN)/pytest -n auto -m "not browser and not model"
	$(BIN)/pytest -m "browser or model"

lint: $(VENV)/.test  ## style, types, and who imports whom
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test  ## let ruff mend what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.test chromium  ## each prints a ratio against its alternative
	$(BIN)/python benchmarks/load_ext.py
	$(BIN)/python benchmarks/client.py
	$(BIN)/python -W ignore benchmarks/batch.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/classroom.py
	$(BIN)/python benchmarks/view.py
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/authoring.py

lite: $(VENV)/.lite  ## a page that plays the lessons in a browser alone: serve dist/lite as plain files
	$(BIN)/python -m lite.build lessons dist/lite

tapes: $(VENV)/.demo  ## record the lessons anew, while the computer does nothing else
	$(BIN)/python -m lite.record demo.ipynb lessons/exercise.ipynb lessons/is-it-better.ipynb

wheel:  ## what a user installs: the wheel in an empty environment, and the lesson run from it
	rm -rf dist $(VENV)-wheel
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	$(VENV)-wheel/bin/pip install --quiet "$$(ls dist/*.whl)[demo]"
	$(VENV)-wheel/bin/cozeloop-magic demo --execute

clean:  ## forget the environment; the weights stay in the user's cache
	rm -rf $(VENV) $(VENV)-wheel dist artefacts .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[$*]'
	touch $@

# The browser tests drive the system's Chromium, and those of a proxy its nginx; where there is none, and none can be
# installed, they are skipped.
chromium:
	@{ command -v chromium && command -v nginx; } >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null \
		|| { apt-get update -qq \
			&& apt-get install -y -qq chromium fonts-noto-cjk fonts-noto-color-emoji nginx-light; } \
		|| echo "No Chromium or no nginx: their tests are skipped."
