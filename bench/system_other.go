//go:build !linux

package main

import "errors"

const timedMode = "timed-run"

type measured struct {
	Seconds, CPU float64
	Memory       int64
	Output       []byte
}

func runTimed(string, string, []string) error { return errors.ErrUnsupported }

func (b *bench) timed(string, []string) (measured, error) { return measured{}, errors.ErrUnsupported }

func newBytes(string, map[uint64]bool) (int64, error) { return 0, errors.ErrUnsupported }
