package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/archive"
	"snapcopy/repair"
)

type catalogRebuildOptions struct {
	threads  int
	quiet    bool
	progress progressFlag
	json     bool
}

func catalogRebuildCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:   "rebuild ARCHIVE@SNAPSHOT",
		Short: "Make a lost or damaged catalog anew from the snapshot's folder",
		Long: `Make the catalog of SNAPSHOT anew, if it is lost or damaged: every file in the snapshot's folder is read and
hashed. The new catalog says what the folder has now. If the catalog of the snapshot before or after knows one
of its stored files, and records another hash, that hash is taken, and the file is listed as damaged.

What only the old catalog knew is lost: metadata that the archive's file system could not take, file attributes,
change times and inode numbers of the source. So the next run reads the files of its source once more. Names that
were deleted from the folder are not known either. If there is a copy of ARCHIVE (cp -a), "snapcopy repair ARCHIVE
--from COPY" takes the catalog from it instead, and loses nothing.

A sound catalog is never replaced. A damaged one is kept beside the new one, with ".aside" after its name.`,
		Example: `  snapcopy catalog rebuild /backup/documents@2026-11-20T020000Z`,
	}, new(catalogRebuildOptions), mayBeDone, mayFail, mayFindDamagedFiles, mayBeLocked, mayLackSpace)
}

var mayFindDamagedFiles = status{statusDamage, "done, but files in the folder are damaged; they are listed"}

func (o *catalogRebuildOptions) AddFlags(f *pflag.FlagSet) {
	addThreads(f, &o.threads)
	o.progress.addTo(f)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print damaged files and errors only")
	f.BoolVar(&o.json, "json", false, "print a JSON object")
}

// Run makes the catalog anew.
func (o *catalogRebuildOptions) Run(ctx context.Context, a *app, args []string) (err error) {
	if err := checkThreads(o.threads); err != nil {
		return err
	}
	where, selector, err := splitPlace(args[0])
	if err != nil {
		return err
	}
	if selector == "" {
		return wrongUsage("which snapshot? `snapcopy list %s` shows the snapshots with a damaged catalog", shellWord(where))
	}
	arch, err := a.openToChange(where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arch.Close()) }()
	s, err := arch.SelectOnly(selector, a.now(), a.loc)
	if err != nil {
		return err
	}
	begin := time.Now()
	progress := new(archive.Progress)
	bar := startProgress(a, rebuildMeter(progress), o.progress.quietly(o.quiet))
	made, err := repair.RebuildCatalog(ctx, arch, s.Name, repair.CatalogOptions{Threads: o.threads, Progress: progress, Now: a.now})
	bar.stop()
	if err != nil {
		return err
	}
	return o.tell(a, arch.Path, made, time.Since(begin))
}

func rebuildMeter(p *archive.Progress) meter {
	m := runMeter(p)
	m.phase = func() string { return "Reading" }
	return m
}

func (o *catalogRebuildOptions) tell(a *app, arch string, made *repair.Rebuilt, took time.Duration) error {
	if o.json {
		if err := a.printJSON("catalog_rebuilt", rebuiltJSON(made)); err != nil {
			return err
		}
	} else if err := o.print(a, arch, made, took); err != nil {
		return err
	}
	if len(made.Damaged)+len(made.Unreadable) > 0 {
		return told{statusDamage}
	}
	return nil
}

func (o *catalogRebuildOptions) print(a *app, arch string, made *repair.Rebuilt, took time.Duration) error {
	for _, path := range made.Damaged {
		if err := a.printf("%s/%s: damage: it is not what the catalog of the snapshot before or after records\n", made.Snapshot, name(path)); err != nil {
			return err
		}
	}
	for _, path := range made.Unreadable {
		if err := a.printf("%s/%s: damage: it cannot be read, and is not in the new catalog\n", made.Snapshot, name(path)); err != nil {
			return err
		}
	}
	if len(made.Damaged) > 0 {
		a.term.errorf("Hint: `snapcopy repair %s` mends damaged files.", shellWord(arch))
	}
	if o.quiet {
		return nil
	}
	if made.NoReport {
		a.term.errorf("Note: the report of its run is lost, too: the snapshot counts as incomplete.")
	}
	if made.Aside != "" {
		a.term.errorf("Note: the damaged catalog is %s now; nothing needs it.", name(made.Aside))
	}
	return a.printf("The catalog of %s was made anew from its folder: %s in %s, %s, in %s. No copy of the catalog was used: "+
		"names that were deleted from the folder are not known, and metadata that only the old catalog had are lost. The next run reads "+
		"the source's files again.\n", made.Snapshot, counted(made.Files, "file", "files"),
		counted(made.Dirs, "folder", "folders"), size(made.Bytes), duration(took))
}

// isDamage reports whether an error proves damage of an archive.
func isDamage(err error) bool { return errors.Is(err, index.ErrDamagedData) }
