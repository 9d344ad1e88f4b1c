package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "snapcopy",
		Short: "Versioned snapshots of a folder, as plain folders",
		Long: `snapcopy keeps versioned snapshots of a folder. Each snapshot is a complete, plain folder; files that did not
change since the previous snapshot are shared with it and cost no space. Catalogs beside the snapshots prove
that every byte is still as it was read.

SNAPSHOT is a name or the beginning of one, "latest", "latest~2" (two before it), a date or a time
("2026-11-20", "2026-11-20 18:00": the last snapshot at or before it) or an age ("3d", "12h").

@JOB in the place of ARCHIVE stands for the archive of a job ("snapcopy config --help").`,
		Example: `  snapcopy snapshot ~/Documents /backup/documents
  snapcopy list /backup/documents
  snapcopy ls /backup/documents@latest letters
  snapcopy restore /backup/documents@3d letters --to ~/restored`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE:              unknownCommand,
		Annotations: map[string]string{"status": statusHelp(mayBeDone, mayFail, mayLeaveSome, mayFindDamage, mayBeLocked,
			mayLookWrong, mayLackSpace, mayBeTooOld)},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		a.json = wantsJSON(c)
		return unknownFlag(c, err)
	})
	root.Version = thisVersion().String()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpCommand(helpCommand())
	root.SetUsageTemplate(usageTemplate)
	cobra.EnableCommandSorting = false // the usual ones first
	root.SetOut(a.term)
	root.AddCommand(
		snapshotCommand(a), runCommand(a), listCommand(a), statusCommand(a), lsCommand(a), catCommand(a), versionsCommand(a), findCommand(a), diffCommand(a),
		explainCommand(a), restoreCommand(a), instantCommand(a), settleCommand(a), tarCommand(a), statsCommand(a), verifyCommand(a), repairCommand(a), pruneCommand(a), removeCommand(a),
		pinCommand(a), unpinCommand(a), acknowledgeCommand(a), forgetPathCommand(a), catalogCommand(a), indexCommand(a),
		configCommand(a), completionCommand(a, root), versionCommand(a),
	)
	return root
}

// usageTemplate follows the description of a command in its help. It ends with the exit statuses.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{with .Annotations.use}}{{.}}
  {{end}}{{.CommandPath}} COMMAND ...{{else}}{{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}

Commands:
{{- range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{- end}}
{{- if .HasExample}}

Examples:
{{.Example}}
{{- end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{- end}}
{{- with .Annotations.status}}

Exit status:
{{.}}
{{- end}}
{{- if .HasAvailableSubCommands}}

"{{.CommandPath}} COMMAND --help" explains a command.
{{- end}}
`

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Explain a command",
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return commandsBelow(c.Root(), args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil {
				return &usageError{command: c.Root().CommandPath(), err: err}
			}
			if len(rest) > 0 {
				return noCommand(of, rest[0])
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// commandsBelow completes the name of a command.
func commandsBelow(root *cobra.Command, args []string) (names []cobra.Completion) {
	c, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	return names
}

// unknownCommand runs in place of a command with subcommands that is given none of them.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		c.SetOut(os.Stderr)
		return errors.Join(c.Help(), told{statusUsage})
	}
	return noCommand(c, args[0])
}

// verb is one command: its flags and its work.
type verb interface {
	AddFlags(*pflag.FlagSet)
	Run(ctx context.Context, a *app, args []string) error
}

// onlyPrint names the commands whose work is their output: they end when nobody reads it any more, as other programs
// do.
var onlyPrint = []string{"list", "ls", "cat", "versions", "find", "diff", "explain", "stats", "status", "catalog", "completion", "version", "check", "show", "example"}

// command completes c, which has use and help texts, with the work of v. c.Use names the arguments; statuses are the
// exit statuses besides wrong usage and interruption.
func command(a *app, c *cobra.Command, v verb, statuses ...status) *cobra.Command {
	c.Annotations = map[string]string{"status": statusHelp(statuses...)}
	c.Args = func(_ *cobra.Command, args []string) error {
		a.json = wantsJSON(c)
		meant, err := a.withJobs(c, args)
		if err != nil {
			return err
		}
		if err := a.checkForm(c, meant); err != nil {
			return err
		}
		return checkArgs(c, meant)
	}
	var waiting lockWait
	c.RunE = func(_ *cobra.Command, args []string) error {
		args, err := a.withJobs(c, args)
		if err != nil {
			return err
		}
		a.term.subject = subjectOf(c, args)
		waiting.begin(c, a)
		if !slices.Contains(onlyPrint, c.Name()) {
			a.term.outliveReader()
		}
		err = misnamed(args, a.placed(args, sayInterrupted(c.Context(), v.Run(c.Context(), a, args))))
		err = a.misplacedPath(c, args, err)
		a.tellMended()
		var usage *usageError
		if errors.As(err, &usage) && usage.command == "" {
			usage.command = c.CommandPath()
		}
		return err
	}
	c.ValidArgsFunction = completeArgs(a, c)
	v.AddFlags(c.Flags())
	if slices.Contains(statuses, mayBeLocked) {
		waiting.addTo(c.Flags())
	}
	return c
}

// wantsJSON reports whether --json was given.
func wantsJSON(c *cobra.Command) bool { return isGiven(c, "json") }

// isGiven reports whether a command has a flag of that name without a value, and it is on.
func isGiven(c *cobra.Command, flag string) bool {
	f := c.Flags().Lookup(flag)
	return f != nil && f.Value.String() == "true"
}

// argWords returns the arguments that c.Use names: NAME is needed, [NAME] can be left out, [NAME...] can be given any
// number of times.
func argWords(c *cobra.Command) []string {
	words := strings.Fields(c.Use)[1:]
	for i, w := range words {
		if strings.HasPrefix(w, "-") {
			return words[:i]
		}
	}
	return words
}

// checkArgs compares the number of arguments with c.Use.
func checkArgs(c *cobra.Command, args []string) error {
	var needed []string
	words := argWords(c)
	most := len(words)
	for _, w := range words {
		if strings.HasSuffix(w, "...]") {
			most = len(args)
		} else if !strings.HasPrefix(w, "[") {
			needed = append(needed, w)
		}
	}
	switch {
	case len(args) < len(needed):
		missing := needed[len(args):]
		verb := "is"
		if len(missing) > 1 {
			verb = "are"
		}
		return &usageError{command: c.CommandPath(), err: fmt.Errorf("%s %s missing", strings.Join(missing, " and "), verb)}
	case slices.Contains(args, "") && !strings.HasPrefix(c.Use, "ls"):
		return &usageError{command: c.CommandPath(), err: errors.New("an argument is empty; is a variable in the script unset?")}
	case emptyFlag(c) != "":
		return &usageError{command: c.CommandPath(), err: fmt.Errorf("--%s is empty; is a variable in the script unset?", emptyFlag(c))}
	case len(args) > most:
		return oneTooMany(c, args, most)
	}
	return nil
}

// emptyFlag returns a flag that was given with an empty value. To ignore such a flag would restore another snapshot
// than was meant, or keep no copy of replaced files. A label may be empty.
func emptyFlag(c *cobra.Command) (found string) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && f.Name != "label" && found == "" {
			found = f.Name
		}
	})
	return found
}
