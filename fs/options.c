#include "fs/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The letters of a command line mean what the name it was called by says. */
enum dialect {
	DIALECT_WEIGHTFS,
	DIALECT_MOUNT,
	DIALECT_UMOUNT
};

struct parser {
	enum dialect dialect;
	bool sloppy; /* mount(8)'s -s: pass over -o options nobody knows */
	struct options options;
};

/* What follows in -o and is either there or not. */
static const struct {
	const char *name;
	size_t field;
	bool value;
} flags[] = {
	{ "ro", offsetof(struct options, read_only), true },
	{ "rw", offsetof(struct options, read_only), false },
	{ "sync", offsetof(struct options, sync), true },
	{ "async", offsetof(struct options, sync), false },
	{ "noexec", offsetof(struct options, noexec), true },
	{ "exec", offsetof(struct options, noexec), false },
	{ "raw", offsetof(struct options, raw), true },
	{ "force", offsetof(struct options, force), true },
	{ "noverify", offsetof(struct options, noverify), true },
	{ "allow_other", offsetof(struct options, allow_other), true },
};

/*
 * What mount(8) and fstab hand over and we need nothing for: said to others, or
 * always so (nosuid and nodev), or without a meaning here.
 */
static const char *const ignored[] = {
	"defaults", "nofail",   "auto",   "noauto",  "user",     "nouser",
	"users",    "nousers",  "owner",  "noowner", "group",    "nogroup",
	"_netdev",  "nosuid",   "suid",   "nodev",   "dev",      "noatime",
	"atime",    "relatime", "silent", "loud",    "diratime", "nodiratime",
};
static const char *const ignored_prefixes[] = {
	"x-", "X-", "comment=", "user=", "helper=", "uhelper=",
};

#define DEFAULT_GRACE 60
#define MAX_GRACE     (366UL * 24 * 60 * 60)

static const char *const log_levels[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
};

static bool is_in(const char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static bool is_ignored(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(ignored_prefixes); i++)
		if (strncmp(text, ignored_prefixes[i],
			    strlen(ignored_prefixes[i])) == 0)
			return true;
	return is_in(ignored, ARRAY_SIZE(ignored), text);
}

static bool set_flag(struct options *options, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strcmp(flags[i].name, text) != 0)
			continue;
		*(bool *)((char *)options + flags[i].field) = flags[i].value;
		return true;
	}
	return false;
}

/* Digits only: strtoul() would take signs and white space as well. */
static bool parse_number(const char *text, int base, unsigned long max,
			 unsigned int *ret)
{
	const char *digits = base == 8 ? "01234567" : "0123456789";
	unsigned long value;

	if (!*text || text[strspn(text, digits)])
		return false;

	errno = 0;
	value = strtoul(text, NULL, base);
	if (errno || value > max)
		return false;

	*ret = (unsigned int)value;
	return true;
}

static bool parse_log_level(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_levels); i++) {
		if (strcmp(log_levels[i], text) != 0)
			continue;
		*ret = (enum log_level)i;
		return true;
	}
	return false;
}

static enum exit_code bad_value(const char *name, const char *value,
				const char *wanted)
{
	log_error("option %s=%s: it takes %s", name, value, wanted);
	return EXIT_CODE_USAGE;
}

/* uid_t and gid_t of -1 mean "none" to the kernel. */
static enum exit_code take_id(const char *name, const char *value, bool *set,
			      unsigned int *id)
{
	*set = parse_number(value, 10, UINT32_MAX - 1, id);
	return *set ? EXIT_CODE_OK : bad_value(name, value, "a number");
}

static enum exit_code take_unknown(const struct parser *parser,
				   const char *name)
{
	if (parser->sloppy)
		return EXIT_CODE_OK;

	log_error("unknown option -o %s; see weightfs --help", name);
	return EXIT_CODE_USAGE;
}

static enum exit_code take_commit(struct options *o, const char *value)
{
	o->manual = strcmp(value, "manual") == 0;
	return o->manual ? EXIT_CODE_OK : bad_value("commit", value, "manual");
}

static enum exit_code take_grace(struct options *o, const char *value)
{
	return parse_number(value, 10, MAX_GRACE, &o->grace)
		       ? EXIT_CODE_OK
		       : bad_value("grace", value, "seconds, up to a year");
}

static enum exit_code take_value(struct parser *parser, const char *name,
				 const char *value)
{
	struct options *o = &parser->options;

	if (strcmp(name, "uid") == 0)
		return take_id(name, value, &o->set_uid, &o->uid);
	if (strcmp(name, "gid") == 0)
		return take_id(name, value, &o->set_gid, &o->gid);
	if (strcmp(name, "umask") == 0) {
		o->set_umask = parse_number(value, 8, 0777, &o->umask);
		return o->set_umask ? EXIT_CODE_OK
				    : bad_value(name, value,
						"an octal number up to 777");
	}
	if (strcmp(name, "commit") == 0)
		return take_commit(o, value);
	if (strcmp(name, "grace") == 0)
		return take_grace(o, value);
	if (strcmp(name, "log") == 0)
		return parse_log_level(value, &o->log_level)
			       ? EXIT_CODE_OK
			       : bad_value(name, value,
					   "error, warning or info");
	return take_unknown(parser, name);
}

/* One of the options of a -o; cuts `text` at its `=`. */
static enum exit_code take_option(struct parser *parser, char *text)
{
	char *value = strchr(text, '=');

	if (!*text || is_ignored(text) || set_flag(&parser->options, text))
		return EXIT_CODE_OK;
	if (!value)
		return take_unknown(parser, text);

	*value = '\0';
	return take_value(parser, text, value + 1);
}

static enum exit_code take_options(struct parser *parser, const char *text)
{
	char *copy = strdup(text);
	char *rest = copy;
	enum exit_code code = EXIT_CODE_OK;

	if (!copy) {
		log_error("out of memory");
		return EXIT_CODE_FAILURE;
	}
	while (!code && rest)
		code = take_option(parser, strsep(&rest, ","));
	free(copy);
	return code;
}

/* What getopt_long() answers for the long options. */
enum {
	LONG_UNMOUNT = UCHAR_MAX + 1,
	LONG_LIST,
	LONG_JSON,
	LONG_CHECK,
	LONG_DIFF,
	LONG_COMPACT,
	LONG_ORDER,
	LONG_CONVERT,
	LONG_TO
};

static const struct option long_options[] = {
	{ "unmount", no_argument, NULL, LONG_UNMOUNT },
	{ "list", no_argument, NULL, LONG_LIST },
	{ "json", no_argument, NULL, LONG_JSON },
	{ "check", no_argument, NULL, LONG_CHECK },
	{ "diff", no_argument, NULL, LONG_DIFF },
	{ "compact", no_argument, NULL, LONG_COMPACT },
	{ "order", required_argument, NULL, LONG_ORDER },
	{ "convert", no_argument, NULL, LONG_CONVERT },
	{ "to", required_argument, NULL, LONG_TO },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

/* Without a `+` in front: mount(8) puts its -o after the operands. */
static const char *const short_options[] = {
	[DIALECT_WEIGHTFS] = ":fdo:hV",
	[DIALECT_MOUNT] = ":fnsvt:o:hV",
	[DIALECT_UMOUNT] = ":flnrvt:hV",
};

static enum dialect dialect_of(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *base = slash ? slash + 1 : program;

	if (strncmp(base, "mount.", strlen("mount.")) == 0)
		return DIALECT_MOUNT;
	if (strncmp(base, "umount.", strlen("umount.")) == 0)
		return DIALECT_UMOUNT;
	return DIALECT_WEIGHTFS;
}

/*
 * -f of umount(8) is for servers that do not answer and -r for disks: neither adds
 * anything here, nor do -n, -v and -t.
 */
static void take_letter(struct parser *parser, int letter)
{
	struct options *o = &parser->options;

	switch (letter) {
	case 'f':
		o->foreground |= parser->dialect == DIALECT_WEIGHTFS;
		o->fake |= parser->dialect == DIALECT_MOUNT;
		break;
	case 'd':
		o->debug = true;
		o->foreground = true;
		break;
	case 'l':
		o->lazy = true;
		break;
	case 's':
		parser->sloppy = true;
		break;
	default:
		break;
	}
}

static enum exit_code bad_letter(int answer, char **argv)
{
	if (answer == ':')
		log_error("option -%c needs a value", optopt);
	else if (optopt && optopt <= UCHAR_MAX)
		log_error("unknown option -%c; see weightfs --help", optopt);
	else
		log_error("bad option %s; see weightfs --help",
			  argv[optind - 1]);
	return EXIT_CODE_USAGE;
}

static enum exit_code take_order(struct options *o, const char *value)
{
	o->ordered = true;
	o->by_offset = strcmp(value, "offset") == 0;
	return o->by_offset || strcmp(value, "key") == 0
		       ? EXIT_CODE_OK
		       : bad_value("--order", value, "key or offset");
}

static enum exit_code take_to(struct options *o, const char *value)
{
	o->to = strcasecmp(value, "v1") == 0   ? FORMAT_V1
		: strcasecmp(value, "v2") == 0 ? FORMAT_V2
					       : FORMAT_NONE;
	return o->to ? EXIT_CODE_OK : bad_value("--to", value, "v1 or v2");
}

static const char *const command_names[] = {
	[COMMAND_UNMOUNT] = "--unmount", [COMMAND_LIST] = "--list",
	[COMMAND_CHECK] = "--check",     [COMMAND_DIFF] = "--diff",
	[COMMAND_COMPACT] = "--compact", [COMMAND_CONVERT] = "--convert",
};

/* One writes where another only looks: neither wins. */
static enum exit_code take_command(struct options *o, enum command command)
{
	enum command before = o->command;

	o->command = command;
	if (before == COMMAND_MOUNT || before == command ||
	    before == COMMAND_HELP || before == COMMAND_VERSION)
		return EXIT_CODE_OK;
	log_error("%s and %s are two commands: name one of them",
		  command_names[before], command_names[command]);
	return EXIT_CODE_USAGE;
}

/* The long options that are, or belong to, a command. */
static enum exit_code take_long(struct options *o, int answer)
{
	switch (answer) {
	case LONG_UNMOUNT:
		return take_command(o, COMMAND_UNMOUNT);
	case LONG_LIST:
		return take_command(o, COMMAND_LIST);
	case LONG_CHECK:
		return take_command(o, COMMAND_CHECK);
	case LONG_DIFF:
		return take_command(o, COMMAND_DIFF);
	case LONG_COMPACT:
		return take_command(o, COMMAND_COMPACT);
	case LONG_CONVERT:
		return take_command(o, COMMAND_CONVERT);
	case LONG_ORDER:
		return take_order(o, optarg);
	case LONG_TO:
		return take_to(o, optarg);
	default:
		o->json |= answer == LONG_JSON;
		return EXIT_CODE_OK;
	}
}

static enum exit_code take_answer(struct parser *parser, int answer,
				  char **argv)
{
	if (answer >= LONG_UNMOUNT)
		return take_long(&parser->options, answer);
	switch (answer) {
	case ':':
	case '?':
		return bad_letter(answer, argv);
	case 'o':
		return take_options(parser, optarg);
	case 'h':
		parser->options.command = COMMAND_HELP;
		break;
	case 'V':
		parser->options.command = COMMAND_VERSION;
		break;
	default:
		take_letter(parser, answer);
		break;
	}
	return EXIT_CODE_OK;
}

static enum exit_code only_with(const char *option, const char *command)
{
	log_error("option %s belongs to %s; see weightfs --help", option,
		  command);
	return EXIT_CODE_USAGE;
}

static enum exit_code check_together(const struct options *o)
{
	if (o->json && o->command != COMMAND_LIST)
		return only_with("--json", "--list");
	if (o->ordered && o->command != COMMAND_COMPACT)
		return only_with("--order", "--compact");
	if (o->to && o->command != COMMAND_CONVERT)
		return only_with("--to", "--convert");
	if (!o->to && o->command == COMMAND_CONVERT) {
		log_error("--convert needs --to v1 or --to v2");
		return EXIT_CODE_USAGE;
	}
	/* Neither is a weaker form of the other, so neither wins. */
	if (!o->sync || !o->manual)
		return EXIT_CODE_OK;
	log_error("options sync and commit=manual contradict each other; leave "
		  "one out");
	return EXIT_CODE_USAGE;
}

static enum exit_code need_operands(int given, int wanted, const char *names)
{
	if (given == wanted)
		return EXIT_CODE_OK;

	log_error("%s: it takes %s; see weightfs --help",
		  given < wanted ? "something is missing"
				 : "too many arguments",
		  names);
	return EXIT_CODE_USAGE;
}

static enum exit_code take_operands(struct options *o, int count, char **given)
{
	enum exit_code code = EXIT_CODE_OK;

	switch (o->command) {
	case COMMAND_MOUNT:
		code = need_operands(count, 2, "SOURCE and MOUNTPOINT");
		if (code)
			break;
		o->source = given[0];
		o->mountpoint = given[1];
		break;
	case COMMAND_UNMOUNT:
		code = need_operands(count, 1, "one MOUNTPOINT");
		o->mountpoint = given[0];
		break;
	case COMMAND_LIST:
		code = need_operands(count, 1, "one PATH");
		o->source = given[0];
		break;
	case COMMAND_CHECK:
		code = need_operands(count < 1 ? 0 : 1, 1, "PATH...");
		o->paths = given;
		o->n_paths = (size_t)count;
		break;
	case COMMAND_DIFF:
		code = need_operands(count, 2, "A and B");
		o->source = given[0];
		o->other = given[1];
		break;
	case COMMAND_COMPACT:
		code = need_operands(count, 1, "one PREFIX");
		o->source = given[0];
		break;
	case COMMAND_CONVERT:
		code = need_operands(count, 2, "SRC and DST");
		o->source = given[0];
		o->other = given[1];
		break;
	case COMMAND_HELP:
	case COMMAND_VERSION:
		break;
	}
	return code;
}

enum exit_code options_parse(int argc, char **argv, struct options *ret)
{
	struct parser parser = {
		.dialect = dialect_of(argc > 0 ? argv[0] : ""),
		.options.log_level = LOG_LEVEL_INFO,
		.options.grace = DEFAULT_GRACE,
	};
	enum exit_code code = EXIT_CODE_OK;
	int answer;

	if (parser.dialect == DIALECT_UMOUNT)
		parser.options.command = COMMAND_UNMOUNT;

	opterr = 0; /* we say it ourselves */
	optind = 0; /* begin anew, whatever was parsed before */
	while (!code) {
		answer = getopt_long(argc, argv, short_options[parser.dialect],
				     long_options, NULL);
		if (answer < 0)
			break;
		code = take_answer(&parser, answer, argv);
	}
	if (!code)
		code = check_together(&parser.options);
	if (!code)
		code = take_operands(&parser.options, argc - optind,
				     argv + optind);
	if (!code)
		*ret = parser.options;
	return code;
}

void options_print_help(void)
{
	fputs("usage: weightfs [-f] [-d] [-o OPTIONS] SOURCE MOUNTPOINT\n"
	      "       weightfs --unmount MOUNTPOINT\n"
	      "       weightfs --list [--json] PATH\n"
	      "       weightfs --check PATH...\n"
	      "       weightfs --diff A B\n"
	      "       weightfs --compact [--order key|offset] [-o grace=SECONDS] PREFIX\n"
	      "       weightfs --convert --to v1|v2 SRC DST\n"
	      "       weightfs --help | --version\n"
	      "\n"
	      "SOURCE is a directory of TensorFlow checkpoints, or one checkpoint.\n"
	      "\n"
	      "  -f                 stay in the foreground\n"
	      "  -d                 the same, and print each request\n"
	      "  -o ro              nothing can be written\n"
	      "  -o sync            close() and rename() wait until it is durable\n"
	      "  -o commit=manual   nothing is durable before somebody says\n"
	      "                     echo commit > MOUNTPOINT/.weightfs/control\n"
	      "  -o grace=SECONDS   how long replaced values stay for those who read the\n"
	      "                     checkpoint already (60)\n"
	      "  -o force           let variables come and go in a SavedModel, too\n"
	      "  -o raw             show object-based checkpoints by their literal keys\n"
	      "  -o noverify        do not check the checksums of what is read\n"
	      "  -o allow_other     let other users in\n"
	      "  -o uid=,gid=       the owner and group of all files\n"
	      "  -o umask=          permission bits that no file has, in octal\n"
	      "  -o noexec          no file can be run as a program\n"
	      "  -o log=LEVEL       error, warning or info (the default)\n"
	      "\n"
	      "Without a mount: --list what a checkpoint holds, --check whether it is whole,\n"
	      "--diff two of them, --compact one as TensorFlow would write it, --convert it.\n"
	      "\n"
	      "MOUNTPOINT/.weightfs, which is not listed, has the state of the mount: status,\n"
	      "log, version, control, manifest/PREFIX.tsv, by-name/CHECKPOINT/NAME.\n"
	      "\n"
	      "weightfs(1) explains each of them, and the exit codes.\n",
	      stdout);
}
