package assert

import "testing"

func TestThat_NamesTheInvariant(t *testing.T) {
	That(true, "never")
	defer func() {
		if b, ok := recover().(Broken); !ok || b.Invariant != "offset 3 grows" {
			t.Fatalf("got %v", b)
		}
	}()
	That(false, "offset %d grows", 3)
	t.Fatal("went on")
}
