#!/bin/sh
# Makes a golden data directory: make.sh LEAT KAFKA OUT
#
# LEAT is the program whose format it is, KAFKA a program that produces with idempotence on (see README.md), OUT a folder that gets
# data.tar.gz, the directory as the program left it after kill -9, and manifest.jsonl, what the program answered just before.
set -eu
leat=$1 kafka=$2 out=$3
work=$(mktemp -d)
http=127.0.0.1:${PORT:-18471} broker=127.0.0.1:${KAFKA_PORT:-18472} registry=127.0.0.1:${REGISTRY_PORT:-18473}
export LEAT_URL=http://$http LEAT_REGISTRY=http://$registry

cat > "$work/config.yaml" <<'YAML'
disk_reserve_bytes: 0B
broker:
  state_flush_interval: 100ms
journal:
  file_bytes: 64KiB
  ring_bytes: 0B
  frame_bytes_max: 32KiB
YAML
newer() { "$leat" config | grep -q segment_window; } # than format 1
if newer; then
  sed -i 's/state_flush_interval: 100ms/&\n  segment_window_bytes: 16KiB\n  segment_backlog_bytes_max: 64KiB\n  keep_interval: 100ms/' "$work/config.yaml"
  cat >> "$work/config.yaml" <<'YAML'
segments:
  shared_bytes_max: 64KiB
  own_bytes_min: 4KiB
  block_bytes: 1KiB
  merge_files: 2
keys:
  chunk_bytes: 8KiB
  block_bytes: 512B
  fan_in: 2
YAML
fi

tags= # since format 5
if "$leat" contract reads --help > /dev/null 2>&1; then tags=tagged; fi

pid=
trap '[ -z "$pid" ] || kill -9 $pid 2> /dev/null || true' EXIT
serve() {
  "$leat" serve --data "$work/data" --config "$work/config.yaml" --listen http=$http --listen kafka=$broker ${tags:+--listen schema-registry=$registry} --log warn & pid=$!
  until curl -fs http://$http/readyz > /dev/null; do sleep 0.05; done
}

serve
"$leat" stream create orders --partitions 3 --keys history > /dev/null
"$leat" stream create accounts --keys versioned > /dev/null
"$leat" stream create prices --keys latest --partitions 2 > /dev/null
"$leat" stream create plain --keys off > /dev/null
"$leat" stream create gone --keys history > /dev/null
"$leat" stream create changed --keys off > /dev/null
i=0
while [ $i -lt 12 ]; do
  seq 1 40 | sed "s/.*/{\"order\":$i,\"line\":&,\"text\":\"some text that makes the event a little longer\"}/" |
    "$leat" publish orders --lines --key "customer-$((i % 5))" --type order.placed > /dev/null
  "$leat" publish accounts "{\"balance\":$i}" --key "account-$((i % 3))" --expect "$((i / 3))" > /dev/null 2>&1 ||
    "$leat" publish accounts "{\"balance\":$i}" --key "account-$((i % 3))" --expect none > /dev/null
  "$leat" publish prices "{\"price\":$i}" --key "product-$((i % 4))" --subject "shop/$i" > /dev/null
  "$leat" publish gone "{\"n\":$i}" --key k > /dev/null
  "$leat" publish changed "{\"n\":$i}" --key "c-$((i % 2))" > /dev/null
  i=$((i + 1))
done
"$leat" stream create changed --partitions 2 --keys off > /dev/null
seq 1 200 | "$leat" publish plain --lines > /dev/null
"$leat" publish plain 'the same' --id the-same --source /golden > /dev/null
"$leat" publish plain 'the same' --id the-same --source /golden > /dev/null # stored once
"$leat" stream delete gone --yes
"$leat" stream create gone --keys off > /dev/null # the name again, another stream
"$leat" publish gone '"second life"' > /dev/null
curl -fsS -o /dev/null "http://$http/v1/append" --json '{"events":[{"stream":"orders","id":"both-1","source":"/golden","type":"t","partitionkey":"customer-1","data":1},{"stream":"plain","id":"both-2","source":"/golden","type":"t","data":2}]}'
"$kafka" $broker
transacts=$("$leat" stream list 2> /dev/null | grep kafka-transactions || true) # since format 4
if newer; then
  "$leat" stream truncate plain --before offset:50 --yes > /dev/null
  "$leat" stream create removed > /dev/null
  "$leat" stream delete removed --yes
fi
if "$leat" sub create work --stream accounts --from earliest --order total > /dev/null 2>&1; then # since format 3
  for i in 1 2; do "$leat" sub receive work --max 1 --wait 5s | "$leat" sub ack work - > /dev/null; done
  "$leat" sub receive work --max 1 --wait 5s > /dev/null # leased when the node is stopped
fi
if [ "$tags" ]; then
  "$leat" stream create tagged --partitions 2 --set tags=true > /dev/null
  i=0
  while [ $i -lt 40 ]; do
    curl -fsS -o /dev/null "http://$http/v1/append" --json "{\"events\":[{\"stream\":\"tagged\",\"type\":\"type-$((i % 2))\",\"tags\":\"all n:$((i % 5))\",\"partitionkey\":\"p-$((i % 3))\",\"data\":{\"n\":$i}}]}"
    i=$((i + 1))
  done
  for word in '{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}},"additionalProperties":false}' '{"type":"object","required":["n"],"properties":{"n":{"type":"integer"},"m":{"type":"string"}},"additionalProperties":false}'; do
    echo "$word" > "$work/schema.json"
    "$leat" stream create promised > /dev/null
    "$leat" contract put promise --stream promised --schema "$work/schema.json" --enforce quarantine > /dev/null
  done
  "$leat" contract reads put --service billing --type promise --fields n > /dev/null
  "$leat" publish promised '{"n":1}' > /dev/null
  "$leat" publish promised '{"n":"one"}' > /dev/null # waits in quarantine
fi
LEAT_NEW_PASSWORD=secret-of-admin "$leat" user create admin --grant 'admin * *' > /dev/null
LEAT_USER=admin LEAT_PASSWORD=secret-of-admin && export LEAT_USER LEAT_PASSWORD
LEAT_NEW_PASSWORD=secret-of-shop "$leat" --user admin user create shop --grant 'write stream orders' > /dev/null

# Stopped once, so that rows are there, and then some more, which are in the journal alone when it is killed.
kill -TERM $pid; wait $pid
serve
seq 1 30 | "$leat" --user admin publish orders --lines --key customer-2 > /dev/null
"$leat" --user admin publish accounts '{"balance":99}' --key account-0 > /dev/null

mkdir -p "$out"
ask() { # a line for each question: path, answer
  printf '{"path":"%s","answer":%s}\n' "$1" "$(curl -fsS -u admin:secret-of-admin "http://$http$1")"
}
{
  more=; if [ "$transacts" ]; then more=kafka-transactions; fi
  if [ "$tags" ]; then more="$more tagged promised leat.quarantine"; fi
  for s in orders accounts prices plain gone changed kafka-orders kafka-compacted $more; do
    ask "/v1/streams/$s"
    ask "/v1/streams/$s/events?limit=1000"
  done
  for k in 0 1 2 3 4; do ask "/v1/streams/orders/events?limit=1000&key=customer-$k"; done
  for k in 0 1 2; do ask "/v1/streams/accounts/events?limit=1000&key=account-$k&direction=backward"; done
  for k in 0 1 2 3; do ask "/v1/streams/prices/events?limit=1000&key=product-$k"; done
  ask "/v1/streams/kafka-compacted/events?limit=1000&key=key-1"
  ask "/v1/users"
  if [ "$tags" ]; then
    ask "/v1/streams/tagged/events?limit=1000&type=type-1&tag=n:3"
    ask "/v1/streams/tagged/events?limit=1000&tag=n:2&tag=all"
  fi
} > "$out/manifest.jsonl"
kill -9 $pid; wait $pid 2> /dev/null || true
tar -C "$work" --sort=name --owner=0 --group=0 --mtime=2026-01-01 -cf - data | gzip -9n > "$out/data.tar.gz"
gzip -9nf "$out/manifest.jsonl"
rm -rf "$work"
ls -l "$out"
