package outcome

import "snapcopy/index"

// Action is the outcome for one entry.
type Action string

// The actions.
const (
	Restored Action = "restored"
	Linked   Action = "linked"  // made as a further name of an entry restored before
	Entered  Action = "entered" // an existing folder, into which its entries are restored
	Replaced Action = "replaced"
	Updated  Action = "metadata"  // nothing but its metadata was set
	Same     Action = "unchanged" // it was as in the snapshot
	Deleted  Action = "deleted"   // the snapshot does not contain it
	Failed   Action = "failed"
)

// Item is the outcome for one entry of the snapshot.
type Item struct {
	Path   string // in the snapshot, any bytes
	Action Action
	Type   index.Type
	Size   uint64
	AsOf   string // the snapshot whose run was the last to read it, if it is older than the restored one; otherwise ""
	Err    error  // Failed
}
