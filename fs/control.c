#include "fs/control.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/checkpoint.h"
#include "fs/fs.h"

/* A command on its way to each checkpoint that is meant. */
struct order {
	int (*run)(struct checkpoint *cp);
	struct span path; /* of the one; empty: all */
	bool met;
	int r; /* the first failure */
};

static int give_order(void *arg, const char *path, struct checkpoint *cp)
{
	struct order *o = arg;
	int r = 0;

	if (o->path.len && !span_equal(o->path, span_of(path)))
		return 0;
	o->met = true;
	/* What nobody has looked at has nothing that waits. */
	if (checkpoint_loaded(cp))
		r = o->run(cp);
	/* One that fails does not keep the others from being done. */
	if (o->r == 0)
		o->r = r;
	return 0;
}

static int run_for_each(struct fs *fs, struct span path,
			int (*run)(struct checkpoint *cp))
{
	struct order o = { .run = run, .path = path };
	int r = fs_each_checkpoint(fs, give_order, &o);

	if (r == 0 && path.len && !o.met) {
		log_error("control: there is no checkpoint %.*s", (int)path.len,
			  (const char *)path.data);
		return -ENOENT;
	}
	return r < 0 ? r : o.r;
}

static int run_commit(struct fs *fs, struct span path)
{
	int r = run_for_each(fs, path, checkpoint_commit_now);
	int other = path.len ? 0 : fs_each_pending(fs, checkpoint_commit_now);

	/* What has lost its name is in no listing, but may have to be committed. */
	return r < 0 ? r : other;
}

static int run_abort(struct fs *fs, struct span path)
{
	if (fs_options(fs)->manual)
		return run_for_each(fs, path, checkpoint_abort);
	log_error(
		"control: abort needs -o commit=manual: otherwise everything is "
		"committed soon after it was written");
	return -EINVAL;
}

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

/* The rest of the line, without blanks around it and slashes at its ends. */
static struct span path_in(struct span line)
{
	while (line.len && (is_blank(line.data[0]) || line.data[0] == '/')) {
		line.data++;
		line.len--;
	}
	while (line.len && (is_blank(line.data[line.len - 1]) ||
			    line.data[line.len - 1] == '/'))
		line.len--;
	return line;
}

/* Cuts a word off the line. */
static struct span word_of(struct span *line)
{
	struct span word = { line->data, 0 };

	while (word.len < line->len && !is_blank(word.data[word.len]))
		word.len++;
	line->data += word.len;
	line->len -= word.len;
	return word;
}

static int run_line(struct fs *fs, struct span line)
{
	struct span rest = path_in(line);
	struct span word = word_of(&rest);

	if (word.len == 0)
		return 0;
	rest = path_in(rest);
	if (span_equal(word, span_of("commit")))
		return run_commit(fs, rest);
	if (span_equal(word, span_of("abort")))
		return run_abort(fs, rest);
	/* Of `--unmount`, which is to know whether all could be stored. */
	if (span_equal(word, span_of("settle")))
		return fs_each_pending(fs, checkpoint_settle);
	log_error("control: unknown command %.*s: there are commit and abort",
		  (int)word.len, (const char *)word.data);
	return -EINVAL;
}

int control_run(struct fs *fs, struct span commands)
{
	int r = 0;

	while (r == 0 && commands.len) {
		const uint8_t *newline = memchr(commands.data, '\n',
						commands.len);
		struct span line = commands;

		if (newline)
			line.len = (size_t)(newline - commands.data);
		r = run_line(fs, line);
		commands.data += line.len + (newline ? 1 : 0);
		commands.len -= line.len + (newline ? 1 : 0);
	}
	return r;
}
