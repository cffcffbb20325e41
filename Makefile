# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo setup test lint sanity units integration coverage build molecule acceptance bench chaos clean

VENV ?= .venv
DEMO_DIR ?= demo-run
N ?= 20
SEED ?=
INTERVAL ?= 5
collection := collection/ansible_collections/larapee/backup
coverage := --cov --cov-report=html:.cache/coverage/html

# The virtual environment comes first: pyenv's shims answer to the names of programs that they cannot start.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export VENV
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/collection
# Collections and caches in the home directory of whoever calls must not decide what is tested.
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile

demo: ## show a shop backed up, its server, uploads and .env lost, and all restored (DEMO_DIR=demo-run)
	@scripts/install-packages demo
	@scripts/make-venv demo
	@$(VENV)/bin/larapee-backup demo --dir "$(DEMO_DIR)"

setup: ## install what the tests need: Debian packages (root, only what is missing) and .venv
	@scripts/install-packages test
	@scripts/make-venv test

test: setup ## everything: lint, ansible-test, unit and integration tests, coverage
	@scripts/test $(coverage)

lint: setup ## ruff, mypy, yamllint, ansible-lint, shellcheck, licences, changelog
	@scripts/lint

sanity: setup ## ansible-test sanity
	@scripts/ansible-test sanity --requirements

units: setup ## the collection's unit tests, under ansible-test and under pytest
	@scripts/ansible-test units
	@scripts/run-pytest $(collection)/tests/unit

integration: setup ## what needs real servers, processes and files
	@scripts/ansible-test integration
	@scripts/run-pytest tests

coverage: setup ## all of pytest, with the lines and branches that no test reached
	@scripts/run-pytest $(coverage) --cov-report=term-missing:skip-covered

build: setup ## the collection's archive and the runner's wheel, in dist/
	@ansible-galaxy collection build --force --output-path dist $(collection)
	@python -m pip wheel --quiet --no-deps --wheel-dir dist ./runner

molecule: setup ## the roles on real hosts: containers with systemd and sshd (S=estate for one scenario)
	@molecule test $(if $(S),--scenario-name $(S),--all)

acceptance: setup ## what is too long for test: MariaDB 11.8, MySQL 9.7; offsite on Ceph; rotations on hosts; a pull from 1,000 branches; Python 3.12 or newer with the newer ansible-core
	@failed=0; for leg in "engine-leg mariadb" "engine-leg mysql" ceph-leg second-leg; do scripts/$$leg || failed=1; done; \
	  BENCH_PARTS=sweep BENCH_BRANCHES=1000 BENCH_OUT=.cache/bench/thousand.json scripts/bench || failed=1; \
	  DEATHS=20 molecule test --all || failed=1; exit $$failed

bench: setup ## speed, size and memory beside the plan's own commands, with peers if PEERS=1 (BENCH_SQL_MB=220 BENCH_FILES_MB=1024 BENCH_SALES=20000 ROUNDS=3)
	@scripts/bench

chaos: setup ## kill a branch under load at random moments, restore it, and print what was lost (N=20 SEED=n INTERVAL=5)
	@N="$(N)" SEED="$(SEED)" INTERVAL="$(INTERVAL)" scripts/chaos

clean: ## remove what the targets above made, except the demo's directory
	rm -rf .venv .venv-second .cache .ansible dist build runner/build runner/src/*.egg-info .coverage .coverage.*
	find . -type d \( -name __pycache__ -o -name .mypy_cache -o -name .pytest_cache -o -name .ruff_cache -o -name .hypothesis \) \
	  -not -path './.git/*' -prune -exec rm -rf {} +
	rm -rf $(collection)/tests/output
