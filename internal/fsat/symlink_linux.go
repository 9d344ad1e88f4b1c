package fsat

import "errors"

// LinksTakeMetadata reports whether owner and time of a symbolic link itself can be set. On a file system over a
// protocol without such a call (SFTP), they reach the file that the link leads to, wherever that is. LinksTakeMetadata
// tries it on a link that leads nowhere, so that no cache can hide the outcome; temp is a free name in dir for this
// link.
func LinksTakeMetadata(dir int, temp string) (bool, error) {
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
