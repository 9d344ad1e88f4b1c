package index

import (
	"slices"
	"strings"
)

// Join gives the path of a name in a folder; the folder "" is the top.
func Join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// FolderOf gives the path of the folder that holds a path; "" is the top, and its own folder.
func FolderOf(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

// CleanPath drops empty elements and ".", so that "/a//b/" is "a/b". Elements ".." stay and are found nowhere.
func CleanPath(path string) string {
	parts := strings.Split(path, "/")
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" || s == "." })
	return strings.Join(parts, "/")
}
