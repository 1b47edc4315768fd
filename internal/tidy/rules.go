package tidy

// rule is something that is right or wrong about the tree.
type rule struct {
	name string
	find func(*tree) broken
}

// rules are all of them, cheapest to understand first.
var rules = []rule{
	{"imports", imports},
	{"words", words},
	{"calls", calls},
	{"docs", docs},
	{"gateways", gateways},
	{"decoders", decoders},
	{"prefixes", prefixes},
	{"links", links},
	{"dependencies", dependencies},
	{"machine paths", machinePaths},
}
