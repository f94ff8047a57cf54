# The commands of everyday work, in the active environment: make setup once, then make test, make lint, ...
.PHONY: help setup test test-all lint types docs ci

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## install skicl for development, at the versions that were tested
	pip install -c .ci/constraints.txt -e ".[test,lint,docs]"

test:  ## the fast tests, in six or seven minutes
	OMP_NUM_THREADS=1 pytest -m "not slow"

test-all:  ## all tests
	OMP_NUM_THREADS=1 pytest

lint:  ## style, format, spelling and types
	ruff check .
	ruff format --check .
	codespell
	mypy

types:  ## types alone
	mypy

docs:  ## the documentation, with its examples executed
	sphinx-build -W --keep-going -q -b html docs docs/_build/html

ci:  ## all that continuous integration does, in environments of its own
	.ci/run
