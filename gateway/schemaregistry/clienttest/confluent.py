"""confluent-kafka's registry client and its three serializers, through Kafka and back: confluent.py REGISTRY KAFKA"""
import sys

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

registry, kafka = sys.argv[1], sys.argv[2]
c = SchemaRegistryClient({"url": registry})

order = '{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"n","type":["null","int"],"default":null}]}'
bad = '{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}'


def through(topic, serialize, deserialize, value):
    ctx = SerializationContext(topic, MessageField.VALUE)
    p = Producer({"bootstrap.servers": kafka})
    errors = []
    p.produce(topic, value=serialize(value, ctx), on_delivery=lambda e, m: errors.append(e))
    p.flush(30)
    assert errors == [None], errors
    r = Consumer({"bootstrap.servers": kafka, "group.id": topic, "auto.offset.reset": "earliest"})
    r.subscribe([topic])
    m = r.poll(60)
    r.close()
    assert m is not None and m.error() is None, m
    return deserialize(m.value(), ctx)


got = through("avro", AvroSerializer(c, order), AvroDeserializer(c), {"id": "1", "n": 7})
assert got == {"id": "1", "n": 7}, got
js = '{"title":"T","type":"object","properties":{"a":{"type":"string"}},"required":["a"]}'
got = through("json", JSONSerializer(js, c), JSONDeserializer(js, schema_registry_client=c), {"a": "x"})
assert got == {"a": "x"}, got
f = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", syntax="proto3")
m = f.message_type.add(name="Made")
m.field.add(name="some_text", number=1, type=9, label=1)
m.field.add(name="a_number", number=2, type=5, label=1)
pool = descriptor_pool.DescriptorPool()
pool.Add(f)
Made = message_factory.GetMessageClass(pool.FindMessageTypeByName("made.Made"))
made = Made(some_text="x", a_number=7)
got = through("proto", ProtobufSerializer(Made, c, {"use.deprecated.format": False}), ProtobufDeserializer(Made, {"use.deprecated.format": False}, c), made)
assert (got.some_text, got.a_number) == ("x", 7), got

assert sorted(c.get_subjects()) == ["avro-value", "json-value", "proto-value"], c.get_subjects()
assert c.get_versions("avro-value") == [1]
assert c.lookup_schema("avro-value", Schema(order, "AVRO")).version == 1
assert not c.test_compatibility("avro-value", Schema(bad, "AVRO"))
try:
    c.register_schema("avro-value", Schema(bad, "AVRO"))
    raise SystemExit("an incompatible schema was taken")
except SchemaRegistryError as e:
    assert e.http_status_code == 409, e
i = c.register_schema("ref", Schema('{"type":"record","name":"Ref","fields":[]}', "AVRO"))
c.register_schema("top", Schema('{"type":"record","name":"Top","fields":[{"name":"r","type":"Ref"}]}', "AVRO", [SchemaReference("Ref", "ref", 1)]))
try:
    c.delete_subject("ref")
    raise SystemExit("what is referred to was deleted")
except SchemaRegistryError as e:
    assert e.error_code == 42206, e
assert c.delete_subject("top") == [1]
assert c.delete_subject("top", permanent=True) == [1]
print("register, lookup, compatibility, references, delete; Avro, JSON and Protobuf through Kafka and back")
