# Berth. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help venv tools images cluster cluster-down demo crds generate check static unit component e2e test mutants bench lock clean

PYTHON ?= python3
BIN := .venv/bin

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Berth needs Python 3.11 or later: set PYTHON=…"; exit 2; }
	@echo "venv: installing the locked dependencies"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

venv: .venv/.installed ## Make .venv with the locked dependencies

tools: ## Build the tools of the demo and install what Debian has (cached outside the checkout)
	@e2e/tools/build demo

images: venv ## Build the container images (cached outside the checkout)
	@e2e/tools/build demo
	@e2e/images/build

cluster: ## Boot the single-node cluster
	@e2e/tools/build demo
	@e2e/cluster/up

cluster-down: ## Take the cluster down, leaving nothing behind
	@e2e/cluster/down

demo: venv ## Tools, images, cluster, chart, Projects, and who may do what in them (about 15 minutes the first time)
	@e2e/demo

crds: venv ## Write crds/ and the pages and copies made from the models
	@$(BIN)/python -m berth.api.generate.crd crds --docs docs/crds
	@rm -f charts/berth/files/crds/*.yaml && mkdir -p charts/berth/files/crds && cp crds/*.yaml charts/berth/files/crds/

generate: crds ## Write every generated file
	@$(BIN)/python -m berth.authz.messages_page <docs/reasons.md >docs/reasons.md.new
	@mv docs/reasons.md.new docs/reasons.md
	@$(BIN)/python -m e2e.suite.clients.page <docs/clients.md >docs/clients.md.new
	@mv docs/clients.md.new docs/clients.md
	@$(BIN)/python -m tests.kit.docs.metrics_page <docs/metrics.md >docs/metrics.md.new
	@mv docs/metrics.md.new docs/metrics.md

static: venv ## Format, lint, spelling, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/lint-imports

unit: venv ## Unit tests
	@$(BIN)/pytest tests/unit

check: static unit ## The fast part, without a cluster

component: venv ## Component tests against a real etcd, kube-apiserver and registry
	@e2e/tools/build demo
	@$(BIN)/pytest tests/component

e2e: venv ## End-to-end tests on the real cluster with real clients
	@e2e/tools/build test
	@e2e/images/build
	@$(BIN)/pytest e2e

# End-to-end tests that run with the others, on a cluster of their own: so both processes take about as long.
EVEN := $(addprefix e2e/test_,demo.py isolation.py projects.py pull_secrets.py trash.py writes.py)

test: static ## Everything: static checks, unit, component and end-to-end tests, in two processes beside each other
	@e2e/tools/build test
	@e2e/images/build
	@$(BIN)/pytest tests $(EVEN) --beside e2e --durations=25

mutants: venv ## Judge the unit tests by a sample of small changes of the code (ARGS="--package authz --sample 100")
	@$(BIN)/python -m tests.mutants $(ARGS)

bench: venv ## Measure on loopback and write docs/benchmarks.md (about 6 minutes, no cluster)
	@e2e/tools/build bench
	@$(BIN)/python -m bench

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --no-header --allow-unsafe

lock: ## Renew the locked dependencies from pyproject.toml
	@$(LOCK) --extra server -o requirements/server.txt pyproject.toml
	@$(LOCK) --extra server --extra dev -c requirements/server.txt -o requirements/dev.txt pyproject.toml
	@$(LOCK) -o requirements/build.txt requirements/build.in

clean: ## Remove what was built in the checkout
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
