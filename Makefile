# For those who have make; everything works without it.

GO  ?= go
BIN := bin/snapcopy

.PHONY: build test bench fidelity torture check clean

build:
	$(GO) build -o $(BIN) ./cmd/snapcopy

# All tests and nothing else.
test:
	$(GO) run ./internal/check -only tests

# Compares with rsync, cp and the bare system calls; see bench/ for its options.
bench:
	$(GO) run ./bench $(BENCHFLAGS)

# What snapcopy and other tools keep and lose: the tables of docs/fidelity.md. Needs root.
fidelity:
	$(GO) run ./bench/fidelity $(FIDELITYFLAGS)

# Kills the program, makes its system calls fail and cuts the power, at random points until the time is over; see
# bench/torture/main.go. TORTURE_SEED=N with TORTURE=1 repeats trial N.
TORTURE ?= 10m
torture:
	$(GO) run ./bench/torture -budget $(TORTURE) -seed "$(TORTURE_SEED)" $(TORTUREFLAGS)

# Build, linters, other platforms, tests, fuzzing: what has to pass before a commit. See README.md, "Tests".
check:
	$(GO) run ./internal/check $(CHECKFLAGS)

clean:
	rm -rf bin
