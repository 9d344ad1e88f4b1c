package fsat

import "errors"

// LinksHoldMetadata reports whether owner and time can be set of a symbolic link itself. On a file system over a protocol
// that has no call for that (SFTP), they reach the file that the link leads to, wherever that is. It is tried on a link
// that leads nowhere, so that no cache can hide what comes of it: temp is a name in dir for that.
func LinksHoldMetadata(dir int, temp string) (bool, error) {
	if err := MakeSymlink(temp+"-nowhere", dir, temp); err != nil {
		return false, err
	}
	err := SetMtimeAt(dir, temp, Time{Sec: 1_000_000_000})
	follows := IsGone(err) || IsOtherType(err)
	if follows || IsRefused(err) { // a refusal does no harm
		err = nil
	}
	return !follows, errors.Join(err, Unlink(dir, temp))
}
