# A newcomer needs only `make run` and `make test`; `make help` lists the rest.
SUITABLE := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3 python3.14 python3.13 python3.12; do "$$python" -c '$(SUITABLE)' 2>/dev/null && { command -v "$$python"; break; }; done)
BIN := .venv/bin
PORT ?= 8080
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
# Four processes even on two cores: most of a test's time is waiting.
TESTS := $(RUN) $(BIN)/pytest -n 4
# Tests without a running Envoy, faults, commands and races.
QUICK := tests/rpc tests/store tests/migrations tests/unit -m "not race"

# File names are UTF-8 in any locale, and packages and options of another project's Python have no effect.
export PYTHONUTF8 := 1
unexport PYTHONPATH PYTHONHOME PYTHONWARNINGS PYTHONOPTIMIZE PYTHONIOENCODING PYTHONDONTWRITEBYTECODE

# Whether .venv is complete and has its Python, and was not moved: the first lines of its programs name its path.
USABLE := $(shell [ "$$(cat .venv/installed 2>/dev/null)" = "$$(pwd -P)" ] && .venv/bin/python -I -c 'import mercato_server' 2>/dev/null && echo yes)

.DEFAULT_GOAL := help
.PHONY: help anew install run test quick pythons versions dist packages flake faults check proto schema settings examples docs site image lock peer generators patroni typescript bench soak clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

install: .venv/installed .venv/stubs/installed .venv/protos ## prepare .venv with hash-pinned dependencies

# Two steps, so that build tools are pinned by hash too and pip fetches nothing unpinned. Python reads the paths of a .pth file in the
# encoding of the locale even in UTF-8 mode, and without them it does not start: they become relative, so ASCII.
.venv/installed: requirements/build.txt requirements/dev.txt pyproject.toml clients/python/pyproject.toml $(if $(USABLE),,anew)
	@"$(PYTHON)" -c '$(SUITABLE)' 2>/dev/null || { echo "Mercato needs Python 3.11 or newer; name one with: make PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, ssl' 2>/dev/null || { echo "$(PYTHON) cannot make a .venv: apt-get install python3-venv, or name another with: make PYTHON=python3.11" >&2; exit 1; }
	@rm -f $@
	"$(PYTHON)" -m venv $(if $(USABLE),,--clear) .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable clients/python --editable .
	@sed -i -E 's,^/.*/(server|clients/python)$$,../../../../\1,' .venv/lib/python3*/site-packages/*mercato*.pth
	@pwd -P >$@

# The compiler of the stubs, which must be as old as the oldest packages that clients use.
.venv/stubs/installed: .venv/installed requirements/stubs.txt
	"$(PYTHON)" -m venv --clear .venv/stubs
	.venv/stubs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/stubs.txt
	@touch $@

# buf reads no installed package, so it gets a copy of the protos that ours import.
.venv/protos: .venv/stubs/installed
	$(BIN)/python tools/proto.py --imports
	@touch $@

# The peer, its tests and the plots of `make bench` need packages that the server does not, so `make install` leaves them out.
peer: .venv/peer ## add the packages of benchmarks/peer and of the plots to .venv

.venv/peer: .venv/installed requirements/peer.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/peer.txt
	@touch $@

run: install ## start PostgreSQL, workers and Envoy with demo data on http://127.0.0.1:8080 (PORT=8081 ARGS="--data-dir DIR"; ARGS=--demo-payments takes play money)
	@exec $(BIN)/mercato up --port $(PORT) $(ARGS)

# Programs of other projects that make clients from the OpenAPI document, each in a place of its own: their packages exclude ours. Where
# npm or its registry is absent, the test of the TypeScript client is skipped.
generators: .venv/generators/installed ## add the generators of REST clients, with which tests make clients in TypeScript and Python

.venv/generators/installed: .venv/installed requirements/generators.txt tests/clients/package-lock.json
	"$(PYTHON)" -m venv --clear .venv/generators/python
	.venv/generators/python/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/generators.txt
	cp tests/clients/package.json tests/clients/package-lock.json .venv/generators
	@command -v npm >/dev/null && npm ci --prefix .venv/generators --silent --ignore-scripts --no-audit --no-fund || \
		echo "no packages of npm: the test of the TypeScript client is skipped" >&2
	@touch $@

# Where npm or its registry is absent, the tests of the TypeScript client are skipped.
typescript: .venv/typescript ## install the packages of clients/typescript, and build it

.venv/typescript: .venv/installed $(wildcard $(patsubst %,clients/typescript/%,package.json package-lock.json tsconfig.json src/*.ts src/gen/*.ts src/gen/*/*/*.ts))
	@command -v npm >/dev/null && cd clients/typescript && npm ci --silent && npm run --silent build || \
		echo "no packages of npm: the tests of the TypeScript client are skipped" >&2
	@touch $@

# The oldest gRPC and protobuf that the client takes, with the server and its tests; gRPC's other packages are as old.
.venv/oldest/installed: .venv/installed requirements/oldest.txt
	"$(PYTHON)" -m venv --clear .venv/oldest
	$(BIN)/uv pip install --quiet --python .venv/oldest/bin/python --no-build-isolation --require-hashes -r requirements/oldest.txt
	$(BIN)/uv pip install --quiet --python .venv/oldest/bin/python --no-build-isolation --no-deps --editable clients/python --editable .
	@sed -i -E 's,^/.*/(server|clients/python)$$,../../../../../\1,' .venv/oldest/lib/python3*/site-packages/*mercato*.pth
	@touch $@

# The generator of the site and the library that draws its diagrams, in a place of their own. Chromium draws them.
site: .venv/docs/installed ## add the programs of `make docs`, which also needs npm and chromium

.venv/docs/installed: .venv/installed requirements/docs.txt tools/site/package-lock.json
	@rm -f $@
	"$(PYTHON)" -m venv --clear .venv/docs/python
	.venv/docs/python/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	cp tools/site/package.json tools/site/package-lock.json .venv/docs
	@command -v npm >/dev/null && npm ci --prefix .venv/docs --silent --ignore-scripts --no-audit --no-fund && touch $@ || \
		echo "no packages of npm: the tests of the site are skipped" >&2

docs: site typescript ## build the site of the documentation into build/docs/site
	$(RUN) $(BIN)/python tools/documents.py

# The cluster of tests/ha, in a place of its own like the generators. Two of its packages have no wheel, so the build tools come first.
patroni: .venv/patroni/installed ## add Patroni, with which tests of failover run a cluster of PostgreSQL (they need etcd-server, pgbouncer and haproxy too)

.venv/patroni/installed: .venv/installed requirements/build.txt requirements/patroni.txt
	"$(PYTHON)" -m venv --clear .venv/patroni
	.venv/patroni/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	.venv/patroni/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --require-hashes -r requirements/patroni.txt
	@touch $@

test: peer generators patroni typescript site ## run every test against real PostgreSQL and real Envoy (ARGS="tests/rpc -k checkout" for some of them)
	$(TESTS) $(ARGS)

quick: install ## run the tests of units, SQL and RPCs, without races, in a minute
	$(TESTS) $(QUICK) $(ARGS)

pythons: install ## run the quick tests with the newer Pythons at hand, 3.12 to 3.14 (ARGS=--newest)
	$(RUN) $(BIN)/python tools/pythons.py $(ARGS)

versions: .venv/oldest/installed ## run the tests of the Python client with the oldest gRPC and protobuf that it takes, and with the newest (ARGS=--oldest)
	$(RUN) $(BIN)/python tools/versions.py $(ARGS)

dist: install typescript ## build the packages of client and server, and the npm package, into dist/
	$(RUN) $(BIN)/python tools/dist.py $(ARGS)

packages: install typescript ## build the packages, install each into an empty environment, and shop with it
	$(TESTS) tests/packages $(ARGS)

flake: peer generators patroni typescript site ## run the tests ten times in random order, half of them beside busy loops, and report which fail at random (ARGS="--runs 50 -- tests/rpc")
	$(RUN) $(BIN)/python tools/flake.py $(ARGS)

faults: install ## run the fault tests, which kill, cut and hang servers, in three minutes (make soak: the full numbers)
	$(RUN) $(BIN)/pytest tests/faults $(ARGS)

check: peer typescript ## lint, types, import contracts, protos, migrations, generated code, prose, dependency audit
	$(RUN) $(BIN)/python tools/check.py

proto: install ## generate the stubs, openapi.json, the service configs and the clients from protos/
	$(RUN) $(BIN)/python tools/proto.py
	$(RUN) $(BIN)/python tools/clients.py

schema: install ## write migrations/schema.sql from the migrations
	$(RUN) $(BIN)/python tools/dump_schema.py

settings: install ## write docs/settings.md from the descriptions of the settings
	$(RUN) $(BIN)/python tools/settings.py

examples: install typescript ## write the output of their examples into README.md and the cookbooks, against a fresh `make run ARGS=--demo-payments`
	$(RUN) $(BIN)/python tools/examples.py --port $(PORT)

image: install ## build the images of the Dockerfile with buildah, as root, and print their sizes (ARGS="--base IMAGE")
	$(RUN) $(BIN)/python tools/image.py $(ARGS)

lock: install ## resolve the dependencies anew into requirements/*.txt
	$(RUN) $(BIN)/python tools/lock.py

bench: peer typescript ## measure all goals of docs/performance.md, and record the results; an hour and 30 GB of disk (ARGS=--quick: 5 minutes, records nothing)
	$(RUN) $(BIN)/python benchmarks/bench.py $(ARGS)

soak: patroni typescript ## run the fault, failover, fuzz and shared session tests with their full numbers (two hours; reports in benchmarks/results), and each race 50 times
	$(RUN) $(BIN)/pytest tests/faults --soak --soak-report benchmarks/results/soak.md $(ARGS)
	$(RUN) $(BIN)/pytest tests/ha --soak --soak-report benchmarks/results/failover.md $(ARGS)
	$(RUN) $(BIN)/pytest tests/fuzz --soak --fuzz-report benchmarks/results/fuzz.md $(ARGS)
	$(RUN) $(BIN)/pytest tests/unit/stripe_double/test_money.py tests/unit/test_payment_model.py --soak
	$(RUN) $(BIN)/pytest tests/payments/test_reconcile_size.py --soak
	$(RUN) $(BIN)/pytest tests/commands/test_output.py --soak
	$(RUN) $(BIN)/pytest tests/python_client/test_shared_sessions.py --soak
	$(RUN) $(BIN)/pytest tests/typescript/test_kills.py --soak
	$(RUN) $(BIN)/pytest tests/deploy/test_image.py --soak
	$(TESTS) -m race --race-rounds 50 $(ARGS)

clean: ## remove .venv and caches; data directories stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* build dist clients/typescript/node_modules clients/typescript/dist clients/typescript/build
