package main

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Guards: whoever types the words of another program is told the right ones, and nothing that is wrong.
func TestPeersWords(t *testing.T) {
	for _, c := range []struct{ typed, hint string }{
		{"backup /home /backup", "`snapcopy snapshot SOURCE ARCHIVE`"},
		{"backup --tag x /home", "`snapcopy snapshot SOURCE ARCHIVE`"},
		{"-r /srv/repo backup /home", "the archive is an argument"},
		{"-r /srv/repo list", "the archive is an argument"},
		{"help backup", "`snapcopy snapshot SOURCE ARCHIVE`"},
		{"Create", "`snapcopy snapshot SOURCE ARCHIVE`"},
		{"init", "makes the archive if there is none"},
		{"forget", "`snapcopy prune ARCHIVE --keep-daily 7 --keep-weekly 5`"},
		{"check", "`snapcopy verify ARCHIVE[@SNAPSHOT]`"},
		{"dump", "`snapcopy cat "},
		{"mount", "every snapshot is an ordinary folder"},
		{"umount", "`snapcopy settle MOUNTPOINT`"},
		{"history", "`snapcopy versions ARCHIVE PATH`"},
		{"log", "`snapcopy versions ARCHIVE PATH`"},
		{"unlock", "nothing to unlock"},
		{"copy", "there is no command to copy an archive"},
		{"state", "`snapcopy status ARCHIVE`"},
		{"jobs", "snapcopy run JOB"},
		{"du", "`snapcopy stats ARCHIVE`"},
		{"search", "`snapcopy find ARCHIVE PATTERN`"},
		{"extract", "`snapcopy restore ARCHIVE"},
		{"delete", "`snapcopy remove ARCHIVE SNAPSHOT`"},
		{"tag", "`snapcopy pin ARCHIVE@SNAPSHOT --label TEXT`"},
		{"snapshots", "`snapcopy list ARCHIVE`"},
		{"compact", "nothing to compact"},
		{"gc", "nothing to compact"},
		{"cleanup", "nothing to compact"},
		{"info", "`snapcopy list ARCHIVE`"},
		{"key", "does not encrypt"},
		{"sync", "`snapcopy snapshot SOURCE ARCHIVE`"},
		{"rollback", "--in-place --overwrite=changed --delete`"},
		{"remove-older-than", "`snapcopy prune ARCHIVE"},
		{"self-update", "does not update itself"},
		{"shnapshot", "`snapcopy --help` explains"}, // with the command in the text
		{"restore a --target x", "`--to DIR`"},
		{"restore a -t x", "`--to DIR`"},
		{"restore a --include x", "name what to restore after the archive"},
		{"restore a -e x", "`--exclude PATTERN`"},
		{"restore a --xf x", "`--iexclude PATTERN`"},
		{"tar a --iexclude-file x", "`--iexclude-from FILE`"},
		{"restore a --iinclude x", "name what to restore after the archive"},
		{"restore a --tag x", "`snapcopy pin "},
		{"restore a --host x", "keeps the snapshots of each source apart"},
		{"snapshot a b --exclude-file x", "`--exclude-from FILE`"},
		{"snapshot a b --files-from x", "a snapshot is of a whole folder"},
		{"snapshot a b --tag x", "`snapcopy pin ARCHIVE --label TEXT`"},
		{"snapshot a b --retry-lock 60", "`--lock-wait 10m`"},
		{"snapshot --repo x a", "the archive is an argument"},
		{"snapshot -r x a", "it is not needed"},
		{"snapshot -aHAX a b", "it is not needed"},
		{"snapshot --delete a b", "it is not needed"},
		{"snapshot --link-dest x a b", "shares unchanged files"},
		{"snapshot a b /MIR", "leave it out"},
		{"snapshot --progress a b", "`--progress=10s`"},
		{"snapshot a b --progress", "`--progress=10s`"},
		{"snapshot a b /e /XF:x", "leave it out"},
		{"snapshot a b /R:3", "--retries N"},
		{"snapshot create nowhere b", "`snapcopy snapshot SOURCE ARCHIVE`"},
		{"prune a --keep-tag x", "`snapcopy pin ARCHIVE@SNAPSHOT`"},
		{"verify --read-data a", "contents are read anyway"},
		{"list --host x a", "shows the sources"},
		{"snapshot web:/srv b", "has to be a folder of this machine"},
		{"snapshot a me@web:backup", "has to be a folder of this machine"},
		{"restore a --to web:/srv", "has to be a folder of this machine"},
		{"list nowhere::monday", "write nowhere@monday; "},
		{"ls web:/srv/backup", "has to be a folder of this machine"},
	} {
		t.Run(c.typed, func(t *testing.T) {
			t.Chdir(t.TempDir())
			status, told := typed(t, strings.Fields(c.typed)...)
			if status != statusUsage || strings.Count(told, "Hint: ") != 1 || !strings.Contains(told, c.hint) {
				t.Errorf("exit status %d:\n%s", status, told)
			}
		})
	}
}

// typed runs a command line and returns its exit status and its text on stderr.
func typed(t *testing.T, args ...string) (status int, told string) {
	t.Helper()
	a, _, errOut := testApp(t)
	root := newRoot(a)
	root.SetArgs(args)
	return finish(a, root.ExecuteContext(context.Background())), errOut.String()
}

// Guards: a short word that resembles a command is not taken for it.
func TestNoCommandIsGuessed(t *testing.T) {
	for word, want := range map[string]string{
		"tug": "", "rum": "run", "cut": "cat", "snapshto": "snapshot", "restor": "restore", "verfy": "verify", "lst": "list or ls", "xyzzy": "",
	} {
		_, told := typed(t, word)
		_, got, _ := strings.Cut(told, "; is it ")
		got, _, _ = strings.Cut(got, "?")
		if got != want {
			t.Errorf("%s: is it %q? want %q", word, got, want)
		}
	}
}

// Guards: nothing that exists is answered as if it did not, and whatever an answer tells to type exists.
func TestPeersAnswersAreTrue(t *testing.T) {
	a, _, _ := testApp(t)
	root := newRoot(a)
	var hints []string
	seen := make(map[string]bool)
	for _, answer := range commandAnswers {
		hints = append(hints, answer.hint)
		for word := range strings.FieldsSeq(answer.words) {
			if commandOf(root, word) != nil {
				t.Errorf("%s is a command", word)
			}
			if seen[word] {
				t.Errorf("%s is answered twice", word)
			}
			seen[word] = true
		}
	}
	for _, answer := range slashAnswers {
		hints = append(hints, answer.hint)
	}
	for _, answer := range flagAnswers {
		hints = append(hints, answer.hint)
		for command := range strings.FieldsSeq(answer.commands) {
			c := commandOf(root, command)
			if c == nil {
				t.Errorf("%s is no command", command)
				continue
			}
			for flag := range strings.FieldsSeq(answer.words) {
				if hasFlag(c, flag) {
					t.Errorf("%s has the flag %s", command, flag)
				}
			}
		}
	}
	quoted := regexp.MustCompile("`([^`]*)`")
	for _, hint := range hints {
		if strings.HasSuffix(hint, ".") {
			t.Errorf("%s: finish adds the full stop", hint)
		}
		for _, m := range quoted.FindAllStringSubmatch(hint, -1) {
			checkTyped(t, root, m[1])
		}
	}
}

// checkTyped makes sure of what a hint tells to type that its command and its flags exist. Without a command, one has to have
// the flag.
func checkTyped(t *testing.T, root *cobra.Command, text string) {
	words := strings.Fields(text)
	candidates := root.Commands()
	if words[0] == "snapcopy" {
		c := commandOf(root, words[1])
		if c == nil {
			if words[1] != "--help" && words[1] != "COMMAND" && words[1] != "..." {
				t.Errorf("%s: no such command", text)
			}
			return
		}
		candidates = []*cobra.Command{c}
	} else if !strings.HasPrefix(text, "--") {
		return // another program
	}
	for _, w := range words {
		if w == "|" {
			break
		}
		flag, _, _ := strings.Cut(w, "=")
		if strings.HasPrefix(flag, "-") && !slices.ContainsFunc(candidates, func(c *cobra.Command) bool { return hasFlag(c, flag) }) {
			t.Errorf("%s: no such flag: %s", text, flag)
		}
	}
}

func commandOf(root *cobra.Command, word string) *cobra.Command {
	for _, c := range root.Commands() {
		if c.Name() == word {
			return c
		}
	}
	return nil
}

func hasFlag(c *cobra.Command, flag string) bool {
	if long, ok := strings.CutPrefix(flag, "--"); ok {
		return c.Flags().Lookup(long) != nil
	}
	return c.Flags().ShorthandLookup(strings.TrimPrefix(flag, "-")) != nil
}
