package main

import (
	"fmt"
	"slices"
	"strings"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

// sources distinguishes the sources of an archive's snapshots.
type sources struct {
	of       map[string]archive.SourceID // by the snapshot's name
	known    map[archive.SourceID]bool
	hosts    bool // there are several
	sameHost bool // no path is the source of several hosts
}

// newSources collects the source of each snapshot; zero if its catalog is unusable.
func newSources(of map[string]archive.SourceID) sources {
	s := sources{of: of, known: make(map[archive.SourceID]bool), sameHost: true}
	hosts, paths := make(map[string]bool), make(map[string]string)
	for _, id := range of {
		if id == (archive.SourceID{}) {
			continue
		}
		s.known[id], hosts[id.Host] = true, true
		if host, ok := paths[id.Path]; ok && host != id.Host {
			s.sameHost = false
		}
		paths[id.Path] = id.Host
	}
	s.hosts = len(hosts) > 1
	return s
}

func (s *sources) vary() bool { return len(s.known) > 1 }

// name returns the source of a snapshot for people: its path, and the host if there are several.
func (s *sources) name(snapshot string) string {
	id := s.of[snapshot]
	if s.hosts && id.Host != "" {
		return printable(id.Host) + ":" + name(id.Path)
	}
	return name(id.Path)
}

// groupFlag is the value of a flag that chooses the groups to which the rules apply.
type groupFlag struct{ prune.Grouping }

var groupings = []string{string(prune.BySource), string(prune.ByPath), string(prune.Together)}

func (v *groupFlag) Set(s string) error {
	if !slices.Contains(groupings, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(groupings, ", "))
	}
	v.Grouping = prune.Grouping(s)
	return nil
}

func (v *groupFlag) String() string { return string(v.Grouping) }

func (v *groupFlag) Type() string { return "WHAT" }
