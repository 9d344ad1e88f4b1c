package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"snapcopy/internal/calendar"
	"snapcopy/prune"
)

// unlimited is the word for prune.Unlimited.
const unlimited = "unlimited"

// countFlag is the value of a flag that takes a number of periods.
type countFlag struct{ prune.Count }

func (v *countFlag) Set(s string) error {
	if s == unlimited {
		v.Count = prune.Unlimited
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is neither a number nor %q", s, unlimited)
	}
	v.Count = prune.Count(n)
	return nil
}

func (v *countFlag) String() string {
	switch v.Count {
	case 0:
		return ""
	case prune.Unlimited:
		return unlimited
	}
	return strconv.Itoa(int(v.Count))
}

func (v *countFlag) Type() string { return "N" }

// spanFlag is the value of a flag that takes a length of time.
type spanFlag struct{ calendar.Span }

func (v *spanFlag) Set(s string) (err error) {
	v.Span, err = calendar.Parse(s)
	if err == nil && v.IsZero() {
		err = fmt.Errorf("%q is a span of no time", s)
	}
	return err
}

func (v *spanFlag) String() string {
	if v.IsZero() {
		return ""
	}
	return v.Span.String()
}

func (v *spanFlag) Type() string { return "DURATION" }

// amountFlag is the value of a flag that takes bytes or a share in percent.
type amountFlag struct{ prune.Amount }

func (v *amountFlag) Set(s string) error {
	if ok, err := v.setPercent(s); ok || err != nil {
		return err
	}
	n, err := parseSize(s)
	if err != nil {
		return fmt.Errorf("%q is neither a share like 10%% nor a size like 50GiB", s)
	}
	v.Amount = prune.Amount{Number: uint64(n)}
	return nil
}

// setPercent reads 10%; ok is false for any other text.
func (v *amountFlag) setPercent(s string) (ok bool, err error) {
	digits, ok := strings.CutSuffix(s, "%")
	if !ok {
		return false, nil
	}
	p, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(p > 0 && p <= 100) {
		return false, fmt.Errorf("%q is not a share from 0%% to 100%%", s)
	}
	v.Amount = prune.Amount{Percent: p}
	return true, nil
}

func (v *amountFlag) String() string {
	switch {
	case v.Percent > 0:
		return strconv.FormatFloat(v.Percent, 'f', -1, 64) + "%"
	case v.Number > 0:
		return strconv.FormatUint(v.Number, 10)
	}
	return ""
}

func (v *amountFlag) Type() string { return "AMOUNT" }

// inodesFlag is the value of a flag that takes a number of inodes or a share in percent.
type inodesFlag struct{ amountFlag }

func (v *inodesFlag) Set(s string) error {
	if ok, err := v.setPercent(s); ok || err != nil {
		return err
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err == nil && n == 0 {
		err = errors.New("nothing")
	}
	if err != nil {
		return fmt.Errorf("%q is neither a share like 5%% nor a number like 100000", s)
	}
	v.Amount = prune.Amount{Number: n}
	return nil
}
