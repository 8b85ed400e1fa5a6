# Aliases, for those who have make. ./run and ./test need none.
.PHONY: run test check format lock

run:
	./run

# Everything that CI runs.
test:
	./test

# Format, lint, types and layers, then the tests that need no servers.
check:
	./test --checks
	./test -q tests/unit tests/contract

format:
	./test --setup-only
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# Renew the locks after a change of pyproject.toml. Versions stay unless LOCK_ARGS=--upgrade.
UV_COMPILE = .venv/bin/uv --system-certs pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(LOCK_ARGS)
lock:
	./test --setup-only
	$(UV_COMPILE) --extra install pyproject.toml -o requirements.lock
	$(UV_COMPILE) --extra install --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo uv==0.13.9 | $(UV_COMPILE) - -o requirements-uv.lock
