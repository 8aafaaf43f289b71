# Each line is what CI and the README run; nothing here does anything else.
.PHONY: install lint type test test-all

install:            ## .venv with the tests' packages, and .venv-card
	bash -c "source scripts/venv.sh && card_venv && test_venv"

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

type:
	.venv/bin/mypy

test:               ## the quick suite
	./run_tests.sh -m "not slow"

test-all:           ## everything, as CI does
	.ci/run
