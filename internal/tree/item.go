package tree

import "snapcopy/index"

// Action says what became of one entry.
type Action string

// The actions.
const (
	Restored Action = "restored"
	Linked   Action = "linked"  // made as a further name of an entry restored before
	Entered  Action = "entered" // a directory that exists: its entries are restored into it
	Replaced Action = "replaced"
	Updated  Action = "metadata"  // nothing but its metadata was set
	Same     Action = "unchanged" // it was as in the snapshot
	Deleted  Action = "deleted"   // the snapshot has it not
	Aside    Action = "aside"     // kept under another name
	Failed   Action = "failed"
)

// Item is what became of one entry of the snapshot.
type Item struct {
	Path   string // in the snapshot, any bytes
	Action Action
	Type   index.Type
	Size   uint64
	Err    error // Failed
}
