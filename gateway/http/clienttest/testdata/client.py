"""A client with nothing but the standard library: publish in three modes, read, follow by SSE, drop, resume."""
import http.client
import json
import sys
from urllib.parse import urlparse

node = urlparse(sys.argv[1])


def call(method, path, body=None, headers=None):
    c = http.client.HTTPConnection(node.hostname, node.port, timeout=10)
    c.request(method, path, body, headers or {})
    r = c.getresponse()
    return r.status, json.loads(r.read() or b"null")


def follow(last=None):
    c = http.client.HTTPConnection(node.hostname, node.port, timeout=10)
    headers = {"Accept": "text/event-stream"}
    if last:
        headers["Last-Event-ID"] = last
    c.request("GET", "/v1/streams/py/events?from=earliest", headers=headers)
    r = c.getresponse()
    assert r.status == 200, r.read()
    fields = {}
    for line in r:
        line = line.decode().rstrip("\n")
        if line == "":
            if "data" in fields:
                yield fields["id"], json.loads(fields["data"])
            fields = {}
            continue
        name, _, value = line.partition(":")
        fields[name] = value[1:]


path = "/v1/streams/py/events"
status, one = call("POST", path, "hello", {"Content-Type": "text/plain"})
assert status == 201 and one["ref"] == "py/0/0", (status, one)
event = {"specversion": "1.0", "id": "1", "source": "/py", "type": "t", "subject": "ü", "data": {"n": 1}}
status, two = call("POST", path, json.dumps(event), {"Content-Type": "application/cloudevents+json"})
assert status == 201, (status, two)
status, again = call("POST", path, json.dumps(event), {"Content-Type": "application/cloudevents+json"})
assert status == 200 and again["ref"] == two["ref"] and again["duplicate"], (status, again)
status, three = call("POST", path, b"\x00\x01", {"ce-specversion": "1.0", "ce-id": "2", "ce-source": "/py", "ce-type": "t", "Content-Type": "application/octet-stream"})
assert status == 201, (status, three)
status, page = call("GET", path)
assert status == 200 and len(page["events"]) == 3 and page["events"][0]["data"] == "hello" and page["events"][2]["data_base64"] == "AAE=", page

events = follow()
first, second = next(events), next(events)
assert second[1]["subject"] == "ü" and second[1]["data"] == {"n": 1}, second
events.close()
resumed = follow(second[0])
third = next(resumed)
assert third[1]["id"] == "2", third
status, problem = call("POST", path, "{", {"Content-Type": "application/cloudevents+json"})
assert status == 400 and problem["kind"] == "invalid", problem
print("ok")
