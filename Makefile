# Two commands matter: `make demo` and `make test`. They need Go and make, nothing else.
.DEFAULT_GOAL := help
SHELL         := /bin/sh

# A checkout owned by somebody else (containers, CI) must build too, so the version comes from here and not from Go's VCS stamp.
export GOFLAGS := -buildvcs=false
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

# Versions of the tools of `make check`, so that it says the same everywhere.
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.6.2
GOFUMPT  := mvdan.cc/gofumpt@v0.9.1
GOVULN   := golang.org/x/vuln/cmd/govulncheck@v1.1.4

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## bin/leat
	@mkdir -p bin
	$(BUILD) -o bin/leat ./cmd/leat

.PHONY: demo
demo: build ## a node on a new data directory, and a live shop around it
	cd conformance && $(BUILD) -o ../bin/shop ./demo
	bin/leat demo $(DEMO)

# Modules of their own, so that the clients of others stay out of go.mod.
MODULES := examples conformance gateway/kafka/clienttest gateway/http/clienttest gateway/amqp091/clienttest gateway/aws/clienttest gateway/schemaregistry/clienttest

.PHONY: test
test: format ## everything CI runs
	go vet ./...
	@set -e; for m in $(MODULES); do (cd $$m && go vet ./...); done
	@go run ./internal/tally . $(MODULES)

.PHONY: format
format: # every Go file is as gofmt would write it
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt -w these:"; echo "$$bad"; exit 1; fi

.PHONY: check
check: test ## test, then the linters that can be reached
	@.ci/tool gofumpt $(GOFUMPT) -l .
	@.ci/tool golangci-lint $(GOLANGCI) run ./...
	@.ci/tool govulncheck $(GOVULN) ./...

.PHONY: release
release: ## static binaries for linux and darwin, amd64 and arm64, and the systemd unit, in dist/
	@rm -rf dist && mkdir -p dist
	@set -e; for p in $(PLATFORMS); do \
		os=$${p%/*}; arch=$${p#*/}; out=dist/leat-$$os-$$arch; \
		echo "$$out"; GOOS=$$os GOARCH=$$arch $(BUILD) -o $$out ./cmd/leat; \
	done
	@cp packaging/leat.service LICENSE dist/
	@cd dist && (sha256sum leat-* 2>/dev/null || shasum -a 256 leat-*) > SHA256SUMS
	@ls -l dist

# The programs of others, as their makers publish them. What cannot be fetched is skipped, and said.
NATS_SERVER  := github.com/nats-io/nats-server/v2@v2.15.2
KAFKA_JARS   := org.apache.kafka:kafka_2.13:4.1.0

.PHONY: peers
peers: bench-programs ## side by side with NATS JetStream, Apache Kafka on the JVM and PostgreSQL, as far as they can be had
	@mkdir -p bin/peers
	-@test -x bin/peers/nats-server || GOBIN=$(CURDIR)/bin/peers CGO_ENABLED=0 go install $(NATS_SERVER)
	-@test -d bin/peers/kafka || .ci/jars $(KAFKA_JARS) bin/peers/kafka
	bin/bench -leat bin/leat -peers bin/peers -only peer-nats,peer-nats-sync,peer-kafka,peer-kafka-sync,jvm-table,peer-postgres $(PEERS)

.PHONY: ecosystem-kafka
ecosystem-kafka: build ## Kafka Streams with exactly-once, Connect, MirrorMaker 2, Debezium, Confluent's Java serializers and user interfaces against this build; ECOSYSTEM="streams connect mirror registry debezium ui"
	.ci/ecosystem-kafka $(ECOSYSTEM)

.PHONY: suites-amqp
suites-amqp: build ## the test suites of AMQP clients against this build; SUITES="go pika", SOURCES= checkouts of those that do not publish their tests
	.ci/suites-amqp $(SUITES)

.PHONY: suites-kafka
suites-kafka: build ## the test suites of Kafka's Go clients against this build; SUITES="franz sarama kafka-go confluent", AGAINST=kafka for Apache Kafka
	.ci/suites-kafka $(SUITES)

.PHONY: suite-jsonschema
suite-jsonschema: ## the suite of json-schema.org against our JSON Schema; SUITE= its folder
	go test -tags suite ./contract/jsonschema -run TestSuite -v -suite $(abspath $(SUITE))

.PHONY: sim
sim: ## new seeds of the simulation for SIMTIME (default 10m)
	go test ./sim -run TestSeeds -timeout 0 -for $(or $(SIMTIME),10m) -v

.PHONY: crash
crash: build ## kill -9 under load, 250 cycles and 3 minutes, with a checker: producers and readers, events that leave the journal all the time, queues, quarantine
	cd conformance && go run ./crash -leat ../bin/leat -cycles 100 $(CRASH)
	cd conformance && go run ./crash -leat ../bin/leat -cycles 100 -keeping $(CRASH)
	cd conformance && go run ./crash -leat ../bin/leat -cycles 50 -queues $(CRASH)
	cd conformance && go run ./crash -leat ../bin/leat -cycles 1000 -for 3m -aside $(CRASH)

.PHONY: jepsen
jepsen: build ## transactions while node and clients are killed and stopped, with a checker, for JEPSENTIME (default 10m); expected versions, with porcupine, for 2m
	cd conformance && $(BUILD) -o ../bin/jepsen ./jepsen
	bin/jepsen -leat bin/leat -what versions -for 2m $(JEPSEN)
	bin/jepsen -leat bin/leat -for $(or $(JEPSENTIME),10m) $(JEPSEN)

.PHONY: migration
migration: build ## a link from a real Apache Kafka 4.1 for MIGRATIONTIME (default 10m) while the node is killed, then the switch; needs Java
	@mkdir -p bin/peers
	-@test -d bin/peers/kafka || .ci/jars $(KAFKA_JARS) bin/peers/kafka
	cd conformance && go run ./migration -leat ../bin/leat -kafka ../bin/peers/kafka -for $(or $(MIGRATIONTIME),10m) $(MIGRATION)

.PHONY: suites-aws
suites-aws: build ## the SQS and SNS tests of LocalStack (answers recorded at Amazon) and SQS of moto against the binary, 6 minutes; needs Python 3.13
	.ci/suites-aws bin/leat

.PHONY: bench-sqs
bench-sqs: bench-programs ## the life of a message by SQS
	bin/bench -leat bin/leat -only sqs $(BENCH)

.PHONY: bench
bench: bench-programs ## the table of docs/benchmarks.md, measured here; CEILING= source folder of the Kafka yardstick
	$(if $(CEILING),cd $(CEILING) && go build -o $(CURDIR)/bin/ceiling .)
	bin/bench -leat bin/leat -yardstick bin/yardstick $(if $(CEILING),-ceiling bin/ceiling) $(BENCH)

.PHONY: bench-keep
bench-keep: bench-programs ## the table about keeping events; 25 minutes, 40 GB of disk; CEILING= as in bench
	$(if $(CEILING),cd $(CEILING) && go build -o $(CURDIR)/bin/ceiling .)
	bin/bench -leat bin/leat $(if $(CEILING),-ceiling bin/ceiling) -only keep -pairs 3 $(BENCH)

.PHONY: bench-amqp
bench-amqp: bench-programs ## AMQP 0-9-1 against RabbitMQ (which must be installed) and NATS JetStream, 10 minutes
	@mkdir -p bin/peers
	-@test -x bin/peers/nats-server || GOBIN=$(CURDIR)/bin/peers CGO_ENABLED=0 go install $(NATS_SERVER)
	bin/bench -leat bin/leat -peers bin/peers -only amqp -pairs 3 $(BENCH)

.PHONY: bench-programs
bench-programs: build
	cd conformance && $(BUILD) -o ../bin/bench ./bench && $(BUILD) -o ../bin/yardstick ./bench/yardstick

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 30s) each
	@.ci/fuzz $(or $(FUZZTIME),30s)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
