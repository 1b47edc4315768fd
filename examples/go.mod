module leat/examples

go 1.26
