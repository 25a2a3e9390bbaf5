PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
DEBIAN := postgresql binutils tshark tcpdump ethtool libpcap0.8 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk iproute2 util-linux systemd prometheus prometheus-alertmanager clickhouse-server zookeeperd
.DEFAULT_GOAL := help
.PHONY: help demo demo-live demo-orders demo-business test suite-plain suite-programs suite-business suite-business-a suite-business-q suite-answers suite-compiled check parts proof bench golden docs clean

help: ## say what the targets do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.made: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bss,test]'
	touch $@

demo: $(VENV)/.made ## set up, replay a capture of real programs into ./fullspan.chdb and report.html
	$(BIN)/fullspan replay pcaps/demo.pcap --report report.html
	@echo 'Next: $(BIN)/fullspan query   or open report.html'

demo-live: $(VENV)/.made ## the probe at work: real programs in network namespaces, mirrored to it (root; installs their Debian packages)
	$(BIN)/python -m pcaps.make.live

demo-orders: $(VENV)/.made ## twenty leased lines from enquiry to acceptance, proved by real traffic (root; installs iperf3; five minutes)
	$(BIN)/python -m pcaps.make.orders

demo-business: $(VENV)/.made ## a month of a sample operator: generated and real traffic, tickets, SLAs, bills, each figure followed to flows (ten minutes)
	$(BIN)/python -m pcaps.make.business

parts: ## Debian packages that tests need (tshark, iproute2, Prometheus, a ClickHouse server with ZooKeeper, ...)
	@dpkg -s $(DEBIAN) >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $(DEBIAN); }

check: $(VENV)/.made ## lint, types, import rules, generated docs
	$(BIN)/ruff check dpi bss tests pcaps benchmarks docs setup.py
	$(QUIETLY) $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

test: $(VENV)/.made parts ## everything CI runs: checks, then the suite with the JIT on, checked and off
	$(BIN)/fullspan replay pcaps/demo.pcap --store none
	$(MAKE) -j7 --output-sync=target check suite-programs suite-business-a suite-business-q suite-plain suite-answers suite-compiled

KERNELS := tests/capture tests/classify tests/flow tests/golden tests/identity tests/security tests/tagging tests/test_jit.py tests/test_native.py tests/test_texts.py

suite-plain: # the kernels as Python, then with every index checked
	FULLSPAN_JIT=off $(QUIETLY) $(BIN)/pytest --durations=12 -m 'not compiled' $(KERNELS)
	FULLSPAN_JIT=checked $(QUIETLY) $(BIN)/pytest --durations=12 -m 'not compiled' $(KERNELS)

PROGRAMS := tests/live tests/delivery tests/watch

# what computes yields to what waits for programs, which are timed
QUIETLY := nice -n 10

suite-programs: # real servers, wires and daemons: mostly waiting, so beside the rest
	$(BIN)/pytest --durations=12 $(PROGRAMS)

# in two halves by their names, so that no core is without work in the end
suite-business-a:
	$(QUIETLY) $(BIN)/pytest --durations=12 tests/bss/test_[a-p]*.py

suite-business-q:
	$(QUIETLY) $(BIN)/pytest --durations=12 tests/bss/test_[q-z]*.py

suite-business: suite-business-a suite-business-q

ANSWERS := tests/cli tests/documents tests/pcaps tests/privacy tests/reports tests/sinks tests/usage

suite-answers: # what people get to see, with the JIT on
	$(QUIETLY) $(BIN)/pytest --durations=12 $(ANSWERS)

suite-compiled: # all else with the JIT on
	$(QUIETLY) $(BIN)/pytest --durations=12 $(PROGRAMS:%=--ignore=%) $(ANSWERS:%=--ignore=%) --ignore=tests/bss

proof: $(VENV)/.made parts ## what takes longer: fuzzing at full count, exactness next to tshark (CAPTURES=DIR: more captures), outages of the probe's store (root); raw output to benchmarks/results/
	$(BIN)/python -m benchmarks.proof $(if $(CAPTURES),--captures $(CAPTURES))

bench: $(VENV)/.made parts ## timings against peers; raw output to benchmarks/results/
	$(BIN)/python -m benchmarks.run

golden: $(VENV)/.made ## write the golden rows of pcaps/ anew (look at the diff)
	$(BIN)/python -m tests.golden.write

docs: $(VENV)/.made ## write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

clean: ## remove what make made
	rm -rf $(VENV) build *.egg-info fullspan.chdb report.html
