package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type versionOptions struct{ json bool }

func versionCommand(a *app) *cobra.Command {
	return command(a, &cobra.Command{
		Use:     "version",
		Short:   "Print the version of snapcopy",
		Example: "  snapcopy version",
	}, new(versionOptions), mayBeDone)
}

func (o *versionOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print a JSON object")
}

func (o *versionOptions) Run(_ context.Context, a *app, _ []string) error {
	v := thisVersion()
	if o.json {
		return a.printJSON("program", v)
	}
	return a.printf("%s\n", v)
}

func (v versionInfo) String() string {
	text := "snapcopy " + v.Version
	if v.Revision != "" {
		text += " (" + v.Revision + ")"
	}
	return text + ", " + v.Go + ", " + v.Platform
}

// thisVersion reads the version that the Go tool has recorded in the program.
func thisVersion() versionInfo {
	v := versionInfo{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if v.Revision != "" {
		v.Revision += modified
	}
	return v
}
