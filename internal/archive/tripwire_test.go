package archive

import (
	"slices"
	"testing"
)

// Guards: what looks wrong is noticed, and ordinary nights are not.
func TestTripwires(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cover *Coverage
		files uint64
		want  []Tripwire
	}{
		"first run":           {nil, 1000, nil},
		"first run, empty":    {nil, 0, nil},
		"nothing changed":     {&Coverage{Files: 1000}, 1000, nil},
		"half deleted":        {&Coverage{Files: 1000, Deleted: 500}, 500, nil},
		"more than half":      {&Coverage{Files: 1000, Deleted: 501}, 499, []Tripwire{MassDeletion}},
		"all replaced":        {&Coverage{Files: 1000, Deleted: 1000}, 1000, []Tripwire{MassDeletion}},
		"few files":           {&Coverage{Files: 99, Deleted: 90}, 9, nil},
		"few, none left":      {&Coverage{Files: 1, Deleted: 1}, 0, []Tripwire{EmptySource}},
		"none left":           {&Coverage{Files: 1000, Deleted: 1000}, 0, []Tripwire{EmptySource}},
		"most changed":        {&Coverage{Files: 100, Changed: 51}, 100, []Tripwire{MassChange}},
		"deleted and changed": {&Coverage{Files: 100, Deleted: 51, Changed: 49}, 49, []Tripwire{MassDeletion}},
		"most left out":       {&Coverage{Files: 1000, LeftOut: 501}, 499, []Tripwire{MassExclusion}},
		"both together":       {&Coverage{Files: 1000, Deleted: 300, LeftOut: 201}, 499, []Tripwire{MassDeletion}},
		"few, all left out":   {&Coverage{Files: 3, LeftOut: 3}, 0, []Tripwire{MassExclusion}},
		"most unread":         {&Coverage{Files: 1000, Unread: 900}, 100, nil},
		"most of what was read is gone": {&Coverage{Files: 1000, Unread: 400, Deleted: 301}, 299,
			[]Tripwire{MassDeletion}},
		"a part of it": {&Coverage{Source: "/home", Files: 2, LeftOut: 1}, 1, []Tripwire{SourceInside}},
	} {
		trial := Trial{Coverage: c.cover, Files: c.files, Limits: DefaultLimits()}
		if got := trial.Tripwires(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Guards: a run is judged by its own limits, to the file; a source of few files that has set off a tripwire looks wrong
// until there are about as many files again.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trial  Trial
		want   []Tripwire
		hollow bool
	}{
		"29 of 100 at 29 %":       {Trial{&Coverage{Files: 100, Deleted: 29, Changed: 29}, 71, Limits{0.29, 0.29, 100}, false}, nil, false},
		"30 of 100 at 29 %":       {Trial{&Coverage{Files: 100, Deleted: 30, Changed: 30}, 70, Limits{0.29, 0.29, 100}, false}, []Tripwire{MassDeletion, MassChange}, false},
		"one of 100 at 0 %":       {Trial{&Coverage{Files: 100, Deleted: 1, Changed: 1}, 99, Limits{0, 0, 100}, false}, []Tripwire{MassDeletion, MassChange}, false},
		"99 of 100, off":          {Trial{&Coverage{Files: 100, Deleted: 99, Changed: 1}, 1, Limits{1, 1, 100}, false}, nil, false},
		"all changed, off":        {Trial{&Coverage{Files: 100, Changed: 100}, 100, Limits{0.5, 1, 100}, false}, nil, false},
		"all gone, off":           {Trial{&Coverage{Files: 100, Deleted: 100}, 0, Limits{1, 1, 100}, false}, []Tripwire{EmptySource}, true},
		"60 gone at 80 %":         {Trial{&Coverage{Files: 100, Deleted: 60}, 40, Limits{0.8, 0.5, 100}, false}, nil, false},
		"60 unread at 80 %":       {Trial{&Coverage{Files: 100, Unread: 60}, 40, Limits{0.8, 0.5, 100}, false}, nil, true},
		"40 gone, 45 unread":      {Trial{&Coverage{Files: 100, Deleted: 40, Unread: 45}, 15, Limits{0.8, 0.5, 100}, false}, nil, true},
		"few, one back":           {Trial{&Coverage{Files: 90, Deleted: 89}, 1, DefaultLimits(), true}, []Tripwire{MassDeletion}, false},
		"few, one other":          {Trial{&Coverage{Files: 90, Deleted: 90}, 1, DefaultLimits(), true}, []Tripwire{MassDeletion}, false},
		"half gone, half changed": {Trial{&Coverage{Files: 100, Deleted: 50, Changed: 50}, 50, DefaultLimits(), false}, nil, false},
		"the same, another waits": {Trial{&Coverage{Files: 100, Deleted: 50, Changed: 50}, 50, DefaultLimits(), true}, []Tripwire{MassDeletion, MassChange}, false},
		"a third gone, it waits":  {Trial{&Coverage{Files: 100, Deleted: 33}, 67, DefaultLimits(), true}, nil, false},
		"changes off, it waits":   {Trial{&Coverage{Files: 100, Deleted: 50, Changed: 50}, 50, Limits{0.5, 1, 100}, true}, nil, false},
		"most unread, it waits":   {Trial{&Coverage{Files: 200, Unread: 120, Deleted: 30, Changed: 20}, 50, DefaultLimits(), true}, nil, true},
		"few, as many others":     {Trial{&Coverage{Files: 3, Deleted: 3}, 3, DefaultLimits(), true}, nil, false},
		"few, all written anew":   {Trial{&Coverage{Files: 3, Changed: 3}, 3, DefaultLimits(), true}, nil, false},
	} {
		if got := c.trial.Tripwires(); !slices.Equal(got, c.want) || c.trial.hollow() != c.hollow {
			t.Errorf("%s: %v, hollow %v; want %v, %v", name, got, c.trial.hollow(), c.want, c.hollow)
		}
	}
}

// Guards: another file system in the place of the source is noticed; what differs after a reboot, on a newer kernel, in
// a sandbox or in a subvolume is none.
func TestPlaceChange(t *testing.T) {
	t.Parallel()
	disk := Place{Kind: "ext4", Type: 0xef53, ID: "aa", Inode: 2, MountPoint: true}
	with := func(change func(*Place)) *Place {
		p := disk
		change(&p)
		return &p
	}
	for name, c := range map[string]struct {
		was, is *Place
		want    []Tripwire
	}{
		"the same":               {&disk, &disk, nil},
		"never recorded":         {nil, &disk, nil},
		"cannot be told now":     {&disk, nil, nil},
		"other type":             {&disk, with(func(p *Place) { p.Type = 1 }), []Tripwire{OtherDevice}},
		"other disk":             {&disk, with(func(p *Place) { p.ID = "bb" }), []Tripwire{OtherDevice}},
		"no identity any more":   {&disk, with(func(p *Place) { p.ID = "" }), nil},
		"identity since now":     {with(func(p *Place) { p.ID = "" }), &disk, nil},
		"folder made anew":       {&disk, with(func(p *Place) { p.Inode = 77 }), nil},
		"not mounted":            {&disk, with(func(p *Place) { p.ID, p.Inode, p.MountPoint = "bb", 99, false }), []Tripwire{NotMounted}},
		"bind mount gone":        {&disk, with(func(p *Place) { p.Inode, p.MountPoint = 99, false }), []Tripwire{NotMounted}},
		"over itself in sandbox": {&disk, with(func(p *Place) { p.MountPoint = false }), nil},
		"mounted since":          {with(func(p *Place) { p.MountPoint = false }), &disk, nil},
		"name of type known now": {with(func(p *Place) { p.Kind = "0xef53" }), &disk, nil},
	} {
		if got := (PlaceChange{Was: c.was, Is: c.is}).Tripwires(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Guards: a source is only found inside another one where it lies below it, element by element.
func TestPathBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		above, below, want string
		ok                 bool
	}{
		{"/home", "/home/ada", "ada", true},
		{"/", "/home/ada", "home/ada", true},
		{"/home", "/home", "", false},
		{"/home", "/homes/ada", "", false},
		{"/home/ada", "/home", "", false},
	} {
		if got, ok := pathBelow(c.above, c.below); ok != c.ok || ok && got != c.want {
			t.Errorf("%s below %s: %q, %v", c.below, c.above, got, ok)
		}
	}
}
