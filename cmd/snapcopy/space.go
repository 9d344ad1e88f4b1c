package main

import (
	"snapcopy/internal/archive"
	"snapcopy/prune"
)

// doubts returns the reasons why figures about space may be wrong, a sentence each.
func doubts(archive *archive.Archive, space *prune.Space) (list []string) {
	if len(space.Doubtful) > 0 {
		list = append(list, "The archive was copied here after "+space.Snapshots[space.Doubtful[len(space.Doubtful)-1]]+
			": how much the snapshots up to that one share with later ones is not known, and their figures are too high.")
	}
	if archive.Info.Capabilities.Reflink {
		list = append(list, "Files here can share blocks without being links of one another. Each is counted in full: "+
			"removing it may free less.")
	}
	return list
}

// leftOut returns the parts of the archive that figures about the whole leave out, a sentence each.
func leftOut(archive *archive.Archive) (list []string, err error) {
	empty, err := archive.Trash.IsEmpty()
	if err != nil {
		return nil, err
	}
	if !empty {
		list = append(list, "The space of removed snapshots is not given back yet, and not counted here: the next prune, "+
			"remove or snapshot goes on with that.")
	}
	work, err := archive.Meta.HasWork()
	if work {
		list = append(list, "The files of a run that is under way, or was cut short, are not counted here.")
	}
	return list, err
}
