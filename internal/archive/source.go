package archive

import "snapcopy/index"

// Source is a published snapshot to restore from.
type Source struct {
	Catalog *index.Catalog
	Dir     string // the snapshot's folder, directly in the archive
}
