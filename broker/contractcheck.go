package broker

// checks is what is known of which streams have contracts.
type checks struct{}
