package tarball

import (
	"errors"
	"strings"

	"snapcopy/index"
	"snapcopy/internal/outcome"
	"snapcopy/internal/pax"
	"snapcopy/internal/tree"
)

// group is an inode of the source with several names.
type group struct {
	name string // member with the content; "": none yet
	bad  uint64 // stored inode with damaged content, not to be read again; 0: none
	late []lateName
}

// lateName is a name whose stored file is damaged. Another name of the group may be stored in another file.
type lateName struct {
	dir   *dir
	entry index.Entry
	err   error
}

// maxLateNames bounds the late names of all groups; further ones fail at once.
const maxLateNames = 10_000

// linked writes one of several names of an inode: as a hard link if an earlier member has the content.
func (t *run) linked(d *dir, e *index.Entry) error {
	key := tree.GroupKeyOf(e)
	entered := t.groups.Enter(key, e.Nlink)
	defer t.groups.Leave(key, entered)
	g := &entered.Value
	if !entered.Missing() && !t.groups.Partial {
		defer t.endGroup(g)
	}
	if g.name != "" {
		if err := t.link(d, e, g); err != nil {
			return t.failed(d, e, err)
		}
		return nil
	}
	err := tree.ErrContent
	if g.bad == 0 || g.bad != e.Stored {
		err = t.make(d, e)
	}
	switch {
	case err == nil:
		t.add(d, e, outcome.Restored)
		g.name = d.member(e.Name)
		return t.linkLate(g)
	case errors.Is(err, tree.ErrDamaged) && !errors.Is(err, errUnsteady) && t.ctx.Err() == nil && t.late < maxLateNames:
		if errors.Is(err, tree.ErrContent) {
			g.bad = e.Stored
		}
		kept := *e
		kept.Name, kept.Target = strings.Clone(e.Name), ""
		g.late = append(g.late, lateName{d, kept, err})
		t.late++
		return nil
	}
	return t.failed(d, e, err)
}

// link writes a further name of a group as a hard link to the member with the content.
func (t *run) link(d *dir, e *index.Entry, g *group) error {
	if err := t.begin(d.member(e.Name), e, &pax.Header{Kind: pax.HardLink, Target: g.name}); err != nil {
		return err
	}
	t.opt.Progress.Bytes.Add(tree.ContentBytes(e))
	t.add(d, e, outcome.Linked)
	return nil
}

// linkLate writes the late names of a group. Their folders follow once more, because a program may have set their
// times already.
func (t *run) linkLate(g *group) error {
	for ; len(g.late) > 0; g.late = g.late[1:] {
		n := &g.late[0]
		t.late--
		err := t.link(n.dir, &n.entry, g)
		if err == nil && n.dir.ownMember() != "" {
			err = t.begin(n.dir.ownMember(), &n.dir.entry, &pax.Header{Kind: pax.Folder})
		}
		if err != nil {
			if err := t.failed(n.dir, &n.entry, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// endGroup lists the late names of a group whose content was never found.
func (t *run) endGroup(g *group) {
	for i := range g.late {
		n := &g.late[i]
		t.late--
		t.list(n.dir, &n.entry, n.err)
	}
	g.late = nil
}

// endGroups ends the groups of which not all names came.
func (t *run) endGroups() {
	for _, g := range t.groups.All() {
		t.endGroup(&g.Value)
	}
}
