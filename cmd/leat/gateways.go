package main

import (
	"leat/broker"
	"leat/gateway"
	"leat/gateway/amqp091"
	"leat/gateway/aws"
	"leat/gateway/http"
	"leat/gateway/kafka"
	"leat/gateway/rabbitmq"
	"leat/gateway/schemaregistry"
	"leat/node"
)

// protocols lists the gateways in this binary. A new one is added here, and nowhere else.
func protocols() []node.Protocol {
	kafkaConfig, httpConfig, amqpConfig, awsConfig := kafka.Default(), http.Default(), amqp091.Default(), aws.Default()
	rabbitConfig, registryConfig := rabbitmq.Default(), schemaregistry.Default()
	var amqp *amqp091.Gateway // the one of both listeners that are made of it, whichever is opened
	var of *broker.Broker
	amqpOf := func(b *broker.Broker) *amqp091.Gateway {
		if of != b {
			amqp, of = amqp091.New(b, amqpConfig), b
		}
		return amqp
	}
	return []node.Protocol{
		{Name: "kafka", Config: &kafkaConfig, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
			cfg := *env.Config.(*kafka.Config)
			if env.Advertise != "" {
				cfg.Advertise = env.Advertise
			}
			if err := cfg.Validate(); err != nil {
				return nil, err
			}
			g := kafka.New(b, cfg)
			return g, g.Register(env.Registry)
		}},
		{Name: "http", Config: &httpConfig, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
			g, err := http.New(b, *env.Config.(*http.Config), env.Registry, env.Log)
			if err != nil {
				return nil, err
			}
			g.UsePush(env.Push)
			g.UseLink(env.Link)
			g.UseListeners(func() map[string]http.OpenListener {
				out := map[string]http.OpenListener{}
				for name, l := range env.Opened() {
					out[name] = http.OpenListener(l)
				}
				return out
			})
			return g, nil
		}},
		{Name: "amqp", Config: &amqpConfig, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
			return amqpOf(b), env.Config.(*amqp091.Config).Validate()
		}},
		{Name: "rabbitmq-management", Config: &rabbitConfig, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
			cfg := *env.Config.(*rabbitmq.Config)
			return rabbitmq.New(b, amqpOf(b), cfg), cfg.Validate()
		}},
		{Name: "schema-registry", Config: &registryConfig, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
			cfg := *env.Config.(*schemaregistry.Config)
			return schemaregistry.New(b, cfg), cfg.Validate()
		}},
		{Name: "aws", Config: &awsConfig, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
			return aws.New(b, *env.Config.(*aws.Config), env.Outbound, env.Log)
		}},
	}
}
