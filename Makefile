# Two commands for newcomers: `make demo` and `make test`. Everything else: `make help`.
SYSTEM_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/node/bin:$(CURDIR)/node_modules/.bin:$(PATH)
NODE := node_modules/node/bin/node --disable-warning=ExperimentalWarning
BIN := node_modules/.bin
VITEST := $(BIN)/vitest run
.DEFAULT_GOAL := help
.PHONY: help setup tools demo test test-unit test-redis test-crds test-cluster test-dataplane clients test-chart test-e2e prove-api-faults prove-limits prove-budgets prove-streams prove-revocation prove-interleavings prove-rotation mutations prove-scale prove-noisy-tenant prove-snapshot build images prove-install prove-helm3 golden format generate \
	check check-format check-types check-lint check-unused check-generated check-docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

setup: node_modules/.package-lock.json ## install the dependencies, with the Node that the project runs on

# npm runs on the machine's Node: the pinned one lies in the folder that it replaces
node_modules/.package-lock.json: package-lock.json
	@command -v npm >/dev/null || { echo 'keywright: needs npm (https://nodejs.org, Node 20 or newer)' >&2; exit 1; }
	PATH='$(SYSTEM_PATH)' npm ci
	@node_modules/node/bin/node --version >/dev/null || { echo 'keywright: the npm package "node" did not bring Node 24; are install scripts switched off?' >&2; exit 1; }
	@touch $@

tools: ## find, install or build what the tests run against: kube-apiserver, etcd, kubectl, Helm, Redis, the Python SDKs
	@bash test/tools/redis.sh
	@bash test/tools/control-plane.sh
	@bash test/tools/helm.sh
	@bash test/tools/python-sdks.sh >/dev/null

demo: setup ## run a gateway on this machine with sample manifests and a fake provider; prints a key and calls to try
	@exec $(NODE) examples/demo/run.ts

test: setup tools ## set up what the tests need and run all of them
	$(VITEST)

test-unit: setup ## run the tests that need no server
	$(VITEST) --project unit

test-redis: setup ## run the tests against a real Redis
	@bash test/tools/redis.sh
	$(VITEST) --project redis

test-crds: setup tools ## run the accept and reject fixtures of the resources against a real API server
	$(VITEST) --project crds

test-cluster: setup tools ## run the tests of the Kubernetes layer against a real API server
	$(VITEST) --project cluster

test-dataplane: setup ## run the tests of the HTTP surface with official SDKs
	@bash test/tools/redis.sh
	@bash test/tools/python-sdks.sh >/dev/null
	$(VITEST) --project dataplane

clients: setup ## call every method of the official SDKs through a gateway, served and refused in every way, and write docs/clients.md anew; takes a minute
	@bash test/tools/redis.sh
	@bash test/tools/python-sdks.sh >/dev/null
	KEYWRIGHT_WRITE_CLIENTS=1 $(VITEST) --project dataplane test/dataplane/clients

test-chart: setup tools ## run the tests of the charts: lint, golden renderings, refusals of the schema, rights of every account, images
	$(VITEST) --project chart --project waits test/chart

test-e2e: setup tools ## run the tests of the whole: API server, Redis, processes, SDKs
	$(VITEST) --project e2e --project waits test/e2e

prove-revocation: setup tools ## revoke 100 keys with each way alone, kill 100 leaders, and print how long the slowest of three proxies took; takes twelve minutes
	@bash test/tools/redis.sh
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/revocation.test.ts

prove-api-faults: setup tools ## restart the API server under load again and again, compact etcd, collect garbage; takes minutes
	@bash test/tools/controller-manager.sh >/dev/null
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/api-faults.test.ts test/prove/garbage.test.ts

mutations: setup ## plant each known bug in a copy and see that its test catches it
	@bash test/tools/redis.sh
	@$(NODE) test/mutations/run.ts

build: setup ## write JavaScript that runs with plain Node to dist/, and what each image holds to dist/images/
	@rm -rf dist
	$(BIN)/tsc -p tsconfig.build.json
	$(NODE) build/assemble.ts

images: ## build the images with docker: REGISTRY=… TAG=… NODE_BUILD_IMAGE=…@sha256:… NODE_RUNTIME_IMAGE=…@sha256:…
	@bash build/images.sh

prove-helm3: setup tools ## render and lint the charts with Helm 3 as well (builds it once: three minutes)
	@bash test/tools/helm.sh 3
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/helm3.test.ts
prove-interleavings: setup ## 5,000 random interleavings of users, time, crashes and two operators; KEYWRIGHT_INTERLEAVINGS=…, KEYWRIGHT_SEED=…
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/interleavings.test.ts

prove-rotation: setup tools ## 20 rotations under 200 requests/s through three proxies, then the same while operators are killed; prints its figures
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/rotation.test.ts

prove-limits: setup tools ## saturate limits at three proxies, strict and leased, for a quarter of an hour each, and write the table of docs/limits.md; KEYWRIGHT_PROVE_MINUTES=…, KEYWRIGHT_PROVE_MODES=…
	@bash test/tools/redis.sh
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/limits.test.ts

prove-budgets: setup tools ## overload budgets at three proxies, kill one, take Redis away, and write the table of docs/limits.md; takes minutes
	@bash test/tools/redis.sh
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/budgets.test.ts

prove-streams: setup ## 200 streams of 20 chunks a second through a gateway and directly, how late each chunk is, and write the table of docs/streams.md; KEYWRIGHT_PROVE_SECONDS=…
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/streams.test.ts

prove-install: setup tools ## install the chart into the cluster of KUBECONFIG, call, upgrade under load, uninstall, reinstall: IMAGE_REGISTRY=… [IMAGE_TAG=…] [REDIS_IMAGE=…]
	@bash test/install/prove.sh

prove-snapshot: setup ## hundreds of epochs with a process that dies at any write, and lists that lose 10,000 keys; takes minutes
	KEYWRIGHT_PROVE_RUNS=300 KEYWRIGHT_PROVE_KEYS=10000 $(VITEST) --project unit operator/snapshot/snapshot-epochs.test.ts operator/snapshot/snapshot-guard.test.ts

prove-scale: setup tools ## measure the control plane with 10,000 and 20,000 VirtualKeys (about ten minutes) and write docs/scale.md
	@bash test/tools/redis.sh
	@$(NODE) test/prove/prove-scale.ts

prove-noisy-tenant: setup tools ## a tenant edits 40 keys of 32 KiB without a pause; print what that does to another one; takes five minutes
	@bash test/tools/redis.sh
	KEYWRIGHT_PROVE=1 $(VITEST) --project prove test/prove/noisy-tenant.test.ts

golden: setup ## write the golden files anew; read the difference before you commit it
	$(VITEST) --project unit --update
	@bash test/tools/helm.sh >/dev/null
	$(VITEST) test/chart/renderings.test.ts --update

format: setup ## format all files
	$(BIN)/oxfmt .

generate: setup ## write the generated files anew
	$(NODE) crds/generate-types.ts
	$(NODE) crds/generate-docs.ts
	$(NODE) charts/generate.ts
	$(NODE) docs/write-tables.ts

check: check-format check-types check-lint check-unused check-generated check-docs ## everything that needs no running: format, types, lint with borders, unused code, generated files, tables of the docs

check-format: setup
	$(BIN)/oxfmt --check .

check-types: setup
	$(BIN)/tsc -p .

check-lint: setup
	$(BIN)/oxlint --type-aware --deny-warnings

check-unused: setup
	$(BIN)/knip

check-generated: setup
	$(NODE) crds/generate-types.ts --check
	$(NODE) charts/generate.ts --check

check-docs: setup
	$(NODE) crds/generate-docs.ts --check
	$(NODE) docs/write-tables.ts --check
