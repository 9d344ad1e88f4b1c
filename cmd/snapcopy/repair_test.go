package main

import (
	"testing"

	"snapcopy/repair"
)

// Guards: findings in which a repair finds nothing wrong do not end as "no damage".
func TestRepairLeft(t *testing.T) {
	for _, c := range []struct {
		report  repair.Report
		strange uint64
		want    uint64
	}{
		{repair.Report{}, 0, 0},
		{repair.Report{Sound: 2}, 0, 2},
		{repair.Report{Sound: 2, Repaired: 1}, 0, 0}, // names of one link group
		{repair.Report{Sound: 2, Unrepaired: 3}, 1, 4},
	} {
		o := repairOptions{strange: c.strange}
		if is := o.left(&c.report); is != c.want {
			t.Errorf("%+v: %d left, want %d", c.report, is, c.want)
		}
	}
}
