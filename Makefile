# Each target sets up what it needs by itself; a second run starts at once.

BIN    := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: demo demo-hyperv demo-vsphere test e2e lint check bench clean

demo:             ## the main job, against a machine on loopback that hangs
	@scripts/setup run
	@$(BIN)/hang-collector demo

demo-hyperv:      ## a Windows machine on Hyper-V hangs; its dump comes home over SMB
	@scripts/setup dev
	@$(BIN)/python -m tests.demos.hyperv

demo-vsphere:     ## a Windows machine on vSphere hangs; its NMI goes the second way, its dump comes home
	@scripts/setup dev
	@$(BIN)/python -m tests.demos.vsphere

test:             ## all but the tests that boot a guest
	@scripts/setup dev
	@$(PYTEST) -n 6 --dist loadgroup -m 'not e2e'

e2e:              ## a real kernel, a real NMI over IPMI, a real vmcore
	@scripts/setup dev
	@$(PYTEST) -m e2e

lint:             ## style, types on three systems, direction of imports
	@scripts/setup dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@for system in linux darwin win32; do $(BIN)/mypy --platform $$system || exit; done
	@$(BIN)/lint-imports

check: lint test  ## before every commit

bench:            ## the figures of the README, measured here
	@scripts/setup dev
	@for script in bench/*.py; do $(BIN)/python $$script || exit; done

clean:            ## back to a fresh checkout
	rm -rf .venv dist build .*_cache .hypothesis tests/e2e/guest/out tests/peers/out
	find . -name __pycache__ -prune -exec rm -rf {} +
