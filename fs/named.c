#include "fs/named.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/below.h"
#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/explain.h"
#include "core/io.h"
#include "core/log.h"
#include "core/scan.h"
#include "core/scan_name.h"
#include "core/v1.h"

#define VARIABLES "variables/variables"

void named_release(struct named_list *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->all[i].prefix);
		free(t->all[i].label);
	}
	free(t->all);
	source_release(&t->source);
	*t = (struct named_list){ 0 };
}

/* `dir` is the directory as the user named it, empty for the present one. */
static int add(struct named_list *t, const char *dir, size_t dir_len,
	       const char *prefix, bool v1)
{
	struct named *all = reallocarray(t->all, t->n + 1, sizeof(*all));
	struct named *one;
	const char *slash = dir_len && dir[dir_len - 1] != '/' ? "/" : "";

	if (!all)
		return -ENOMEM;
	t->all = all;
	one = &all[t->n];
	*one = (struct named){ .dirfd = t->source.dirfd,
			       .prefix = strdup(prefix),
			       .v1 = v1 };
	if (asprintf(&one->label, "%.*s%s%s", (int)dir_len, dir, slash,
		     prefix) < 0)
		one->label = NULL;
	t->n++;
	return one->prefix && one->label ? 0 : -ENOMEM;
}

static int has_file(const struct named_list *t, const char *prefix,
		    const char *suffix)
{
	CLEANUP(free_ptr) char *name = NULL;
	struct stat st;

	if (asprintf(&name, "%s%s", prefix, suffix) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	return io_stat(t->source.dirfd, name, &st) == 0;
}

/* The one that the path names; its directory is what stands before the last slash. */
static int add_one(struct named_list *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	int index = has_file(t, t->source.prefix, ".index");

	if (index < 0)
		return index;
	return add(t, path, slash ? (size_t)(slash + 1 - path) : 0,
		   t->source.prefix, !index);
}

/* Whether the prefix that the first `len` bytes of `name` are has an index. */
static bool has_index(const struct named_list *t, const char *name, size_t len)
{
	CLEANUP(free_ptr) char *stem = strndup(name, len);

	return stem && has_file(t, stem, ".index") == 1;
}

/* What seems to be a checkpoint, or a part of one, and cannot be used as that. */
static void say_stray(const struct named_list *t, const char *path,
		      const struct found *f)
{
	size_t len = scan_shard_prefix(f->source);

	if (f->kind != ITEM_FILE)
		return;
	if (f->what)
		log_error("%s: %s is %s", path, f->source, f->what);
	else if (len && !has_index(t, f->source, len))
		log_error("%s: %s is a part of a checkpoint whose index "
			  "(%.*s.index) is not beside it",
			  path, f->source, (int)len, f->source);
	else if (has_file(t, f->source, ".meta") == 1 &&
		 has_file(t, f->source, ".index") == 0)
		log_error("%s: %s was cut short, or is no checkpoint, though "
			  "there is %s.meta",
			  path, f->source, f->source);
}

static int add_all(struct named_list *t, const char *path)
{
	CLEANUP(scan_release) struct scan s = { 0 };
	struct stat st;
	const char *slash = strrchr(path, '/');
	size_t len = strlen(path);
	int r = scan_directory(t->source.dirfd, false, &s);

	if (r < 0) {
		log_error("cannot list %s: %s", path, strerror(-r));
		return r;
	}
	/* A state file stands for the directory that it is in. */
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		len = slash ? (size_t)(slash + 1 - path) : 0;
	for (size_t i = 0; r == 0 && i < s.n; i++) {
		if (s.found[i].kind == ITEM_CHECKPOINT)
			r = add(t, path, len, s.found[i].source, s.found[i].v1);
		else
			say_stray(t, path, &s.found[i]);
	}
	return r;
}

/* Finds what there is, which may be nothing. */
static int open_path(const char *path, struct named_list *ret)
{
	CLEANUP(named_release) struct named_list t = { 0 };
	int r = source_open(path, &t.source);

	if (r < 0)
		return r;
	r = t.source.prefix ? add_one(&t, path) : add_all(&t, path);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct named_list){ 0 };
	return 0;
}

static int open_model(const char *path, struct named_list *ret)
{
	CLEANUP(free_ptr) char *inside = NULL;

	if (asprintf(&inside, "%s/" VARIABLES, path) < 0) {
		inside = NULL;
		return -ENOMEM;
	}
	return open_path(inside, ret);
}

static int say_nothing(const struct named_list *t)
{
	CLEANUP(free_ptr) char *below = below_find(t->source.dirfd);
	const char *path = t->source.path;

	if (below)
		log_error("there is no checkpoint in %s itself; name a "
			  "directory below it, such as %s%s%s",
			  path, path, path[1] ? "/" : "", below);
	else
		log_error("there is no checkpoint in %s", path);
	return -ENOENT;
}

int named_open(const char *path, struct named_list *ret)
{
	CLEANUP(named_release) struct named_list t = { 0 };
	int r = open_path(path, &t);

	if (r < 0)
		return r;
	if (t.n == 0 && !t.source.prefix &&
	    has_file(&t, SAVED_MODEL_FILE, "") == 1)
		return open_model(path, ret);
	if (t.n == 0)
		return say_nothing(&t);
	*ret = t;
	t = (struct named_list){ 0 };
	return 0;
}

/* Which of them the state file names; `n` if none. */
static size_t find_latest(const struct named_list *t)
{
	CLEANUP(scan_release) struct scan s = { 0 };
	size_t at, shown;

	if (scan_directory(t->source.dirfd, false, &s) < 0)
		return t->n;
	at = scan_find(&s, NAME_LATEST);
	if (at == s.n || s.found[at].kind != ITEM_LATEST)
		return t->n;
	shown = scan_find(&s, s.found[at].source);
	for (size_t i = 0; shown < s.n && i < t->n; i++)
		if (strcmp(t->all[i].prefix, s.found[shown].source) == 0)
			return i;
	return t->n;
}

int named_open_one(const char *path, bool latest, struct named_list *ret)
{
	CLEANUP(named_release) struct named_list t = { 0 };
	size_t at = 0;
	struct named first;
	int r = named_open(path, &t);

	if (r < 0)
		return r;
	if (t.n > 1)
		at = latest ? find_latest(&t) : t.n;
	if (at == t.n) {
		log_error("%s holds %zu checkpoints: name the one that is "
			  "meant, such as %s",
			  path, t.n, t.all[0].label);
		return -EINVAL;
	}
	first = t.all[0];
	t.all[0] = t.all[at];
	t.all[at] = first;
	*ret = t;
	t = (struct named_list){ 0 };
	return 0;
}

/* An index that does not end as one may be a file that is taken for it. */
static void say_what_it_is(const struct named *t)
{
	CLEANUP(free_ptr) char *name = bundle_index_name(t->prefix);
	const char *what;

	what = name ? explain_content(t->dirfd, name) : NULL;
	if (what)
		log_error("%s.index is %s", t->label, what);
	else
		log_error("%s.index was cut short, or is another kind of file",
			  t->label);
}

const char *named_reason(const struct named *t, int error)
{
	if (error == -EXDEV || error == -ELOOP)
		return "a file of it is a link that leads out of its "
		       "directory, or in a circle";
	if (error == -ENOENT && !t->v1)
		return "its index is a link that leads nowhere";
	return strerror(-error);
}

int named_read(const struct named *t, struct bundle **ret)
{
	int r = t->v1 ? v1_open(t->dirfd, t->prefix, ret)
		      : bundle_open(t->dirfd, t->prefix, NULL, ret);

	if (r == -EBADMSG)
		say_what_it_is(t);
	else if (r < 0 && r != -EIO)
		log_error("%s: %s", t->label, named_reason(t, r));
	return r;
}

bool named_whole(const struct bundle *b)
{
	const char *reason;

	return bundle_writable(b, &reason) != -EIO;
}
