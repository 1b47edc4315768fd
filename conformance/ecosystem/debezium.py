"""debezium.py CHANGES TABLE COUNT: whether changes, as `leat read` prints them, are COUNT and make the table, as psql -At prints it."""
import base64, json, sys


def value(e):
    if "data_base64" in e:
        text = base64.b64decode(e["data_base64"]).decode()
        return json.loads(text) if text else None
    v = e.get("data")
    return json.loads(v) if isinstance(v, str) else v


rows, ops, seen, wrong = {}, {}, {}, []
events = [json.loads(line) for line in open(sys.argv[1])]
for e in events:
    key = e["partitionkey"]
    ident = json.loads(key)["id"]
    change = value(e)
    if change is None:  # a tombstone, right behind its delete
        ops["tombstone"] = ops.get("tombstone", 0) + 1
        if seen.get(ident) != "d":
            wrong.append("the tombstone of %s is not behind its delete" % ident)
        seen[ident] = "tombstone"
        continue
    op = change["op"]
    ops[op] = ops.get(op, 0) + 1
    if op in "cr" and ident in seen or op in "ud" and ident not in rows:
        wrong.append("%s of %s comes after %s" % (op, ident, seen.get(ident)))
    seen[ident] = op
    if op == "d":
        rows.pop(ident, None)
    else:
        rows[ident] = (change["after"]["name"], change["after"]["price"])
table = {}
for line in open(sys.argv[2]):
    ident, name, price = line.rstrip("\n").split("|")
    table[int(ident)] = (name, price)
if len(events) != int(sys.argv[3]):
    wrong.append("%d records, want %s" % (len(events), sys.argv[3]))
for ident in sorted(set(rows) | set(table)):
    if rows.get(ident) != table.get(ident):
        wrong.append("%s is %s, want %s" % (ident, rows.get(ident), table.get(ident)))
for w in wrong[:20]:
    print(w)
print("%s debezium: %d records, %s, once each and in order, over kills of the worker and of the node" % ("FAIL" if wrong else "ok", len(events), " ".join("%s=%d" % kv for kv in sorted(ops.items()))))
sys.exit(bool(wrong))
