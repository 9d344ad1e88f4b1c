package fsat

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

// Each error number has one class, and what is not known says nothing.
func TestClassOf(t *testing.T) {
	want := map[Class][]unix.Errno{
		Gone:      {unix.ENOENT},
		OtherType: {unix.ENOTDIR, unix.ELOOP},
		Full:      {unix.ENOSPC, unix.EDQUOT},
		Refused: {unix.EPERM, unix.EACCES, unix.ENOTSUP, unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL, unix.EOVERFLOW,
			unix.EXDEV, unix.ENOTTY, unix.E2BIG, unix.ERANGE},
		BadDisk: {unix.EIO, unix.EUCLEAN, unix.EBADMSG},
	}
	known := make(map[unix.Errno]Class)
	for class, list := range want {
		for _, e := range list {
			known[e] = class
		}
	}
	for e := unix.Errno(1); e < 134; e++ {
		class, ok := known[e]
		if !ok {
			class = Passing
		}
		err := fmt.Errorf("wrapped: %w", &fs.PathError{Op: "open", Path: "x", Err: e})
		if got := ClassOf(err); got != class {
			t.Errorf("%v has class %v, want %v", e, got, class)
		}
		if IsGone(err) != (class == Gone) || IsOtherType(err) != (class == OtherType) || IsNoSpace(err) != (class == Full) ||
			IsRefused(err) != (class == Refused) || IsBadDisk(err) != (class == BadDisk) {
			t.Errorf("%v: a function says something else than the class", e)
		}
	}
	for _, e := range []unix.Errno{unix.EINTR, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ESTALE, unix.EAGAIN,
		unix.ETIMEDOUT, unix.ENOTCONN} {
		if ClassOf(e) != Passing {
			t.Errorf("%v is taken for a property", e)
		}
	}
	if ClassOf(nil) != Fine || ClassOf(errors.New("other")) != Passing {
		t.Error("what is no error number has a class of its own")
	}
}
