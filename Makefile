# Needs Go and nothing else. `make` lists what it can do.

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The race detector needs a C compiler.
RACE        ?= $(if $(shell command -v $$($(GO) env CC)),-race,$(warning no C compiler: testing without the race detector))

# Google's client of its buckets goes by HTTP here: what only gRPC needs would be a
# seventh of the program.
export GOFLAGS := -tags=disable_grpc_modules $(shell $(GO) env GOFLAGS)

# The program is built for what cmd/chatbackfill/default.pgo has seen it do. That
# compiles all it uses once more, which checks go without.
test chaos fuzz vuln vet staticcheck: export GOFLAGS += -pgo=off

.DEFAULT_GOAL := help
.PHONY: help build test chaos fuzz vuln lint format vet staticcheck tidy imports bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/chatbackfill, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/chatbackfill ./cmd/chatbackfill

test: ## run all tests, with the race detector
	@$(GO) test $(RACE) -timeout 20m ./...

chaos: ## break everything that can break: all faults; ROW=16 SEED=7 repeats one with the rows of a seed
	$(GO) test ./jobs/chaos -v -count=1 -timeout 60m -chaos.seed=$(or $(SEED),1) $(if $(ROW),-chaos.row=$(ROW),-chaos.full)

# A number of texts, or a time. At the end of a time the Go before 1.27 may fail
# with "context deadline exceeded" without having found anything (go.dev/issue/75804).
FUZZTIME  ?= 100000x
# Guided by what of the code a text reaches, for which everything is compiled
# once more; FUZZBUILD= goes without.
FUZZBUILD ?= -fuzz=.

fuzz: ## try what nobody thought of: FUZZTIME texts for each fuzz target
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		$(GO) test -c $(FUZZBUILD) -o "$$tmp/fuzz.test" $$dir; \
		for target in $$(cd $$dir && "$$tmp/fuzz.test" -test.list '^Fuzz'); do \
			echo "$$dir $$target"; \
			(cd $$dir && "$$tmp/fuzz.test" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) -test.fuzzcachedir "$$tmp/corpus" >"$$tmp/out" 2>&1) || { cat "$$tmp/out"; exit 1; }; \
		done; \
	done

vuln: ## look for known vulnerabilities in what is used; VULNDB=file:///DIR has its database there
	@$(GO) run $(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) ./...

lint: format vet staticcheck tidy imports ## check everything that can be checked without running it

format: ## check that gofmt has nothing to change
	@out=$$(gofmt -l .) && if [ -n "$$out" ]; then echo "gofmt -w these:"; echo "$$out"; exit 1; fi

vet: ## go vet
	@$(GO) vet ./...

staticcheck: ## staticcheck, at the version named above
	@$(GO) run $(STATICCHECK) ./...

tidy: ## check that go.mod and go.sum list what is used
	@$(GO) mod tidy -diff

# Data flows one way: extract -> transform -> load -> jobs -> cmd. A package may
# import those named here of ours, and itself; its tests jobs/examples besides.
define MAY_IMPORT
extract:
transform: extract
load: extract transform
migrations:
jobs: extract transform load migrations
cmd: extract transform load jobs
endef
export MAY_IMPORT

imports: ## check that packages import in one direction only
	@list=$$($(GO) list -f '{{$$p := .ImportPath}}{{$$p}} {{$$p}} code{{"\n"}}{{range .Imports}}{{$$p}} {{.}} code{{"\n"}}{{end}}{{range .TestImports}}{{$$p}} {{.}} test{{"\n"}}{{end}}{{range .XTestImports}}{{$$p}} {{.}} test{{"\n"}}{{end}}' ./...) && echo "$$list" | awk -v ours="$$($(GO) list -m)/" ' \
		function top(path) { sub(ours, "", path); sub("/.*", "", path); return path } \
		BEGIN { \
			n = split(ENVIRON["MAY_IMPORT"], rules, "\n"); \
			for (i = 1; i <= n; i++) { \
				m = split(rules[i], w, /:? +|:/); \
				known[w[1]]; may[w[1], w[1]]; \
				for (j = 2; j <= m; j++) may[w[1], w[j]] \
			} \
		} \
		index($$1, ours) == 1 && !(top($$1) in known) { print $$1 " is in none of the folders that this project has"; bad = 1; next } \
		index($$2, ours) != 1 || (top($$1), top($$2)) in may { next } \
		$$3 == "test" && $$2 == ours "jobs/examples" { next } \
		{ print $$1 " must not import " $$2 " (" $$3 ")"; bad = 1 } \
		END { exit bad }'

bench: ## run all benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built, and what the demo left behind
	rm -rf bin
	rm -f jobs/examples/demo-events.ndjson jobs/examples/*.state.db*
