package fidelity

import (
	"fmt"
	"strings"
	"testing"

	"snapcopy/internal/testtree"
)

// mostXattr is the largest value that a file can have: XATTR_SIZE_MAX, and what fits a leaf of btrfs with nodes of 16
// KiB.
var mostXattr = map[string]int{"ext4": 65536, "xfs": 65536, "btrfs": 16000}

// capNetBind is cap_net_bind_service=ep (linux/capability.h, VFS_CAP_REVISION_2).
const capNetBind = `"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"`

func manyXattrs(name string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "set %s xattr.user.number-%d=%q\n", name, i, fmt.Sprint("value ", i*i))
	}
	return b.String()
}

// Guards: every extended attribute is kept, of every name space, size and kind of file; a change of nothing else makes
// a new stored file and leaves the old snapshots the old attributes.
func TestExtendedAttributes(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		needRoot(t)
		many := 400
		if l.kind == "ext4" {
			many = 90 // names and small values have to fit one block
		}
		largest := mostXattr[l.kind]
		l.build(fmt.Sprintf(`
			dir d 0755 xattr.user.on="a folder" xattr.trusted.on="a folder"
			file f 0644 "content" xattr.user.a=1 xattr.user.empty= xattr.user.bin="\x00\xff\n\x00"
			file same 0644 "content" xattr.user.a=1
			file ns 0755 "content" xattr.trusted.t="t" xattr.security.ima="\x04\x02" xattr.security.anything=x
			file label 0644 "x" xattr.security.selinux="system_u:object_r:etc_t:s0\x00" xattr.security.SMACK64=_
			file cap 0755 "program" xattr.security.capability=%s
			file big 0644 "x" xattr.user.big="%s"
			file bigbin 0644 "x" xattr.trusted.big="%s"
			file many 0644 "x"
			dir manydir 0755
			file large 0644 random=1500000:1 xattr.user.a=1
			symlink s target xattr.trusted.on="a link"
			fifo p 0600 xattr.trusted.on="a pipe"
			socket sock 0600 xattr.trusted.on="a socket"
			char c 0600 1:3 xattr.trusted.on="a device"
			file odd 0644 x xattr.user.%s=1 "xattr.user. =2"`, capNetBind, strings.Repeat("b", largest),
			strings.Repeat(`\x00\xfe`, largest/2), strings.Repeat("n", 250)))
		l.build(manyXattrs("many", many) + manyXattrs("manydir", 50))
		testtree.Settle()
		l.run()
		for _, e := range []struct{ script, changed string }{
			{"set f xattr.user.a=2", "f"},
			{"set f xattr.user.empty=no", "f"},
			{"set f xattr.user.empty= xattr.user.a=3", "f"},
			{"unset f user.empty", "f"},
			{"set f xattr.user.bin=\"\\x00\\xff\\n\"", "f"},
			{"set large xattr.user.a=2", "large"},
			{"unset same user.a", "same"},
			{"set cap xattr.security.capability=" + strings.Replace(capNetBind, `\x04`, `\x02`, 1), "cap"},
			{"unset cap security.capability", "cap"},
			{"set many xattr.user.number-77=other", "many"},
			{"set big xattr.user.big=small", "big"},
			{"set s xattr.trusted.on=\"the link\"", "s"},
			{"unset p trusted.on", "p"},
			{"set c xattr.trusted.more=x", "c"},
			{"set d xattr.user.on=changed", ""},
			{"unset d trusted.on\nset manydir xattr.user.number-7=x\nset . xattr.user.top=1", ""},
			{"set f acl=u:5:rw", "f"},
			{"set f acl=u:5:r", "f"},
			{"set f acl=m::-", "f"},
			{"noacl f", "f"},
			{"set large acl=g:1000:rw,u:1000:---", "large"},
			{"set d acl=u:5:rwx default=u:6:rx,g:7:rwx", ""},
			{"file d/after 0640 \"made below a default ACL\"", ""},
			{"set d default=u:6:r\nset . default=o::---", ""},
			{"noacl d", ""},
		} {
			l.build(e.script)
			rep := l.run()
			testtree.Settle()
			if e.changed != "" {
				if rep.Counts.Changed != 1 {
					t.Errorf("%s: %+v", e.script, rep.Counts)
				}
				l.shared(false, e.changed)
			} else if rep.Counts.Changed > 0 {
				t.Errorf("%s: %+v", e.script, rep.Counts)
			}
			if t.Failed() {
				t.Fatalf("after %s", e.script)
			}
		}
		l.later()
	})
}
