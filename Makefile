# Everything that is done with this tree. `make nutshell` and `make test` set up all they need.

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PLUGINS := $(wildcard plugins/*)
# What services run on their machines and tests run here.
HOSTING := php8.2-fpm php8.2-cli php8.2-mysql php8.2-opcache php8.2-gd php8.2-curl php8.2-xml \
	php8.2-mbstring php8.2-zip php8.2-intl php-redis redis-server libfcgi-bin wrk \
	mariadb-server galera-4 mariadb-backup mariadb-client rsync socat stunnel4 haproxy
SOURCES := core/src $(wildcard plugins/*/src)

.PHONY: help nutshell test test-long check bench docs constraints clean

help:  ## Show what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

nutshell: $(INSTALLED)  ## Start the whole system on this machine (root)
	$(VENV)/bin/cps-nutshell start

test: $(INSTALLED)  ## Run the tests; those with machines need root
	./packages.sh postgresql chromium $(HOSTING)
	$(PYTHON) -m pytest -n 3 --dist loadfile -m "not long" $(TESTS)

test-long: $(INSTALLED)  ## Run those tests that are too long for every day (root)
	./packages.sh postgresql $(HOSTING)
	$(PYTHON) -m pytest -m long $(TESTS)

check: $(INSTALLED)  ## Lint, check the format and the types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy $(SOURCES)

bench: $(INSTALLED)  ## Measure speed and weight, as ratios against baselines
	$(PYTHON) tests/bench/run.py

docs: $(INSTALLED)  ## Write the generated parts of the reference
	$(PYTHON) docs/generate.py

constraints: $(INSTALLED)  ## Note the versions that are installed now
	$(VENV)/bin/pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' > constraints.txt

clean:  ## Remove what was made here (not a nutshell: cps-nutshell destroy)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): core/pyproject.toml $(wildcard plugins/*/pyproject.toml) constraints.txt packages.sh
	@echo "Installing what ConPaaS needs into $(VENV): a minute or two"
	./packages.sh
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -c constraints.txt -e 'core[dev]' $(patsubst %,-e %,$(PLUGINS))
	touch $@
