package main

import (
	"context"

	"snapcopy/internal/archive"
	"snapcopy/prune"
)

// largest lists the files and folders that take the most space, and those that grew most in the last run.
func (o *statsOptions) largest(ctx context.Context, a *app, archive *archive.Archive, all []archive.Snapshot,
	chosen []int) error {
	some := all
	if len(chosen) > 0 {
		some = nil
		for _, i := range chosen {
			some = append(some, all[i])
		}
	}
	list, err := prune.Catalogs(archive, some)
	if err != nil {
		return err
	}
	files, folders, err := prune.Top(ctx, list, nil, o.top)
	if err != nil {
		return err
	}
	if err := o.printTop(a, "stored", "FILE", "VERSIONS", files); err != nil {
		return err
	}
	if err := o.printTop(a, "stored", "FOLDER", "STORED FILES", folders); err != nil {
		return err
	}
	if len(chosen) > 0 || len(list) < 2 {
		return nil
	}
	files, folders, err = prune.Top(ctx, list[len(list)-1:], &list[len(list)-2], o.top)
	if err != nil {
		return err
	}
	if err := o.printTop(a, "grown", "FILE, GROWN IN THE LAST RUN", "VERSIONS", files); err != nil {
		return err
	}
	return o.printTop(a, "grown", "FOLDER, GROWN IN THE LAST RUN", "STORED FILES", folders)
}

func (o *statsOptions) printTop(a *app, of, what, files string, list []prune.Place) error {
	if o.json {
		for i := range list {
			p := &list[i]
			line := topLine{Path: p.Path, Type: "file", Of: of, Bytes: p.Bytes, Files: p.Versions}
			if p.Folder {
				line.Type = "dir"
			}
			if err := a.printJSON("largest", &line); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"SIZE", files, what}}
	for i := range list {
		shown := name(list[i].Path)
		if list[i].Folder {
			shown = folderName(list[i].Path)
		}
		rows = append(rows, []string{size(list[i].Bytes), count(list[i].Versions), shown})
	}
	if len(rows) == 1 {
		return nil
	}
	text := table(rows, true, true)
	if o.tables++; o.tables > 1 {
		text = "\n" + text
	}
	return a.printf("%s", text)
}
