package main

import (
	"fmt"
	"slices"
	"strings"

	"snapcopy/internal/archive"
)

// sources tells apart the sources of an archive's snapshots.
type sources struct {
	of       map[string]*snapshotLine // by the snapshot's name
	known    map[archive.SourceID]bool
	hosts    bool // there are several
	sameHost bool // no path is the source of several hosts
}

// sourceOf gives the source of a snapshot; zero if its catalog does not tell.
func sourceOf(l *snapshotLine) archive.SourceID {
	return archive.SourceID{Host: l.Host, Path: l.Source}
}

func newSources(lines []snapshotLine) sources {
	s := sources{of: make(map[string]*snapshotLine), known: make(map[archive.SourceID]bool), sameHost: true}
	hosts, paths := make(map[string]bool), make(map[string]string)
	for i := range lines {
		s.of[lines[i].Name] = &lines[i]
		id := sourceOf(&lines[i])
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

// name is the source of a snapshot for people: its path, and the host if there are several.
func (s *sources) name(l *snapshotLine) string {
	id := sourceOf(l)
	if s.hosts && id.Host != "" {
		return printable(id.Host) + ":" + name(id.Path)
	}
	return name(id.Path)
}

// groupFlag is the value of a flag that says which snapshots rules look at together.
type groupFlag string

// The ways to group.
const (
	groupBySource groupFlag = "source"
	groupByPath   groupFlag = "path"
	groupByNone   groupFlag = "none"
)

var groupings = []string{string(groupBySource), string(groupByPath), string(groupByNone)}

func (v *groupFlag) Set(s string) error {
	if !slices.Contains(groupings, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(groupings, ", "))
	}
	*v = groupFlag(s)
	return nil
}

func (v *groupFlag) String() string { return string(*v) }

func (v *groupFlag) Type() string { return "WHAT" }

// of gives the group of a snapshot.
func (v *groupFlag) of(l *snapshotLine) string {
	id := sourceOf(l)
	switch *v {
	case groupBySource:
		return id.Host + "\x00" + id.Path
	case groupByPath:
		return id.Path
	}
	return ""
}
