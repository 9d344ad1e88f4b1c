package index

import (
	"slices"
	"strings"
)

// Join returns the path of a name in a directory; "" is the root.
func Join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// FolderOf returns the path of the directory that contains path; "" is the root, which contains itself.
func FolderOf(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

// CleanPath drops empty elements and ".", so that "/a//b/" becomes "a/b". Elements ".." stay, and no entry has that
// name.
func CleanPath(path string) string {
	parts := strings.Split(path, "/")
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" || s == "." })
	return strings.Join(parts, "/")
}
