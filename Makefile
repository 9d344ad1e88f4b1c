# Everything a developer runs. CI calls `make check`.

GO      ?= go
BIN     := bin/snapcopy
# A number of tries and not a time: at the end of a time, go test may take a slow try for a failure.
FUZZ    ?= 2000x
# The linter's version is pinned: a new one must not turn an old commit red.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test lint fuzz cross bench fidelity check clean

build:
	$(GO) build -o $(BIN) ./cmd/snapcopy

# All tests, with the race detector. Root-only tests and those that need a tool skip visibly elsewhere.
test:
	$(GO) test -race -timeout 12m ./...

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt'ed: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# Every fuzz target for a short while.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "fuzz $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ) -fuzzminimizetime 5x $$pkg; \
	  done; \
	done

# The platforms snapcopy has to compile and vet on.
cross:
	@set -e; for os in linux windows darwin; do \
	  echo "build and vet for $$os"; \
	  GOOS=$$os CGO_ENABLED=0 $(GO) build ./...; \
	  GOOS=$$os CGO_ENABLED=0 $(GO) vet ./...; \
	done

# Compares with rsync, cp and the bare system calls; see bench/ for its options.
bench:
	$(GO) run ./bench $(BENCHFLAGS)

# What snapcopy and other tools keep and lose: the tables of docs/fidelity.md. Needs root.
fidelity:
	$(GO) run ./bench/fidelity $(FIDELITYFLAGS)

check: build lint cross fuzz test

clean:
	rm -rf bin
