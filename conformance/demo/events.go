package main

import (
	"fmt"
	"math/rand/v2"
)

// order is the data of shop.order.placed.
type order struct {
	Order    string `json:"order"`
	Customer string `json:"customer"`
	Article  string `json:"article"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"cents"`
}

// payment is the data of shop.payment.accepted and shop.payment.declined.
type payment struct {
	Order    string `json:"order"`
	Article  string `json:"article"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"cents"`
	Accepted bool   `json:"accepted"`
}

// shipment is the data of shop.shipment.sent.
type shipment struct {
	Order    string `json:"order"`
	Article  string `json:"article"`
	Quantity int    `json:"quantity"`
	Carrier  string `json:"carrier"`
}

// replenished is the data of shop.stock.replenished.
type replenished struct {
	Article string `json:"article"`
	Added   int    `json:"added"`
	Now     int    `json:"now"`
}

var (
	articles  = []string{"lamp", "chair", "table", "kettle", "teapot", "shelf", "clock", "rug"}
	customers = []string{"ada", "alan", "barbara", "edsger", "grace", "leslie", "margaret", "tony"}
	carriers  = []string{"canal", "rail", "road"}
)

// newOrder is the n-th order of a run.
func newOrder(r *rand.Rand, run string, n int) order {
	quantity := 1 + r.IntN(3)
	return order{
		Order: fmt.Sprintf("%s-%d", run, n), Customer: customers[r.IntN(len(customers))], Article: articles[r.IntN(len(articles))],
		Quantity: quantity, Cents: quantity * (500 + r.IntN(9500)),
	}
}

// pay decides about an order: one customer's card is declined for large sums, so that declined payments are there to be found.
func pay(o order) payment {
	return payment{Order: o.Order, Article: o.Article, Quantity: o.Quantity, Cents: o.Cents, Accepted: o.Cents < 20_000 || o.Customer != "tony"}
}

// ship sends what has been paid; ok is false for what has not.
func ship(p payment) (s shipment, ok bool) {
	if !p.Accepted {
		return shipment{}, false
	}
	return shipment{Order: p.Order, Article: p.Article, Quantity: p.Quantity, Carrier: carriers[len(p.Order)%len(carriers)]}, true
}

// Stock of an article.
const (
	stockFull = 50
	stockLow  = 10
)

// shelf is the stock of all articles.
type shelf map[string]int

// take removes what was shipped. When that leaves little, the shelf is filled again and what was added is returned.
func (s shelf) take(sh shipment) (replenished, bool) {
	if _, known := s[sh.Article]; !known {
		s[sh.Article] = stockFull
	}
	s[sh.Article] -= sh.Quantity
	if s[sh.Article] >= stockLow {
		return replenished{}, false
	}
	added := stockFull - s[sh.Article]
	s[sh.Article] = stockFull
	return replenished{Article: sh.Article, Added: added, Now: stockFull}, true
}
