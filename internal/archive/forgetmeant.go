package archive

import (
	"context"
	"errors"
	"slices"
)

// Meaning is the path that ForgetMeant forgets, as a person writes it.
type Meaning struct {
	// Paths returns the paths that may be meant, in snapshots of a source; "" if its path is not known.
	Paths func(source string) ([]string, error)
	Earlier
	// Begun, if set, is called in a dry run with the path of an interrupted ForgetPath.
	Begun func(path string)
	// Confirm, if set, is called with the report of a dry run, unless that is all the caller wants. Its error ends
	// ForgetMeant.
	Confirm func(would *ForgetReport) error
}

// ForgetMeant is ForgetPath for a path that may mean several ones: it forgets the first that any snapshot has. It first
// finishes interrupted work, which a dry run does not. Without an error the report is nil if that was the forgetting of
// the same path, and nothing is left of it. If ForgetPath fails, the report's Unfinished is the path that remains to be
// forgotten, if any.
func (a *Archive) ForgetMeant(ctx context.Context, m Meaning, opt ForgetOptions) (*ForgetReport, error) {
	paths, err := a.meantPaths(m)
	if err != nil {
		return nil, err
	}
	begun, err := a.finishForgotten(ctx, m, opt)
	if err != nil {
		return nil, err
	}
	if m.Confirm == nil || opt.DryRun {
		return a.forgetFirst(ctx, paths, begun, opt)
	}
	look := opt
	look.DryRun = true
	would, err := a.forgetFirst(ctx, paths, begun, look)
	if err != nil || would == nil {
		return would, err
	}
	if err := m.Confirm(would); err != nil {
		return nil, err
	}
	opt.Elsewhere = nil // called in the dry run
	return a.forgetFirst(ctx, []string{would.Path}, "", opt)
}

// meantPaths returns the paths that may be meant in the newest snapshot.
func (a *Archive) meantPaths(m Meaning) ([]string, error) {
	list, err := a.Snapshots()
	if err != nil {
		return nil, err
	}
	source := ""
	if len(list) > 0 {
		c, err := list[len(list)-1].OpenCatalog()
		if err != nil {
			return nil, err
		}
		source = c.Summary().Source
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return m.Paths(source)
}

// finishForgotten finishes interrupted work, and returns the path that an interrupted ForgetPath was to forget, if any.
func (a *Archive) finishForgotten(ctx context.Context, m Meaning, opt ForgetOptions) (begun string, err error) {
	begun, unfinished := a.Forgetting()
	if !opt.DryRun {
		return begun, a.Finish(ctx, RemoveOptions{Now: opt.Now}, m.Earlier)
	}
	if unfinished && m.Begun != nil {
		m.Begun(begun)
	}
	return begun, nil
}

// forgetFirst forgets the first of some paths that any snapshot has. If none has, and begun is one of them, an
// interrupted command was to forget it, and its work has just been finished: that is no error, and the report is nil.
func (a *Archive) forgetFirst(ctx context.Context, paths []string, begun string, opt ForgetOptions) (report *ForgetReport, err error) {
	for _, path := range paths {
		if report, err = a.ForgetPath(ctx, path, opt); !errors.Is(err, ErrInNoSnapshot) {
			break
		}
	}
	if err == nil {
		return report, nil
	}
	if errors.Is(err, ErrInNoSnapshot) && slices.Contains(paths, begun) {
		return nil, nil
	}
	if path, unfinished := a.Forgetting(); report != nil && unfinished {
		report.Unfinished = path
	}
	return report, err
}
