"""ui LEAT KAFKA DIR [PROGRAM …]: user interfaces and administrators' tools of Kafka, against Leat and against Apache Kafka beside it.

Each program that is on the PATH does the same with both brokers (bootstrap addresses LEAT and KAFKA, both empty and without users), and what it then
shows is compared: of a terminal program the lines and whether it failed, of Redpanda Console the JSON of the calls that its pages make, of kminion the
metrics. Texts of errors may differ, that there is one may not. What is known to differ is listed with its reason; anything else is a failure. What
was answered is left in DIR.
"""
import base64, json, os, re, shutil, struct, subprocess, sys, time, urllib.error, urllib.request

from port import free_port

# step: why the answers differ
KNOWN = {
    "kafkactl create topic two-replicas": "any replication factor is taken and reported as 1",
    "kafkactl get brokers": "a node shows the configs that it has",
    "kafkactl describe broker": "a node shows the configs that it has",
    "topicctl get config 1": "a node shows the configs that it has",
    "console cluster": "the version is a guess from the requests that are offered; configs of the node",
    "console kafka info": "the version is a guess from the requests that are offered",
    "console endpoints": "the version is a guess from the requests that are offered",
    "console api versions": "share groups, quorum and brokers' own requests are not offered; more old versions are",
    "console broker config": "a node shows the configs that it has",
    "console create with two replicas": "any replication factor is taken and reported as 1",
    "console configs of broker": "a node is configured by its file",
    "console quota of mutations": "there is no controller_mutation_rate",
    "console delete records of compacted": "records of compacted topics can be deleted",
}
INTERNAL = re.compile(r"leat\.system|__consumer_offsets|__transaction_state|kminion-end-to-end-[0-9a-f-]{36}")

# Kafka 4.1 sets min.insync.replicas for the whole cluster, and tools show it beside what a topic has of its own.
CLUSTER_DEFAULT = re.compile(r"min\.insync\.replicas|KEY +\| +CLUSTER VALUE|These will be left as-is|key\(s\) set in cluster but missing from config")


def b64(text):
    return base64.b64encode(text.encode()).decode()


def produce(at, topic, lines):
    subprocess.run(["kcat", "-b", at, "-P", "-t", topic, "-p", "0", "-K:"], input="".join(l + "\n" for l in lines).encode(), check=True, timeout=60)


def consume(at, topic, group):
    subprocess.run(["kcat", "-b", at, "-G", group, "-q", "-e", "-X", "auto.offset.reset=earliest", topic], stdout=subprocess.DEVNULL, check=True, timeout=60)


def command(*args, env=None):
    """What a program of the terminal shows, as far as it is the same twice: lines sorted, without times, addresses and Kafka's own topics."""
    p = subprocess.run(args, input=b"yes\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90, env=env)
    if p.returncode:
        return ["failed"]
    lines = []
    for line in re.sub(r"- name: min\.insync\.replicas\n *value:.*", "", p.stdout.decode(errors="replace")).splitlines():
        if INTERNAL.search(line) or CLUSTER_DEFAULT.search(line):
            continue
        line = re.sub(r"\[?\d{4}-\d\d-\d\d[T ][\d:.+Z]*\]?|\d+(\.\d+)?(ms|s|/sec)\b|127\.0\.0\.1:\d+|\b(%s)\b|\w+@\w+ \(\S+|/tmp/[^ \"]*" % "|".join(a.rpartition(":")[2] for a in sys.argv[1:3]), "", line)
        line = re.sub(r"[ \t]+|[-+|]{2,}", " ", line).strip()
        if line and line not in ("|", "-", '"'):
            lines.append(line)
    return sorted(lines)


def kafkactl(at, to):
    with open(f"{to}/kafkactl.yml", "w") as f:
        f.write(f"contexts:\n  default:\n    brokers: [{at}]\n    requestTimeout: 20s\ncurrent-context: default\n")
    env = dict(os.environ, HOME=to, XDG_CONFIG_HOME=to)
    k = lambda text: (f"kafkactl {text}", lambda: command("kafkactl", "-C", f"{to}/kafkactl.yml", *text.split(), env=env))
    yield from map(k, [
        "get topics", "create topic kt -p 3 -r 1 -c retention.ms=3600000 -c cleanup.policy=compact,delete", "create topic kt", "create topic tried --validate-only",
        "create topic bad -c retention.ms=x", "create topic bad -c no.such=1", "describe topic kt -o yaml", "describe topic nowhere",
        "alter topic kt -p 5", "alter topic kt -p 2", "alter topic kt -c retention.ms=7200000", "alter topic kt -c retention.ms=abc", "alter topic kt -r 1", "alter topic kt -r 2",
        "alter partition kt 0 -r 1", "alter partition kt 0 -r 7", "produce kt --key k1 --value v1 -p 0", "produce kt --key k2 --value v2 -p 0", "produce kt --key k3 --value v3 -p 2 -H a:b",
        "consume kt -b -e -k --print-headers -o yaml", "consume kt -b --group kg --max-messages 3", "consume kt -e --tail 2", "consume kt -e --from-timestamp 0", "consume kt -p 0 --offset 0=1 -e",
        "get consumer-groups -o wide", "describe consumer-group kg -o yaml", "describe consumer-group nobody", "get consumer-groups --topic kt",
        "create consumer-group kg2 --topic kt --oldest", "create consumer-group kg3 --topic kt --newest", "create consumer-group kg4 --topic kt --partition 0 --offset 1",
        "create consumer-group kg5 --topic nowhere --oldest", "describe consumer-group kg2 -o yaml", "describe consumer-group kg3 -o yaml", "describe consumer-group kg4 -o yaml",
        "reset consumer-group-offset kg --topic kt --oldest --execute", "reset consumer-group-offset kg --topic kt --partition 0 --offset 1 --execute",
        "reset consumer-group-offset kg --topic kt --to-datetime 2020-01-01T00:00:00Z --execute", "reset consumer-group-offset kg --topic kt --newest --execute",
        "reset consumer-group-offset kg --topic kt --partition 0 --offset 99 --execute", "describe consumer-group kg -o yaml", "clone consumer-group kg kg6", "clone topic kt kt9",
        "delete consumer-group-offset kg --topic kt --partition 0", "delete consumer-group-offset kg --topic kt --partition 0",
        "delete consumer-group kg4", "delete consumer-group nobody", "get consumer-groups", "delete records kt --offset 0=1", "delete records kt --offset 0=99",
        "describe topic kt -o yaml", "get acl", "create acl --topic kt --operation read --allow --principal User:bob", "describe topic kt9 -o yaml", "delete topic kt9", "delete topic nowhere", "get topics"])
    yield "kafkactl get brokers", k("get brokers -o yaml")[1]
    yield "kafkactl describe broker", k("describe broker 1")[1]
    yield "kafkactl create topic two-replicas", k("create topic two-replicas -r 2")[1]
    command("kafkactl", "-C", f"{to}/kafkactl.yml", "delete", "topic", "two-replicas", env=env)


def topicctl(at, to):
    with open(f"{to}/cluster.yaml", "w") as f:
        f.write(f'meta: {{name: c, environment: e, region: r, description: d}}\nspec:\n  bootstrapAddrs: ["{at}"]\n')

    def topic(partitions, minutes):
        with open(f"{to}/tc.yaml", "w") as f:
            f.write("meta: {name: tc, cluster: c, environment: e, region: r, description: d}\nspec:\n"
                    f"  partitions: {partitions}\n  replicationFactor: 1\n  retentionMinutes: {minutes}\n  placement: {{strategy: any}}\n  settings: {{cleanup.policy: delete}}\n")

    t = lambda text: (f"topicctl {text}", lambda: command("topicctl", "--no-spinner", *text.replace("FILE", f"{to}/tc.yaml").split(), "--cluster-config", f"{to}/cluster.yaml"))
    topic(3, 100)
    yield from map(t, ["check FILE", "apply --skip-confirm FILE", "apply --skip-confirm FILE"])
    topic(5, 200)
    yield from map(t, ["apply --skip-confirm FILE", "apply --skip-confirm --dry-run FILE"])
    produce(at, "tc", [f"k{i}:v{i}" for i in range(5)])
    consume(at, "tc", "tcg")
    yield from map(t, ["get brokers --full", "get controllerid", "get topics", "get partitions tc", "get config tc", "get config 1", "get offsets tc", "get balance tc", "get groups",
                       "get lags tc tcg", "get members tcg", "get acls", "reset-offsets tc tcg --partitions 0 --to-earliest", "reset-offsets tc tcg --partition-offset-map 0=2",
                       "get lags tc tcg", "delete topic tc"])


def kminion(at, to):
    port = free_port()
    with open(f"{to}/kminion.yaml", "w") as f:
        json.dump({"kafka": {"brokers": [at]}, "exporter": {"host": "127.0.0.1", "port": port}, "minion": {
            "consumerGroups": {"enabled": True, "scrapeMode": "adminApi", "granularity": "partition", "allowedGroups": [".*"]},
            "topics": {"granularity": "partition", "allowedTopics": [".*"]}, "logDirs": {"enabled": True},
            "endToEnd": {"enabled": True, "probeInterval": "500ms", "topicManagement": {"enabled": True, "replicationFactor": 1, "partitionsPerBroker": 1}}}}, f)
    p = subprocess.Popen(["kminion"], env=dict(os.environ, CONFIG_FILEPATH=f"{to}/kminion.yaml"), stdout=open(f"{to}/kminion.log", "w"), stderr=subprocess.STDOUT)
    try:
        for _ in range(60):  # until its probe went round
            time.sleep(1)
            text = call(f"http://127.0.0.1:{port}", "GET", "/metrics")[1] if not p.poll() else ""
            if isinstance(text, str) and re.search(r"^kminion_end_to_end_offset_commits_total\S* [1-9]", text, re.M) and re.search(r"^kminion_end_to_end_messages_received_total\S* [1-9]", text, re.M):
                break
        # Names and labels; values are of the clock.
        names = {re.sub(r" \S+$", "", l) for l in text.splitlines() if l.startswith("kminion_") and not INTERNAL.search(l) and "_bucket" not in l and "cluster_info" not in l}
        yield "kminion its probe goes round", lambda: ["yes" if _ < 59 else "no"]
        yield "kminion metrics", lambda: sorted(re.sub(r'127\.0\.0\.1:\d+|(?<=port=")\d+', "", n) for n in names if "retries" not in n)
    finally:
        p.terminate()
        p.wait()


def call(base, method, path, body=None):
    q = urllib.request.Request(base + path, data=None if body is None else json.dumps(body).encode(), method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(q, timeout=60) as r:
            code, raw = r.status, r.read()
    except urllib.error.HTTPError as e:
        code, raw = e.code, e.read()
    except OSError:
        return 0, None
    try:
        return code, json.loads(raw)
    except ValueError:
        return code, raw.decode(errors="replace")


def messages(base, **query):
    """Connect's streams: each message is a byte of flags, four of length, and JSON."""
    m = json.dumps(dict(dict(topic="orders", startOffset="-2", partitionId=-1, maxResults=50), **query)).encode()
    q = urllib.request.Request(base + CONSOLE + "ConsoleService/ListMessages", data=b"\0" + struct.pack(">I", len(m)) + m, headers={"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"})
    with urllib.request.urlopen(q, timeout=60) as r:
        raw, out = r.read(), []
    while raw:
        n = struct.unpack(">I", raw[1:5])[0]
        out.append(json.loads(raw[5:5 + n] or b"{}"))
        raw = raw[5 + n:]
    return 200, [o for o in out if "data" in o or "error" in o]


CONSOLE, PLANE = "/redpanda.api.console.v1alpha1.", "/redpanda.api.dataplane.v1."
VOLATILE = re.compile(r"timestamp|timestampMs|clusterId|elapsedMs|clientHost|memberId|documentation|isDefaultValue|port|message|errorMessage|id_|details"
                      r"|(total)?(Primary)?[lL]ogDirSize(Bytes)?|totalPrimaryLogDirSizeBytes|logDirSummary|partitionLogDirs|size|error")


def stable(x):
    """JSON without what is never twice the same, or Kafka's alone; lists in an order of their own."""
    if isinstance(x, dict):
        x = {k: stable(v) for k, v in x.items() if not VOLATILE.fullmatch(k)}
        if isinstance(x.get("id"), str):
            x.pop("id")  # of a member
        if "source" in x and "value" in x and "type" in x:  # a config; of what has no default, Kafka names no synonyms
            x = {k: v for k, v in x.items() if k not in ("synonyms", "configSynonyms")} | {"from": [s for s in x.get("synonyms") or x.get("configSynonyms") or [] if "DEFAULT" not in json.dumps(s)]}
        return x
    if isinstance(x, list):
        skip = lambda v: isinstance(v, dict) and (INTERNAL.fullmatch(str(v.get("topicName") or v.get("groupId") or v.get("name"))) or str(v.get("name")).startswith("leat.") or v.get("name") == "min.insync.replicas")
        return sorted((stable(v) for v in x if not skip(v)), key=lambda v: json.dumps(v, sort_keys=True))
    return x


def console(at, to):
    port = free_port()
    with open(f"{to}/console.yaml", "w") as f:
        json.dump({"serveFrontend": False, "kafka": {"brokers": [at]}, "server": {"listenAddress": "127.0.0.1", "listenPort": port}}, f)
    p = subprocess.Popen(["redpanda-console", "-config.filepath", f"{to}/console.yaml"], stdout=open(f"{to}/console.log", "w"), stderr=subprocess.STDOUT)
    base = f"http://127.0.0.1:{port}"

    def step(name, method, path, body=None, until=""):
        def do():
            for _ in range(60):  # what was changed is seen a little later, in Kafka
                code, x = messages(base, **body) if method == "MESSAGES" else call(base, method, path, body)
                if until in json.dumps(x):
                    break
                time.sleep(0.5)
            return {"code": code} if code >= 400 else {"code": code, "body": stable(x)}
        return f"console {name}", do

    def topic(name, **more):
        return dict(dict(topicName=name, partitionCount=1, replicationFactor=1, configs=[]), **more)

    def setting(name, value):
        return [dict(name=name, value=value)]

    def offsets(group, **at):
        return dict(groupId=group, topics=[dict(topicName=t, partitions=[dict(partitionId=p, offset=o)]) for t, (p, o) in at.items()])

    def record(text, **more):
        return dict(dict(value=b64(text), headers=[dict(key="h", value=b64("v"))], partitionId=0), **more)

    try:
        for _ in range(60):
            if call(base, "GET", "/admin/health")[0] == 200:
                break
            time.sleep(1)
        yield step("cluster", "GET", "/api/cluster")
        yield step("broker config", "GET", "/api/brokers/1/config")
        yield step("api versions", "GET", "/api/api-versions")
        yield step("endpoints", "GET", "/api/console/endpoints")
        yield step("kafka info", "POST", CONSOLE + "ClusterStatusService/GetKafkaInfo", {})
        yield step("create", "POST", "/api/topics", topic("orders", partitionCount=3, configs=setting("cleanup.policy", "compact")))
        yield step("create with defaults", "POST", "/api/topics", topic("plain", partitionCount=-1, replicationFactor=-1))
        yield step("create again", "POST", "/api/topics", topic("orders"))
        yield step("create with two replicas", "POST", "/api/topics", topic("replicas", replicationFactor=2))
        call(base, "DELETE", "/api/topics/replicas")
        yield step("create with no such config", "POST", "/api/topics", topic("bad", configs=setting("no.such", "1")))
        yield step("create with a bad value", "POST", "/api/topics", topic("bad", configs=setting("retention.ms", "x")))
        yield step("produce", "POST", "/api/topics-records", dict(topicNames=["orders"], compressionType=4, useTransactions=False, records=[record('{"n":%d}' % i, key=b64(f"k{i}"), partitionId=i % 3) for i in range(30)]))
        yield step("produce in a transaction", "POST", "/api/topics-records", dict(topicNames=["orders", "plain"], compressionType=1, useTransactions=True, records=[record(f"text {i}", key=b64(f"t{i}")) for i in range(5)]))
        yield step("produce without a key", "POST", "/api/topics-records", dict(topicNames=["orders"], compressionType=0, useTransactions=False, records=[record("x")]))
        yield step("publish", "POST", CONSOLE + "ConsoleService/PublishMessage", dict(topic="plain", partitionId=-1, compression="COMPRESSION_TYPE_LZ4", key=dict(encoding="PAYLOAD_ENCODING_TEXT", data=b64("k")), value=dict(encoding="PAYLOAD_ENCODING_JSON", data=b64('{"a":1}'))))
        yield step("messages", "MESSAGES", "", {})
        yield step("messages, the newest", "MESSAGES", "", dict(topic="plain", startOffset="-1", maxResults=3))
        yield step("messages of a partition", "MESSAGES", "", dict(partitionId=1))
        yield step("messages by time", "MESSAGES", "", dict(startOffset="-4", startTimestamp="1"))
        yield step("messages, filtered", "MESSAGES", "", dict(filterInterpreterCode=b64("return value.n > 25")))
        yield step("messages of no topic", "MESSAGES", "", dict(topic="nowhere"))
        yield step("topics", "GET", "/api/topics", until="plain")
        yield step("partitions", "GET", "/api/topics/orders/partitions")
        yield step("config", "GET", "/api/topics/orders/configuration")
        yield step("config by dataplane", "POST", PLANE + "TopicService/GetTopicConfigurations", dict(topicName="plain"))
        yield step("offsets", "GET", "/api/topics-offsets?topicNames=orders,plain&timestamp=1000")
        yield step("offsets of the future", "GET", "/api/topics-offsets?topicNames=orders,plain&timestamp=4000000000000")
        yield step("details", "GET", "/api/operations/topic-details?topicNames=orders,plain")
        yield step("edit config", "PATCH", "/api/topics/orders/configuration", dict(configs=[dict(key="retention.ms", op="SET", value="1000000"), dict(key="cleanup.policy", op="APPEND", value="delete")]))
        yield step("edited config", "GET", "/api/topics/orders/configuration", until='"1000000"')
        yield step("edit config back", "PATCH", "/api/topics/orders/configuration", dict(configs=[dict(key="retention.ms", op="DELETE", value=None), dict(key="cleanup.policy", op="SUBTRACT", value="delete")]))
        yield step("config as before", "GET", "/api/topics/orders/configuration")
        yield step("edit config to nonsense", "PATCH", "/api/topics/orders/configuration", dict(configs=[dict(key="retention.ms", op="SET", value="abc")]))
        yield step("configs of broker", "PATCH", "/api/operations/configs", dict(resources=[dict(resourceType=4, resourceName="1", configs=[dict(name="background.threads", op=0, value="11")])]))
        call(base, "PATCH", "/api/operations/configs", dict(resources=[dict(resourceType=4, resourceName="1", configs=[dict(name="background.threads", op=1, value=None)])]))
        yield step("create to try", "POST", PLANE + "TopicService/CreateTopic", dict(topic=dict(name="tried", partitionCount=2, replicationFactor=1), validateOnly=True))
        yield step("create with assignments", "POST", PLANE + "TopicService/CreateTopic", dict(topic=dict(name="made", replicaAssignments=[dict(partitionId=0, replicaIds=[1])])))
        yield step("more partitions", "POST", PLANE + "TopicService/SetTopicPartitions", dict(topicName="made", partitionCount=6))
        yield step("fewer partitions", "POST", PLANE + "TopicService/SetTopicPartitions", dict(topicName="made", partitionCount=1))
        yield step("reassignments", "GET", "/api/operations/reassign-partitions")
        yield step("reassign", "PATCH", "/api/operations/reassign-partitions", dict(topics=[dict(topicName="made", partitions=[dict(partitionId=0, replicas=[1]), dict(partitionId=1, replicas=None)])]))
        yield step("delete", "DELETE", "/api/topics/made")
        yield step("delete nothing", "DELETE", "/api/topics/nowhere")
        consume(at, "plain", "g1")
        live = subprocess.Popen(["kcat", "-b", at, "-G", "g2", "-q", "-X", "auto.offset.reset=earliest", "plain"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(60):
                g = call(base, "GET", "/api/consumer-groups/g2")[1]
                if "Stable" in json.dumps(g) and '"groupOffset"' in json.dumps(g):
                    break
                time.sleep(1)
            yield step("groups", "GET", "/api/consumer-groups")
            yield step("group with members", "GET", "/api/consumer-groups/g2")
            yield step("group of nobody", "GET", "/api/consumer-groups/nobody")
            yield step("consumers of a topic", "GET", "/api/topics/plain/consumers")
            yield step("edit offsets", "PATCH", "/api/consumer-groups/g1", offsets("g1", plain=(0, 2)))
            yield step("edit offsets of no group", "PATCH", "/api/consumer-groups/fresh", offsets("fresh", plain=(0, 1), orders=(2, 3)))
            yield step("edit offsets of members", "PATCH", "/api/consumer-groups/g2", offsets("g2", plain=(0, 2)))
            yield step("edit offsets of no topic", "PATCH", "/api/consumer-groups/g1", offsets("g1", nowhere=(0, 2)))
            yield step("edit offsets of no partition", "PATCH", "/api/consumer-groups/g1", offsets("g1", plain=(9, 2)))
            yield step("edited offsets", "GET", "/api/consumer-groups/fresh")
            yield step("delete offsets", "DELETE", "/api/consumer-groups/fresh/offsets", offsets("fresh", plain=(0, 0)))
            yield step("delete offsets of members", "DELETE", "/api/consumer-groups/g2/offsets", offsets("g2", plain=(0, 0)))
            yield step("delete a group with members", "DELETE", "/api/consumer-groups/g2")
            yield step("delete a group", "DELETE", "/api/consumer-groups/fresh")
            yield step("groups that are left", "GET", "/api/consumer-groups")
        finally:
            live.terminate()
            live.wait()
        yield step("delete records", "DELETE", "/api/topics/plain/records", dict(partitions=[dict(partitionId=0, offset=4)]))
        yield step("delete records that are not there", "DELETE", "/api/topics/plain/records", dict(partitions=[dict(partitionId=0, offset=4000)]))
        yield step("partitions without them", "GET", "/api/topics/plain/partitions")
        yield step("messages without them", "MESSAGES", "", dict(topic="plain"))
        yield step("delete records of compacted", "DELETE", "/api/topics/orders/records", dict(partitions=[dict(partitionId=0, offset=4)]))
        yield step("acls", "POST", PLANE + "ACLService/ListACLs", {})
        app = dict(entityType="ENTITY_TYPE_CLIENT_ID", entityName="app")
        yield step("quota", "POST", PLANE + "QuotaService/BatchSetQuota", dict(settings=[dict(entity=app, values=[dict(valueType="VALUE_TYPE_PRODUCER_BYTE_RATE", value=1000000)])]))
        yield step("quotas", "POST", PLANE + "QuotaService/ListQuotas", {}, until="1000000")
        yield step("quota of mutations", "POST", PLANE + "QuotaService/BatchSetQuota", dict(settings=[dict(entity=app, values=[dict(valueType="VALUE_TYPE_CONTROLLER_MUTATION_RATE", value=10)])]))
    finally:
        p.terminate()
        p.wait()


def take(steps, to, name):
    """Does the steps one after the other: later ones see what earlier ones did."""
    all_ = {}
    for step, do in steps:
        while step in all_:
            step += " again"
        all_[step] = do()
    with open(f"{to}/{name}.json", "w") as f:
        json.dump(all_, f, indent=1, sort_keys=True)
    return all_


def main():
    leat, kafka, to = sys.argv[1:4]
    tools = {"kafkactl": kafkactl, "kminion": kminion, "redpanda-console": console, "topicctl": topicctl}  # the last leaves a member in a group
    bad = False
    for name in sys.argv[4:] or tools:
        if not shutil.which(name) or not shutil.which("kcat"):
            print(f"SKIPPED ui {name}: {name if shutil.which('kcat') else 'kcat'} is not on the PATH")
            continue
        answers = []
        for at, side in ((leat, "leat"), (kafka, "kafka")):
            os.makedirs(f"{to}/{side}", exist_ok=True)
            answers.append(take(tools[name](at, f"{to}/{side}"), f"{to}/{side}", name))
        ours, theirs = answers
        known = wrong = 0
        for step in ours:
            if ours[step] == theirs[step]:
                continue
            if step in KNOWN:
                known += 1
                continue
            wrong += 1
            only = lambda a, b: json.dumps([l for l in a if l not in b] if isinstance(a, list) else a)[:600]
            print(f"{step}: Leat {only(ours[step], theirs[step])}, Kafka {only(theirs[step], ours[step])}")
        bad |= wrong > 0
        print(f"{'FAIL' if wrong else 'ok'} ui {name}: {len(ours)} things done with both, {len(ours) - known - wrong} the same, {known} differ as is known, {wrong} otherwise")
    sys.exit(bad)


main()
