package main

import (
	"snapcopy/index"
	"snapcopy/internal/outcome"
	"snapcopy/snapshot"
)

type itemObject struct {
	Action snapshot.Action `json:"action"`
	Path   string          `json:"path"`
	Type   string          `json:"file_type,omitempty"`
	Size   *uint64         `json:"size,omitempty"`
	Was    string          `json:"was,omitempty"`
	Rule   string          `json:"rule,omitempty"`
	AsOf   string          `json:"kept_as_of,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func itemJSON(i *snapshot.Item) itemObject {
	v := itemObject{Action: i.Action, Path: i.Path, Type: typeNames[i.Type],
		Was: i.Was, Rule: i.Rule, AsOf: i.AsOf}
	if i.Type == index.File {
		v.Size = &i.Size
	}
	if i.Err != nil {
		v.Error = i.Err.Error()
	}
	return v
}

type restoredObject struct {
	Action outcome.Action `json:"action"`
	Path   string         `json:"path"`
	Type   string         `json:"file_type"`
	AsOf   string         `json:"kept_as_of,omitempty"`
	Error  string         `json:"error,omitempty"`
}

func restoredItem(i *outcome.Item) restoredObject {
	v := restoredObject{i.Action, i.Path, typeNames[i.Type], i.AsOf, ""}
	if i.Err != nil {
		v.Error = i.Err.Error()
	}
	return v
}
