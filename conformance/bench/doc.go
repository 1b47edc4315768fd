// Bench measures the table of docs/benchmarks.md on the machine it runs on.
//
// # What
//
// A row is one kind of work. Where a row has a yardstick, both are measured by the same client code, in pairs: Leat, yardstick, yardstick,
// Leat and so on, so that what disturbs the machine disturbs both. A row reports the median of all runs of either side with the least and
// the most, and the median of the pairs' ratios.
//
// # Promises
//
// Leat is the real binary, started on a new data directory whose ring is zero-filled ahead; the yardstick writes into a file that is
// zero-filled ahead on the same disk. Both are warmed alike. What cannot be measured here (a yardstick is missing, files may not be
// opened) is said loudly and stands in the report. Every process that was started is ended, every directory removed.
//
// # Imports
//
// franz-go, and for the side by side nats.go and pgx; nothing of Leat.
//
// # Where to start
//
// main.go has the rows; kafka.go, http.go, poll.go and size.go do the work; proc.go starts what is measured; peer.go
// holds Leat against what one would pick instead; report.go makes the table. yardstick is the empty HTTP server that HTTP rows are held against.
// keep.go has the rows about keeping events, which are long and measured only when asked for (-only keep): keepwrite.go, keepread.go,
// keephistory.go, keepsize.go, keeparchive.go; cold_linux.go empties the page cache. amqp.go has the rows of -only amqp, amqpwork.go what they
// do, amqpclient.go the client. sqs.go has the life of a message by SQS, webhook.go webhooks out.
//
// # How tested
//
// bench_test.go: the statistics, and the yardstick against its file. The rows themselves: -quick.
package main
