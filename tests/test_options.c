/* fs/options: what each of our names makes of a command line. */
#include <stdio.h>
#include <string.h>

#include "fs/options.h"
#include "tests/test.h"

/* The last line that was logged. */
static char logged[256];

static void keep_line(enum log_level level, const char *line)
{
	(void)level;
	(void)snprintf(logged, sizeof(logged), "%s", line);
}

/* A command line, its words set apart by one space; good until the next call. */
static enum exit_code parse(const char *line, struct options *ret)
{
	static char words[256];
	static char *argv[32];
	char *rest = words;
	int argc = 0;

	logged[0] = '\0';
	assert_in_range(snprintf(words, sizeof(words), "%s", line), 1,
			sizeof(words) - 1);
	while (rest)
		argv[argc++] = strsep(&rest, " ");
	argv[argc] = NULL;
	return options_parse(argc, argv, ret);
}

static struct options parse_well(const char *line)
{
	struct options o;

	assert_int_equal(parse(line, &o), EXIT_CODE_OK);
	assert_string_equal(logged, "");
	return o;
}

static void assert_refused(const char *line)
{
	struct options o;

	assert_int_equal(parse(line, &o), EXIT_CODE_USAGE);
}

static void assert_option_refused(const char *option, const char *reason)
{
	char line[128];

	(void)snprintf(line, sizeof(line), "weightfs -o %s src dst", option);
	assert_refused(line);
	assert_string_equal(logged, reason);
}

static void a_mount_needs_no_options(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("/usr/bin/weightfs src dst");
	assert_int_equal(o.command, COMMAND_MOUNT);
	assert_string_equal(o.source, "src");
	assert_string_equal(o.mountpoint, "dst");
	assert_int_equal(o.log_level, LOG_LEVEL_INFO);
	assert_false(o.foreground || o.debug || o.read_only || o.sync ||
		     o.raw || o.noverify || o.allow_other || o.set_uid ||
		     o.set_gid || o.set_umask || o.manual || o.force);
	assert_int_equal(o.grace, 60);
}

static void each_option_sets_its_field(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("weightfs -f -o ro,sync,raw "
		       "-o noverify,allow_other,noexec "
		       "-o uid=7,gid=8,umask=027,log=error "
		       "src dst");
	assert_true(o.foreground && o.read_only && o.sync && o.raw &&
		    o.noverify && o.allow_other && o.noexec);
	assert_true(o.set_uid && o.set_gid && o.set_umask);
	assert_int_equal(o.uid, 7);
	assert_int_equal(o.gid, 8);
	assert_int_equal(o.umask, 027);
	assert_int_equal(o.log_level, LOG_LEVEL_ERROR);
	assert_false(o.debug || o.manual || o.force);

	o = parse_well("weightfs -o commit=manual,grace=0,force src dst");
	assert_true(o.manual && o.force && !o.sync);
	assert_int_equal(o.grace, 0);
}

static void the_later_option_wins(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("weightfs -o ro,sync,rw -o async src dst");
	assert_false(o.read_only || o.sync);
}

static void debug_stays_in_the_foreground(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("weightfs -d src dst");
	assert_true(o.debug && o.foreground);
}

static void options_may_follow_the_operands(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("weightfs src dst -o ro");
	assert_true(o.read_only);
	assert_string_equal(o.mountpoint, "dst");
}

static void what_fstab_says_to_others_is_passed_over(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("weightfs -o defaults,nofail,_netdev,noauto,user,"
		       "nosuid,nodev,noatime,x-systemd.automount,,uhelper=a "
		       "src dst");
	assert_string_equal(o.source, "src");
}

static void an_argument_is_left_as_it_was(void **state)
{
	char program[] = "weightfs", letter[] = "-o", text[] = "ro,uid=7";
	char source[] = "src", mountpoint[] = "dst";
	char *argv[] = { program, letter, text, source, mountpoint, NULL };
	struct options o;

	(void)state;
	assert_int_equal(options_parse(5, argv, &o), 0);
	assert_string_equal(text, "ro,uid=7");
	assert_ptr_equal(o.source, source);
}

static void sync_and_manual_commits_contradict_each_other(void **state)
{
	struct options o;

	(void)state;
	assert_option_refused("sync,commit=manual",
			      "options sync and commit=manual contradict each "
			      "other; leave one out");
	o = parse_well("weightfs -o sync,commit=manual,async src dst");
	assert_true(o.manual);
}

static void an_unknown_option_is_refused(void **state)
{
	(void)state;
	assert_option_refused("frob",
			      "unknown option -o frob; see weightfs --help");
	assert_option_refused("ro=1",
			      "unknown option -o ro; see weightfs --help");
}

static void a_bad_value_is_refused(void **state)
{
	(void)state;
	assert_option_refused("uid=", "option uid=: it takes a number");
	assert_option_refused("uid=-1", "option uid=-1: it takes a number");
	assert_option_refused("gid=+1", "option gid=+1: it takes a number");
	assert_option_refused("uid=4294967295",
			      "option uid=4294967295: it takes a number");
	assert_option_refused(
		"gid=99999999999999999999",
		"option gid=99999999999999999999: it takes a number");
	assert_option_refused(
		"umask=1000",
		"option umask=1000: it takes an octal number up to 777");
	assert_option_refused(
		"umask=08",
		"option umask=08: it takes an octal number up to 777");
	assert_option_refused(
		"log=loud", "option log=loud: it takes error, warning or info");
	assert_option_refused("commit=always",
			      "option commit=always: it takes manual");
	assert_option_refused(
		"grace=1m", "option grace=1m: it takes seconds, up to a year");
	assert_option_refused(
		"grace=99999999",
		"option grace=99999999: it takes seconds, up to a year");
}

static void a_refusal_leaves_the_output_alone(void **state)
{
	struct options o = { .source = "before" };

	(void)state;
	assert_int_equal(parse("weightfs -x src dst", &o), EXIT_CODE_USAGE);
	assert_string_equal(logged, "unknown option -x; see weightfs --help");
	assert_int_equal(parse("weightfs --frob src dst", &o), EXIT_CODE_USAGE);
	assert_string_equal(logged, "bad option --frob; see weightfs --help");
	assert_int_equal(parse("weightfs src dst -o", &o), EXIT_CODE_USAGE);
	assert_string_equal(logged, "option -o needs a value");
	assert_string_equal(o.source, "before");
}

static void each_command_counts_its_operands(void **state)
{
	(void)state;
	assert_refused("weightfs");
	assert_refused("weightfs src");
	assert_refused("weightfs src dst more");
	assert_refused("weightfs --unmount");
	assert_refused("weightfs --list a b");
	assert_string_equal(logged, "too many arguments: it takes one PATH; "
				    "see weightfs --help");
}

static void the_commands_are_told_apart(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("weightfs --unmount dst");
	assert_int_equal(o.command, COMMAND_UNMOUNT);
	assert_string_equal(o.mountpoint, "dst");
	o = parse_well("weightfs --list src");
	assert_int_equal(o.command, COMMAND_LIST);
	assert_string_equal(o.source, "src");
	o = parse_well("weightfs --help");
	assert_int_equal(o.command, COMMAND_HELP);
	o = parse_well("weightfs --version");
	assert_int_equal(o.command, COMMAND_VERSION);
}

static void two_dashes_let_a_source_begin_with_one(void **state)
{
	struct options o;

	(void)state;
	o = parse_well("weightfs -- -f dst");
	assert_string_equal(o.source, "-f");
	assert_false(o.foreground);
}

static void mount_gives_its_own_letters(void **state)
{
	struct options o;

	(void)state;
	o = parse_well(
		"/sbin/mount.weightfs src dst -s -n -v -t weightfs -o rw,frob");
	assert_int_equal(o.command, COMMAND_MOUNT);
	assert_false(o.foreground || o.fake);

	o = parse_well("mount.weightfs src dst -f");
	assert_true(o.fake && !o.foreground);
}

static void sloppy_does_not_cover_what_is_known(void **state)
{
	(void)state;
	assert_refused("mount.weightfs src dst -s -o commit=never");
	assert_refused("mount.weightfs src dst -s -o uid=x");
}

static void umount_gives_its_own_letters(void **state)
{
	struct options o;

	(void)state;
	o = parse_well(
		"/sbin/umount.fuse.weightfs dst -f -n -r -v -t fuse.weightfs");
	assert_int_equal(o.command, COMMAND_UNMOUNT);
	assert_string_equal(o.mountpoint, "dst");
	assert_false(o.lazy || o.foreground || o.fake);

	o = parse_well("umount.fuse.weightfs dst -l");
	assert_true(o.lazy);
}

static void another_mount_namespace_is_refused(void **state)
{
	(void)state;
	assert_refused("umount.fuse.weightfs dst -N 7");
	assert_refused("mount.weightfs src dst -N 7");
}

/* --- commands without a mount ------------------------------------------------- */

static void offline_commands_take_their_operands(void **state)
{
	struct options o = parse_well("weightfs --check a b c");

	(void)state;
	assert_int_equal(o.command, COMMAND_CHECK);
	assert_int_equal(o.n_paths, 3);
	assert_string_equal(o.paths[2], "c");

	o = parse_well("weightfs --diff a b");
	assert_int_equal(o.command, COMMAND_DIFF);
	assert_string_equal(o.source, "a");
	assert_string_equal(o.other, "b");

	o = parse_well("weightfs -o grace=0 --compact --order=offset p");
	assert_int_equal(o.command, COMMAND_COMPACT);
	assert_int_equal(o.grace, 0);
	assert_true(o.by_offset);
	assert_string_equal(o.source, "p");

	o = parse_well("weightfs --convert --to V1 src dst");
	assert_int_equal(o.command, COMMAND_CONVERT);
	assert_int_equal(o.to, FORMAT_V1);
	assert_string_equal(o.other, "dst");

	o = parse_well("weightfs --list --json p");
	assert_int_equal(o.command, COMMAND_LIST);
	assert_true(o.json);
}

static void offline_commands_refuse_what_is_not_theirs(void **state)
{
	(void)state;
	assert_refused("weightfs --check");
	assert_refused("weightfs --diff a");
	assert_refused("weightfs --compact a b");
	assert_refused("weightfs --compact --order=size a");
	assert_refused("weightfs --convert a b");
	assert_refused("weightfs --convert --to v3 a b");
	assert_refused("weightfs --check --json a");
	assert_refused("weightfs --list --to v1 a");
	assert_refused("weightfs --diff --order=offset a b");
}

static void only_one_command_is_taken(void **state)
{
	(void)state;
	assert_refused("weightfs --check --compact a");
	assert_refused("weightfs --compact --check a");
	assert_refused("weightfs --list --unmount a");
	assert_refused("weightfs --convert --diff --to v1 a b");
	assert_int_equal(parse_well("weightfs --check --check a").command,
			 COMMAND_CHECK);
	assert_int_equal(parse_well("weightfs --check a --help").command,
			 COMMAND_HELP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_needs_no_options),
		cmocka_unit_test(each_option_sets_its_field),
		cmocka_unit_test(the_later_option_wins),
		cmocka_unit_test(debug_stays_in_the_foreground),
		cmocka_unit_test(options_may_follow_the_operands),
		cmocka_unit_test(what_fstab_says_to_others_is_passed_over),
		cmocka_unit_test(an_argument_is_left_as_it_was),
		cmocka_unit_test(sync_and_manual_commits_contradict_each_other),
		cmocka_unit_test(an_unknown_option_is_refused),
		cmocka_unit_test(a_bad_value_is_refused),
		cmocka_unit_test(a_refusal_leaves_the_output_alone),
		cmocka_unit_test(each_command_counts_its_operands),
		cmocka_unit_test(the_commands_are_told_apart),
		cmocka_unit_test(two_dashes_let_a_source_begin_with_one),
		cmocka_unit_test(mount_gives_its_own_letters),
		cmocka_unit_test(sloppy_does_not_cover_what_is_known),
		cmocka_unit_test(umount_gives_its_own_letters),
		cmocka_unit_test(another_mount_namespace_is_refused),
		cmocka_unit_test(offline_commands_take_their_operands),
		cmocka_unit_test(offline_commands_refuse_what_is_not_theirs),
		cmocka_unit_test(only_one_command_is_taken),
	};

	log_to(keep_line, LOG_LEVEL_INFO);
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
