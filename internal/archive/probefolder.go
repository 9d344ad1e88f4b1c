package archive

import (
	"cmp"

	"snapcopy/internal/fsat"
)

// tryFolderOwner gives a folder to another owner, as a snapshot's folder would be, and tries to move it, as publishing does,
// and to empty it, as removing does. A service user who may give files away need not be able to do that afterwards. A process
// that cannot give it away has nothing to lose.
func (p *prober) tryFolderOwner() {
	const name, file, moved = "given", "file", "moved"
	if !p.must("make a folder", cmp.Or(fsat.Mkdir(p.dir, name, 0o700), fsat.Mkdir(p.dir, moved, 0o700))) {
		return
	}
	given, err := fsat.OpenDir(p.dir, name)
	if !p.must("open a folder", err) {
		return
	}
	defer func() { p.must("close", fsat.Close(given)) }()
	to, err := fsat.OpenDir(p.dir, moved)
	if !p.must("open a folder", err) {
		return
	}
	defer func() { p.must("close", fsat.Close(to)) }()
	f, err := fsat.Create(given, file, 0o600)
	if !p.must("make a file", cmp.Or(err, fsat.Close(f))) {
		return
	}
	var was fsat.Stat
	if !p.must("look at a folder", fsat.StatHandle(given, &was)) {
		return
	}
	p.can("set a mode", fsat.Chmod(given, 0o500))
	p.c.FolderOwners = true
	const uid, gid = 12345, 23456
	if !p.can("set the owner of a folder", fsat.Chown(given, uid, gid)) {
		p.can("set a mode", fsat.Chmod(given, 0o700))
		return
	}
	p.c.FolderOwners = p.can("empty a folder of another owner", fsat.Unlink(given, file)) &&
		p.can("move a folder of another owner", fsat.Rename(p.dir, name, to, name))
	p.must("take a folder back", cmp.Or(fsat.Chown(given, was.UID, was.GID), fsat.Chmod(given, 0o700)))
}
