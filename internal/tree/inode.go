package tree

import "snapcopy/internal/fsat"

// InodeID names an inode of this machine.
type InodeID struct{ Dev, Ino uint64 }

// IDOf names the inode that a stat is of.
func IDOf(st *fsat.Stat) InodeID { return InodeID{st.Dev, st.Ino} }
