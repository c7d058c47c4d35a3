package report

import (
	"fmt"
	"testing"

	"wb/queries/table"
)

// Of several heads, the list of what is not the same names the run of each entry.
func TestNotSameNamesRuns(t *testing.T) {
	of := func(notSame ...[2]string) string {
		a := &against{first: table.RunRef{Name: "base"}, one: &table.Table{}, compared: len(notSame), notSame: notSame}
		return fmt.Sprintf("%q", a.table(nil).NotSame)
	}
	if got := of([2]string{"x", "template"}); got != `["template"]` {
		t.Error(got)
	}
	if got := of([2]string{"x", "template"}, [2]string{"y", "engine (a, b)"}); got != `["x: template" "y: engine (a, b)"]` {
		t.Error(got)
	}
	if got := of(); got != "[]" {
		t.Error(got)
	}
}
