package main

import "snapcopy/internal/history"

// printTally prints the changes by folder.
func (a *app) printTally(t *history.Tally) error {
	header := []string{"FOLDER", "ADDED", "REMOVED", "CHANGED", "METADATA", "MOVED", "TYPE", "+BYTES", "-BYTES", "NET"}
	rows := [][]string{header}
	for _, f := range t.Folders() {
		row := []string{folderName(f.Folder)}
		for _, k := range kinds {
			row = append(row, count(f.Counts[k.kind]))
		}
		rows = append(rows, append(row, size(f.Added), size(f.Removed), netSize(f.Added, f.Removed)))
	}
	if len(rows) == 1 {
		return nil
	}
	return a.printf("%s", table(rows, false, true, true, true, true, true, true, true, true, true))
}

func folderName(path string) string {
	if path == "" {
		return "./"
	}
	return name(path + "/")
}

// netSize writes the change of a size, with its sign.
func netSize(added, removed uint64) string {
	switch {
	case added > removed:
		return "+" + size(added-removed)
	case added < removed:
		return "-" + size(removed-added)
	}
	return size(0)
}

func (a *app) printTallyJSON(t *history.Tally) error {
	for _, f := range t.Folders() {
		path := f.Folder
		if path == "" {
			path = "."
		}
		if err := a.printJSON("folder", tallyObject{path, f.Counts, f.Added, f.Removed}); err != nil {
			return err
		}
	}
	return nil
}
