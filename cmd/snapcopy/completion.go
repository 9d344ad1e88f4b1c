package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/index"
	"snapcopy/internal/archive"
)

// shells are the shells with completions.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand(a *app, root *cobra.Command) *cobra.Command {
	c := command(a, &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes command lines in a shell",
		Long: `Print a script that makes SHELL (bash, zsh, fish or powershell) complete commands, flags, folders, and the names
of snapshots after "ARCHIVE@".

  bash        snapcopy completion bash > /etc/bash_completion.d/snapcopy
              (needs the package bash-completion)
  zsh         snapcopy completion zsh > "${fpath[1]}/_snapcopy"
  fish        snapcopy completion fish > ~/.config/fish/completions/snapcopy.fish
  powershell  snapcopy completion powershell >> $PROFILE`,
		Example: "  source <(snapcopy completion bash)",
	}, &completionOptions{root}, mayBeDone, mayFail)
	c.ValidArgs = shells
	c.ValidArgsFunction = nil
	return c
}

type completionOptions struct{ root *cobra.Command }

func (o *completionOptions) AddFlags(*pflag.FlagSet) {}

// Run prints the script.
func (o *completionOptions) Run(_ context.Context, a *app, args []string) error {
	switch args[0] {
	case "bash":
		return bashCompletion(o.root, a.term)
	case "zsh":
		return o.root.GenZshCompletion(a.term)
	case "fish":
		return o.root.GenFishCompletion(a.term, true)
	case "powershell":
		return o.root.GenPowerShellCompletionWithDesc(a.term)
	}
	return wrongUsage("there is no completion for %s; SHELL is bash, zsh, fish or powershell", name(args[0]))
}

// bashCompletion prints cobra's script with one change: bash takes an '@' for the end of a word, as it does '=' and
// ':', which the script already handles.
func bashCompletion(root *cobra.Command, w io.Writer) error {
	var script bytes.Buffer
	if err := root.GenBashCompletionV2(&script, true); err != nil {
		return err
	}
	special := []byte("__snapcopy_handle_special_char \"$cur\" =\n")
	if !bytes.Contains(script.Bytes(), []byte("-n =: ")) || !bytes.Contains(script.Bytes(), special) {
		return errors.New("the completion script for bash has an unknown form")
	}
	text := bytes.ReplaceAll(script.Bytes(), []byte("-n =: "), []byte("-n =:@ "))
	text = bytes.Replace(text, special, append(special, "    __snapcopy_handle_special_char \"$cur\" @\n"...), 1)
	_, err := w.Write(text)
	return err
}

// completeArgs completes the arguments of a command, as named in c.Use.
func completeArgs(a *app, c *cobra.Command) cobra.CompletionFunc {
	words := argWords(c)
	return func(_ *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		args, err := a.withJobs(c, args)
		if err != nil || len(words) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		at := len(args)
		if at >= len(words) {
			if !strings.HasSuffix(words[len(words)-1], "...]") {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			at = len(words) - 1
		}
		word := strings.Trim(words[at], "[].")
		if job, selector, ok := jobPlace(toComplete); ok && strings.HasPrefix(word, "ARCHIVE") && selector == "" {
			return completeJobPlace(c, "@"+job), cobra.ShellCompDirectiveNoFileComp
		}
		switch word {
		case "A", "B", "SNAPSHOT":
			return a.completeSnapshot(args[0], "", toComplete)
		case "ARCHIVE[@SNAPSHOT":
			return a.completePlace(toComplete)
		case "PATH":
			return a.completePath(args[0], toComplete)
		case "JOB":
			return completeJob(c, toComplete)
		case "PATTERN":
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
}

// completePlace completes ARCHIVE[@SNAPSHOT].
func (a *app) completePlace(toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if job, selector, ok := jobPlace(toComplete); ok {
		where, err := a.archiveOf(job)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completeSnapshot(where, "@"+job+"@", strings.TrimPrefix(selector, "@"))
	}
	i := strings.LastIndexByte(toComplete, '@')
	if i <= 0 || !isArchive(toComplete[:i]) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return a.completeSnapshot(toComplete[:i], toComplete[:i+1], toComplete[i+1:])
}

// completeSnapshot completes the name of a snapshot, the newest first; before is the text in front of the name.
func (a *app) completeSnapshot(where, before, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	archive, err := archive.Open(where)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := archive.Snapshots()
	if errors.Join(err, archive.Close()) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	add := func(n, description string) {
		if strings.HasPrefix(n, begun) {
			found = append(found, cobra.CompletionWithDesc(before+n, description))
		}
	}
	if len(list) > 0 {
		add("latest", a.local(list[len(list)-1].Time))
	}
	for i := len(list) - 1; i >= 0; i-- {
		add(list[i].Name, a.local(list[i].Time))
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completePath completes a path in a snapshot. Names that cannot be typed are left out.
func (a *app) completePath(place, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	found, err := a.namesIn(place, begun)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	for _, f := range found {
		if strings.HasSuffix(f, "/") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
	}
	return found, directive
}

func (a *app) namesIn(place, begun string) (found []cobra.Completion, err error) {
	s, err := a.open(place)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	above, start := "", begun
	e := s.Catalog.Root()
	if i := strings.LastIndexByte(begun, '/'); i >= 0 {
		above, start = begun[:i+1], begun[i+1:]
		if _, e, err = s.find(above); err != nil {
			return nil, err
		}
	}
	if e.Type != index.Dir {
		return nil, nil
	}
	r, err := s.Catalog.ReadDir(e.Child)
	if err != nil {
		return nil, err
	}
	for _, e := range r.Entries() {
		if !strings.HasPrefix(e.Name, start) || name(e.Name) != e.Name {
			continue
		}
		n := above + e.Name
		if e.Type == index.Dir {
			n += "/"
		}
		found = append(found, n)
	}
	return found, nil
}
