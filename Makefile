# Words, no logic: setup/install brings what is missing, and the rest is Python.
.PHONY: run test test-long test-vagrant check bench proto wheel testbed clean
.DEFAULT_GOAL := run

run:
	@setup/install run
	@.venv/bin/python -m examples.demonstration $(if $(KEEP),--keep)

test:
	@setup/install test
	@.venv/bin/python -m pytest

test-long:
	@setup/install test
	@.venv/bin/python -m pytest -m long

test-vagrant:
	@setup/install test-vagrant
	@.venv/bin/python -m pytest tests/testbed/vagrant -m vagrant

check:
	@setup/install check
	@.venv/bin/python -m setup.check

bench:
	@setup/install bench
	@.venv/bin/python -m bench $(if $(ONLY),--only $(ONLY))

proto:
	@setup/install check
	@.venv/bin/python -m setup.generate_wire

wheel:
	@setup/install check
	@.venv/bin/python -m setup.distributions dist

testbed:
	@setup/install test
	@.venv/bin/python -m testbed up

clean:
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
