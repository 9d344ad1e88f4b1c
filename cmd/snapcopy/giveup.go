package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"snapcopy/internal/archive"
)

// unfinishedText says what an unfinished run has stored.
func (a *app) unfinishedText(u *archive.Unfinished) string {
	return fmt.Sprintf("%s in %s of a run of %s, begun %s, that has published nothing: it is under way, or the next run of that "+
		"source goes on from there", size(u.Bytes), counted(u.Files+u.Partial, "file", "files"), name(u.Source), a.local(u.Began))
}

// giveUpText is the command that gives up what an unfinished run has stored.
func giveUpText(arch string, u *archive.Unfinished) string {
	return fmt.Sprintf("`snapcopy remove %s --unfinished %s`", shellWord(arch), shellWord(u.Source))
}

// tellUnfinishedRuns names the space that unfinished runs take besides the snapshots, unless the command is to be quiet.
func (a *app) tellUnfinishedRuns(arch *archive.Archive, quiet bool) error {
	if quiet {
		return nil
	}
	list, err := arch.UnfinishedRuns()
	for i := range list {
		a.term.errorf("Note: besides the snapshots, %s has %s. %s gives that up.", name(arch.Path), a.unfinishedText(&list[i]),
			giveUpText(arch.Path, &list[i]))
	}
	return err
}

// removeUnfinished removes what unfinished runs of a source have stored.
func (o *removeOptions) removeUnfinished(ctx context.Context, a *app, arch *archive.Archive) error {
	meant, err := o.unfinishedMeant(arch)
	if err != nil {
		return err
	}
	for i := range meant {
		if o.dryRun || !o.yes && a.canAsk() {
			a.term.errorf("Remove %s.", a.unfinishedText(&meant[i]))
		}
	}
	if o.dryRun {
		return nil
	}
	if !o.yes && a.canAsk() {
		if err := a.ask(ctx, "Remove that?"); err != nil {
			return err
		}
	}
	if err := dropUnfinished(ctx, arch, meant); err != nil {
		return err
	}
	earlier, stop := a.earlier(true, o.progress)
	defer stop()
	opt := archive.RemoveOptions{Threads: o.threads, BackgroundIO: o.background, Rate: o.rate, Now: a.now}
	if err := arch.Finish(ctx, opt, earlier); err != nil {
		return err
	}
	return o.tellDropped(a, arch, meant)
}

// unfinishedMeant returns the unfinished runs of the source that was named.
func (o *removeOptions) unfinishedMeant(arch *archive.Archive) (meant []archive.Unfinished, err error) {
	abs, err := filepath.Abs(o.unfinished)
	if err != nil {
		return nil, err
	}
	list, err := arch.UnfinishedRuns()
	if err != nil {
		return nil, err
	}
	var others []string
	for _, u := range list {
		if u.Source == abs || u.Source == o.unfinished {
			meant = append(meant, u)
		} else {
			others = append(others, name(u.Source))
		}
	}
	if meant == nil {
		text := "it has none at all"
		if others != nil {
			text = "it has some of " + strings.Join(others, ", ")
		}
		return nil, fmt.Errorf("archive %s has no unfinished run of %s; %s", name(arch.Path), name(o.unfinished), text)
	}
	return meant, nil
}

// dropUnfinished moves the work of unfinished runs into the trash. The lock keeps the run of one from being under way.
func dropUnfinished(ctx context.Context, arch *archive.Archive, list []archive.Unfinished) (err error) {
	lock, err := arch.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if _, err := lock.Recover(ctx); err != nil {
		return err
	}
	for _, u := range list {
		if _, err := lock.DropUnfinished(archive.SourceID{Host: u.Host, Path: u.Source}); err != nil {
			return err
		}
	}
	return nil
}

func (o *removeOptions) tellDropped(a *app, arch *archive.Archive, list []archive.Unfinished) error {
	for i := range list {
		u := &list[i]
		if o.json {
			if err := a.printJSON("unfinished_removed", u); err != nil {
				return err
			}
		} else if !o.quiet {
			a.term.errorf("Removed %s in %s of an unfinished run of %s from %s. Every snapshot is as it was.", size(u.Bytes),
				counted(u.Files+u.Partial, "file", "files"), name(u.Source), name(arch.Path))
		}
	}
	return nil
}
