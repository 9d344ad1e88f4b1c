package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"snapcopy/internal/archive"
)

// The commands and flags of rsync, rsnapshot, robocopy, Back In Time, rdiff-backup, duplicity, borg, restic and kopia
// are answered with the words to type here, or with the reason why there are none.

// An answer says how to express in snapcopy a word of another program.
type answer struct {
	words string // separated by spaces
	hint  string // completes "Hint: …."
}

// answerTo returns the hint for a word, "" if there is none.
func answerTo(word string, list []answer) string {
	for _, a := range list {
		if slices.Contains(strings.Fields(a.words), word) {
			return a.hint
		}
	}
	return ""
}

const (
	hintSnapshot = "`snapcopy snapshot SOURCE ARCHIVE` takes a snapshot, and makes the archive if there is none"
	hintRestore  = "`snapcopy restore ARCHIVE[@SNAPSHOT] [PATH...] --to DIR` brings files back"
	hintRepo     = "the archive is an argument, as in `snapcopy list ARCHIVE` or `snapcopy snapshot SOURCE ARCHIVE`"
	hintHosts    = "an archive keeps the snapshots of each source apart by itself; `snapcopy list ARCHIVE` shows the sources"
	hintNoCrypt  = "snapcopy does not encrypt: put the archive on an encrypted disk (LUKS, for one)"
	hintNoRemote = "the path has to be a folder of this machine: mount that of the other one (sshfs, NFS, SMB), or run snapcopy there; " +
		"a local folder of that name is written ./NAME"
	hintJobs     = "`snapcopy run JOB` runs a job of the job file, and `snapcopy config example` prints such a file"
	hintSchedule = "have cron or a systemd timer call `snapcopy run --all --quiet`, or `snapcopy snapshot SOURCE ARCHIVE`"
)

// commandAnswers are for the commands of other programs. None is a command of snapcopy.
var commandAnswers = []answer{
	{"backup backup-job create commit full incremental incr inc save store mirror startbackup hourly daily weekly monthly " +
		"yearly alpha beta gamma rsync robocopy archive add push start snap", hintSnapshot},
	{"init repo-create repo repository connect mkarchive", hintSnapshot},
	{"sync", "`snapcopy snapshot SOURCE ARCHIVE` takes a snapshot of a folder; `snapcopy restore ARCHIVE --in-place --overwrite=changed " +
		"--delete` makes the folder equal to it"},
	{"extract recover get fetch export checkout unpack untar", hintRestore},
	{"rollback revert undo undochange undelete reset regress", "`snapcopy restore ARCHIVE@SNAPSHOT --in-place --overwrite=changed --delete` " +
		"takes a folder back to a snapshot; --dry-run lists the changes first"},
	{"export-tar dump-tar", "`snapcopy tar ARCHIVE[@SNAPSHOT] [PATH...]` writes a tar archive to stdout"},
	{"dump show print type", "`snapcopy cat ARCHIVE[@SNAPSHOT] PATH` prints a file, `snapcopy tar ARCHIVE[@SNAPSHOT] [PATH...]` writes a folder " +
		"to stdout"},
	{"mount browse", "every snapshot is an ordinary folder: look into ARCHIVE/latest. `snapcopy instant ARCHIVE[@SNAPSHOT] MOUNTPOINT` makes a " +
		"writable one"},
	{"umount unmount", "`umount MOUNTPOINT` ends an instant restore for now and keeps its changes; `snapcopy settle MOUNTPOINT` turns it " +
		"into an ordinary folder"},
	{"snapshots snapshots-list snapshots-list-path snapshots-path listbackups collection-status increments repo-list repo-info info manifests " +
		"last-snapshot last-snapshot-path show-snapshots sources hosts", "`snapcopy list ARCHIVE` lists the snapshots"},
	{"list-current-files list-files tree dir contents", "`snapcopy ls -R ARCHIVE[@SNAPSHOT]` lists the files of a snapshot"},
	{"history log logs changelog blame", "`snapcopy versions ARCHIVE PATH` lists the versions of a file, `snapcopy list ARCHIVE` the snapshots"},
	{"search grep locate", "`snapcopy find ARCHIVE PATTERN` finds names in all snapshots; contents are searched with grep, as in " +
		"`grep -r TEXT ARCHIVE/latest`"},
	{"compare changes status-diff", "`snapcopy diff ARCHIVE A B` compares two snapshots, `snapcopy diff ARCHIVE@SNAPSHOT FOLDER` one with a folder"},
	{"state", "`snapcopy status ARCHIVE` shows how the archive is, `snapcopy list ARCHIVE` the state of each snapshot"},
	{"du size usage df space estimate calculate", "`snapcopy stats ARCHIVE` shows how much space the snapshots take; `snapcopy snapshot --dry-run SOURCE " +
		"ARCHIVE` how much a new one would take"},
	{"check fsck validate scrub test", "`snapcopy verify ARCHIVE[@SNAPSHOT]` reads everything and compares it with the catalogs"},
	{"fix mend heal rebuild-index reindex recreate rewrite", "`snapcopy repair ARCHIVE` mends damage from sound copies; `snapcopy index " +
		"rebuild ARCHIVE` makes the index anew; `snapcopy forget-path ARCHIVE PATH` takes a path out of all snapshots"},
	{"forget expire thin thinlocalsnapshots smart-remove remove-older-than remove-all-but-n-full remove-all-inc-of-but-n-full retention policy rotate",
		"`snapcopy prune ARCHIVE --keep-daily 7 --keep-weekly 5` removes the snapshots that no rule keeps, `snapcopy remove ARCHIVE SNAPSHOT` one snapshot"},
	{"delete del rm purge destroy drop erase repo-delete", "`snapcopy remove ARCHIVE SNAPSHOT` removes a snapshot, `snapcopy forget-path ARCHIVE PATH` " +
		"takes a path out of all"},
	{"compact gc cleanup clean optimize vacuum maintenance cache", "there is nothing to compact: `snapcopy prune` and `snapcopy remove` give the space " +
		"back themselves, and the leftovers of an interrupted run go with the next run"},
	{"unlock break-lock with-lock lock", "a lock ends with the process that holds it, so there is nothing to unlock: exit status 5 means that such a process is running"},
	{"tag annotate describe protect keep hold", "`snapcopy pin ARCHIVE@SNAPSHOT --label TEXT` keeps a snapshot and says why"},
	{"rename mv", "a snapshot is named after its time; `snapcopy pin ARCHIVE@SNAPSHOT --label TEXT` gives it a text"},
	{"job jobs task tasks", hintJobs},
	{"serve agent daemon schedule cron timer watch", hintSchedule},
	{"copy cp clone replicate transfer send receive migrate import import-tar", "there is no command to copy an archive: `rsync -aHAX --numeric-ids ARCHIVE/ OTHER/` " +
		"or `cp -a` keeps the hard links, and the copy is an archive"},
	{"key passwd password pw-cache change-passphrase encrypt decrypt decode", hintNoCrypt},
	{"configtest check-config validate-config", "`snapcopy config check` checks the job file"},
	{"configure set setup profile profiles env", "jobs are in a file, and `snapcopy config example` prints one to begin with; all else is on the command line"},
	{"server web webdav gui ui", "there is no server: every snapshot is an ordinary folder, which any file server can offer"},
	{"self-update upgrade update", "snapcopy does not update itself: install the newest version over this one; it reads the archives of older ones"},
	{"benchmark bench features options man doc docs usage-help", "`snapcopy --help` lists the commands, `snapcopy COMMAND --help` explains one"},
}

// A flagAnswer is an answer for some commands.
type flagAnswer struct {
	commands string // commands of snapcopy; "": all. "snapcopy" is the program without a command
	answer
}

// flagAnswers are for the flags of other programs, and for former flags of snapcopy. The first match counts.
var flagAnswers = []flagAnswer{
	{"restore", answer{"--instant", "`snapcopy instant ARCHIVE[@SNAPSHOT] MOUNTPOINT` makes a snapshot usable at once"}},
	{"restore", answer{"--settle", "`snapcopy settle MOUNTPOINT` turns an instant restore into an ordinary folder"}},
	{"restore", answer{"--tar --zstd", "`snapcopy tar ARCHIVE[@SNAPSHOT] [PATH...]` writes a tar archive to stdout; --zstd compresses it"}},
	{"restore", answer{"--target -t --dest --destination --output -o --restore-to -C --directory", "`--to DIR` says where to restore to"}},
	{"restore", answer{"--include -i --iinclude --path --paths --file --file-to-restore --include-file --files-from --pattern",
		"name what to restore after the archive, patterns too: `snapcopy restore ARCHIVE '*.txt' letters --to DIR`"}},
	{"restore", answer{"--force -f --update -u --overwrite-files --existing", "`--overwrite=changed` replaces entries that exist and differ"}},
	{"restore", answer{"--time --restore-time --as-of --before --date", "`--at TIME` restores the last snapshot at or before a time"}},
	{"tar", answer{"--include -i --path --paths --files-from", "name what to write after the archive, patterns too: `snapcopy tar ARCHIVE '*.txt' letters`"}},
	{"tar", answer{"--gzip -z --compress --bzip2 --xz", "`--zstd` compresses; others do it behind a pipe: `snapcopy tar ARCHIVE | gzip > FILE`"}},
	{"tar", answer{"--to --target -f --file --output -o", "the tar archive goes to stdout: `snapcopy tar ARCHIVE > FILE`"}},
	{"snapshot restore tar diff", answer{"-e --exclude-glob --xf --xd --XF --XD", "`--exclude PATTERN` leaves out matching entries; it tells " +
		"small letters from capitals, which `--iexclude PATTERN` does not"}},
	{"snapshot restore tar diff", answer{"--exclude-file --excludes --filter -f", "`--exclude-from FILE` reads patterns, one a line, as in .gitignore"}},
	{"snapshot restore tar diff", answer{"--iexclude-file", "`--iexclude-from FILE` reads patterns, one a line, as in .gitignore, " +
		"and does not tell small letters from capitals"}},
	{"snapshot", answer{"--include --iinclude -i", "everything is included: leave the rest out, and take back by '!', as in " +
		"`--exclude '/*' --exclude '!/letters'`"}},
	{"snapshot", answer{"--files-from --files-from-raw --files-from-verbatim", "a snapshot is of a whole folder: leave the rest out by `--exclude PATTERN`"}},
	{"snapshot", answer{"--max-size --exclude-larger --max", "`--exclude-larger-than SIZE` leaves out large files"}},
	{"snapshot", answer{"--one-fs --cross-mount --no-cross -X", "`--one-file-system` (-x) stays on the file system of SOURCE"}},
	{"snapshot", answer{"--link-dest --copy-dest --compare-dest --parent --base --incremental --full --copy --hard-links --no-incremental",
		"there is nothing to choose: each snapshot is complete, and shares unchanged files with those before"}},
	{"snapshot", answer{"--delete --delete-after --delete-before --delete-during --delete-excluded --del --purge --mirror",
		"it is not needed: files that are gone from SOURCE are not in the new snapshot, and stay in earlier ones"}},
	{"snapshot", answer{"-a --archive -r --recursive -A --acls --xattrs -H --perms -p --owner --times --links -l --sparse -S --numeric-ids --group " +
		"-o -g -D -t --devices --specials", "it is not needed: a snapshot has everything below SOURCE, with all its metadata"}},
	{"snapshot", answer{"--checksum -c --ignore-times -I", "changed files are read and hashed anyway; `--rehash 100%` reads the unchanged ones, too, " +
		"and `snapcopy verify ARCHIVE` reads all stored contents"}},
	{"snapshot", answer{"--ignore-existing --update -u --size-only --modify-window --inplace --partial -P --append --whole-file -W --backup -b --backup-dir " +
		"--suffix", "it is not needed: no snapshot is ever written over"}},
	{"snapshot", answer{"--compress -z --compression -C --compress-level --zip", "snapcopy does not compress, so that a snapshot is an ordinary folder: " +
		"put the archive on a file system that does (btrfs, ZFS)"}},
	{"snapshot", answer{"--tag --tags --comment --description --label", "`snapcopy pin ARCHIVE --label TEXT` after the run keeps the snapshot and says why"}},
	{"snapshot", answer{"--time --timestamp", "a snapshot is named after the time at which its run began"}},
	{"snapshot restore", answer{"--bwlimit --limit-upload --limit-download --upload-limit-mb", "there is no limit to set; `ionice -c3 snapcopy ...` " +
		"lets others read and write first"}},
	{"snapshot restore", answer{"--rsh --ssh --remote-path", hintNoRemote}},
	{"snapshot restore prune remove verify", answer{"--stats --info -h --human-readable", "a terminal shows the progress, and the summary " +
		"comes at the end; --json gives it to programs"}},
	{"prune", answer{"--keep-tag --keep-tags", "`snapcopy pin ARCHIVE@SNAPSHOT` keeps a snapshot whatever the rules say"}},
	{"prune", answer{"--keep-minutely --keep-secondly --keep-13weekly --keep-3monthly --keep-latest --keep-annual --keep-all",
		"the rules are --keep-last, -hourly, -daily, -weekly, -monthly, -yearly, and --keep-within with each of these"}},
	{"prune", answer{"--older-than --keep-younger --remove-older-than", "`--keep-within DURATION` keeps younger snapshots: `snapcopy prune ARCHIVE --keep-within 90d`"}},
	{"prune", answer{"--prune --gc --compact --list --cleanup-cache --max-unused --repack-small --force", "it is not needed: removed snapshots give their " +
		"space back in the same run; --dry-run shows how much that is"}},
	{"remove", answer{"--force -f --cache-only --prune --stats", "`--yes` removes without a question, `--allow-last` even the last snapshot"}},
	{"verify", answer{"--read-data --verify-data --read-data-subset --full --deep --checksum --verify-files-percent", "contents are read anyway, unless " +
		"`--metadata` is given"}},
	{"verify", answer{"--repair --fix", "verify changes nothing; it says of each damage what to do about it"}},
	{"list", answer{"--last --latest --first --sort-by --short --format --compact", "the newest snapshot is the last line: `snapcopy list ARCHIVE | tail -n 5`"}},
	{"ls", answer{"--long-listing --human-readable", "`snapcopy ls -l ARCHIVE[@SNAPSHOT]` shows mode, owner, size and time"}},
	{"find", answer{"--iname --iglob --ignorecase", "`--ignore-case` (-i) finds names whatever the case of their letters"}},
	{"find", answer{"--name --path --pattern", "the pattern is an argument: `snapcopy find ARCHIVE '*.txt'`"}},
	{"find", answer{"--newer --newermt --oldest --newest --mtime", "`--modified-after TIME` and `--modified-before TIME` take a date, a time or an age"}},
	{"", answer{"-r --repo --repository --repo-file --repository-file --archive --dest --config -C --config-file", hintRepo}},
	{"", answer{"--tag --tags --group-by-tag", "snapshots have no tags; `snapcopy pin ARCHIVE@SNAPSHOT --label TEXT` gives one a text and keeps it"}},
	{"", answer{"--host --hostname --host-name --source", hintHosts}},
	{"", answer{"--snapshot --snapshot-id --id", "a snapshot is named after the archive: ARCHIVE@SNAPSHOT, as in `snapcopy ls ARCHIVE@latest`"}},
	{"", answer{"--lock-wait --retry-lock --no-lock --wait --bypass-lock", "`--lock-wait 10m` waits for another process that writes to the " +
		"archive, in the commands that write; reading needs no lock"}},
	{"", answer{"--password-file --password-command --password --key-hint --encryption --encryption-mode --insecure-no-password", hintNoCrypt}},
	{"", answer{"--log-file --log-dir --logfile --log", "`snapcopy snapshot --log FILE` writes a log; elsewhere redirect stderr: `2>> FILE`"}},
	{"", answer{"--cache-dir --no-cache --cleanup-cache --pack-size --compression --tls-client-cert --cacert --limit-upload --limit-download --remote-path",
		"snapcopy has no cache, no packs and no network: leave it out"}},
	{"", answer{"--dryrun --simulate --just-print --list-only", "`--dry-run` (-n) of snapshot, restore, prune, remove and forget-path says what would be done"}},
	{"", answer{"--silent --no-progress --quiet", "`--quiet` (-q) prints errors and warnings only, in the commands that have something else to say"}},
	{"", answer{"--verbose -v --debug --info --progress --stats", "this command has no more to say; --verbose is a flag of snapshot, restore, instant, settle and tar"}},
	{"", answer{"--output --format --json-lines --porcelain", "`--json` prints one JSON object a line"}},
	{"", answer{"--jobs --parallel --transfers --workers --thread --mt", "`--threads N` (-j) says how many threads work"}},
	{"", answer{"--force --yes -y -f", "no question is asked here; remove and forget-path take --yes"}},
}

// slashAnswers are for the flags of robocopy, which are arguments to us. They are looked up in capitals, up to a colon.
var slashAnswers = []answer{
	{"/MIR /E /S /PURGE /COPYALL /COPY /DCOPY /SEC /B /ZB /Z /J /SL", "leave it out: each snapshot is a complete mirror of SOURCE, with all metadata"},
	{"/XF /XD /XA", "`--iexclude PATTERN` leaves out matching entries whatever their case, as in .gitignore: '*.tmp' for files, 'Cache/' for folders"},
	{"/MAX", "`--exclude-larger-than SIZE` leaves out large files"},
	{"/XJ /XJD /XJF", "leave it out: links are stored as links and not followed"},
	{"/L", "`--dry-run` says what would be done"},
	{"/R", "`--retries N` says how often what could not be read is tried again (3 without it)"},
	{"/W", "`--retry-wait 30s` says how long to wait before trying again (5s without it)"},
	{"/MT", "`--threads N` says how many threads work"},
	{"/LOG /LOG+ /TEE /UNILOG", "`--log FILE` appends all output to a file"},
	{"/NP /NFL /NDL /NJH /NJS /V", "`--quiet` prints errors and warnings only, `--verbose` a line for each entry that changed"},
}

// unknownFlag returns the error for a mistake in the flags of a command.
func unknownFlag(c *cobra.Command, err error) error {
	if args := c.Flags().Args(); !c.HasParent() && len(args) > 0 { // flags of a command that there is not
		return unknownCommand(c, args)
	}
	usage := &usageError{command: c.CommandPath(), err: err}
	if flag := flagWithoutValue(err); flag != nil && flag.Name == "progress" { // as rsync's users type it
		usage.hint = "without --progress a terminal shows the progress; `--progress=10s` prints a line each 10 seconds, anywhere"
		return usage
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage
	}
	flag := "--" + unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		flag = "-" + unknown.GetSpecifiedName()
	}
	usage.hint = flagAnswerFor(c.Name(), flag)
	return usage
}

// flagWithoutValue returns the flag that err says has no value, or took the next word for its value; nil if there is none.
func flagWithoutValue(err error) *pflag.Flag {
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		return missing.GetFlag()
	case errors.As(err, &invalid):
		return invalid.GetFlag()
	}
	return nil
}

// flagAnswerFor returns the hint for a flag that a command does not have, "" if there is none.
func flagAnswerFor(command, flag string) string {
	for i := range flagAnswers {
		a := &flagAnswers[i]
		if a.commands != "" && !slices.Contains(strings.Fields(a.commands), command) {
			continue
		}
		if hint := answerTo(flag, []answer{a.answer}); hint != "" {
			return hint
		}
	}
	return ""
}

// noCommand returns the error for a word that is no command.
func noCommand(c *cobra.Command, word string) error {
	usage := &usageError{command: c.CommandPath(), err: fmt.Errorf("there is no command %s", name(word))}
	if usage.hint = answerTo(strings.ToLower(word), commandAnswers); usage.hint != "" && !c.HasParent() {
		return usage
	}
	usage.hint = ""
	c.SuggestionsMinimumDistance = max(1, len(word)/3) // in letters: a short word that differs in two is another word
	if like := c.SuggestionsFor(word); len(like) > 0 {
		usage.err = fmt.Errorf("%w; is it %s?", usage.err, strings.Join(like, " or "))
	}
	return usage
}

// oneTooMany returns the error for an argument too many.
func oneTooMany(c *cobra.Command, args []string, most int) error {
	usage := &usageError{command: c.CommandPath(), err: fmt.Errorf("one argument too many: %s", name(args[most]))}
	flag, _, _ := strings.Cut(strings.ToUpper(args[most]), ":")
	usage.hint = answerTo(flag, slashAnswers)
	if usage.hint == "" && c.Name() == "snapshot" && !exists(args[0]) { // kopia's verbs come in pairs
		switch args[0] {
		case "create":
			usage.hint = hintSnapshot
		case "restore", "list", "verify", "diff":
			usage.hint = fmt.Sprintf("that is a command of its own here: `snapcopy %s --help`", args[0])
		}
	}
	return usage
}

// elsewhere is a folder of another machine, as rsync and ssh write it: [USER@]HOST:PATH, or a URL.
var elsewhere = regexp.MustCompile(`^(?:[a-z0-9+]+://.|[\w.-]+@[\w.-]+:.|[\w-][\w.-]+:[/~])`)

// checkLocal refuses a folder of another machine in the place of a local one: otherwise a local folder of that name
// would be made.
func checkLocal(folders ...string) error {
	for _, folder := range folders {
		if elsewhere.MatchString(folder) && !exists(folder) {
			return &usageError{err: fmt.Errorf("%s is on another machine", name(folder)), hint: hintNoRemote}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// misnamed adds an answer to the error of a command whose ARCHIVE[@SNAPSHOT] was written in the form of another
// program.
func misnamed(args []string, err error) error {
	var usage *usageError
	if err == nil || len(args) == 0 || errors.As(err, &usage) {
		return err
	}
	if !errors.Is(err, archive.ErrNoArchive) && !errors.Is(err, archive.ErrNotArchive) && !errors.Is(err, archive.ErrNoSnapshot) {
		return err
	}
	for _, arg := range args {
		if hint := rightPlace(arg); hint != "" && !exists(arg) {
			return &usageError{err: err, hint: hint}
		}
	}
	return err
}

// rightPlace returns the right form of a place that was written in the form of another program; "" if it was not.
func rightPlace(arg string) string {
	if archive, rest, ok := strings.Cut(arg, "::"); ok { // borg
		if rest == "" {
			return "write the path of the archive alone: " + shellWord(archive)
		}
		return "write " + shellWord(archive+"@"+rest) + "; `snapcopy list " + shellWord(archive) + "` shows the names"
	}
	place, path, ok := cutLast(arg, ':')
	switch at := strings.LastIndexByte(place, '@'); {
	case !ok || path == "":
		return ""
	case at > 0 && isArchive(place[:at]): // restic: SNAPSHOT:PATH
		if endsInTime.MatchString(arg) {
			return ""
		}
		return "the PATH is an argument of its own: " + shellWord(place) + " " + shellWord(path)
	case isArchive(place):
		return "a snapshot is named after an @: " + shellWord(place+"@"+path)
	case elsewhere.MatchString(arg):
		return hintNoRemote
	}
	return ""
}

// endsInTime finds a time at the end of ARCHIVE@SNAPSHOT.
var endsInTime = regexp.MustCompile(`[T @]\d\d?(:\d\d)+Z?$`)

// cutLast cuts a text at the last byte sep.
func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
