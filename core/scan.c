#include "core/scan.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "core/explain.h"
#include "core/name.h"
#include "core/scan_name.h"
#include "core/state.h"
#include "core/table.h"
#include "core/temporary.h"

#define INDEX         ".index"
#define FRESH_SECONDS 2
#define WITHOUT_FIRST                                                         \
	"a part of a V1 checkpoint whose first file (PREFIX-00000-of-NNNNN) " \
	"is not beside it"
/* Within this, a directory may change again without its time showing it. */
#define TICK_NS 20000000

/* One name in the directory. */
struct name {
	char *text;
	unsigned char type; /* DT_REG and so on */
	uint64_t ino;
};

struct names {
	struct name *all;
	size_t n;
};

static void names_release(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->all[i].text);
	free(names->all);
}

static int by_text(const void *a, const void *b)
{
	const struct name *na = a, *nb = b;

	return strcmp(na->text, nb->text);
}

static const struct name *find_name(const struct names *names, const char *text,
				    size_t len)
{
	size_t low = 0, high = names->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *at = names->all[mid].text;
		int order = strncmp(at, text, len);

		if (order == 0 && at[len] == 0)
			return &names->all[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static unsigned char type_of(int dirfd, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return IFTODT(st.st_mode);
}

static int add_name(struct names *names, size_t *cap, int dirfd,
		    const struct dirent *e)
{
	if (names->n == *cap) {
		size_t more = *cap ? 2 * *cap : 64;
		struct name *all = reallocarray(names->all, more, sizeof(*all));

		if (!all)
			return -ENOMEM;
		names->all = all;
		*cap = more;
	}
	names->all[names->n].text = strdup(e->d_name);
	if (!names->all[names->n].text)
		return -ENOMEM;
	names->all[names->n].ino = e->d_ino;
	names->all[names->n++].type = type_of(dirfd, e);
	return 0;
}

static int read_names(int dirfd, struct names *names)
{
	int fd = io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t cap = 0;
	int r = 0;

	if (!d)
		return fd < 0 ? fd : -errno;
	while (r == 0 && (errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = add_name(names, &cap, dirfd, e);
	if (r == 0 && errno)
		r = -errno;
	(void)closedir(d);
	if (names->n)
		qsort(names->all, names->n, sizeof(*names->all), by_text);
	return r;
}

static bool ends_in(const char *text, const char *suffix)
{
	size_t len = strlen(text), n = strlen(suffix);

	return len > n && strcmp(text + len - n, suffix) == 0;
}

static const struct name *index_of(const struct names *names,
				   const char *prefix, size_t len)
{
	char index[NAME_MAX + sizeof(INDEX)];

	if (len > NAME_MAX)
		return NULL;
	(void)snprintf(index, sizeof(index), "%.*s" INDEX, (int)len, prefix);
	return find_name(names, index, strlen(index));
}

/* Whether it is a data file of a checkpoint that has an index here. */
static bool is_shard(const struct names *names, const char *text)
{
	size_t len = scan_shard_prefix(text);

	return len && index_of(names, text, len);
}

static bool is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Whether the file ends in the footer of a table; and if not, whether it yet may. */
static bool is_table(int dirfd, const char *name, bool *ret_fresh)
{
	CLEANUP(close_fd) int fd = io_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	struct stat st;

	*ret_fresh = false;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	*ret_fresh = clock_recent(st.st_mtim, FRESH_SECONDS);
	return table_ends(fd, (uint64_t)st.st_size);
}

/* Names under which a file is taken for a checkpoint, or for a part of one. */
static bool seems_checkpoint(const struct names *names, const char *text)
{
	CLEANUP(free_ptr) char *meta = NULL;

	if (strcasestr(text, "ckpt") || scan_stem(text))
		return true;
	if (asprintf(&meta, "%s.meta", text) < 0) {
		meta = NULL;
		return false;
	}
	return find_name(names, meta, strlen(meta));
}

static int add_found(struct scan *s, enum item_kind kind, const char *name,
		     const char *source, bool v1)
{
	struct found *f;

	if (s->n % 64 == 0) {
		struct found *all = reallocarray(s->found, s->n + 64,
						 sizeof(*all));

		if (!all)
			return -ENOMEM;
		s->found = all;
	}
	f = &s->found[s->n];
	*f = (struct found){ .kind = kind,
			     .name = strdup(name),
			     .source = strdup(source),
			     .v1 = v1 };
	if (!f->name || !f->source) {
		free(f->name);
		free(f->source);
		return -ENOMEM;
	}
	s->n++;
	return 0;
}

static int add_checkpoint(struct scan *s, const char *prefix, size_t len,
			  bool v1)
{
	CLEANUP(free_ptr) char *source = strndup(prefix, len);

	return source ? add_found(s, ITEM_CHECKPOINT, source, source, v1)
		      : -ENOMEM;
}

static int add_folder(struct scan *s, const struct name *name)
{
	int r = add_found(s, ITEM_FOLDER, name->text, name->text, false);

	if (r == 0)
		s->found[s->n - 1].ino = name->ino;
	return r;
}

static int add_index(struct scan *s, int dirfd, const char *text)
{
	bool fresh;
	bool whole = is_table(dirfd, text, &fresh);
	int r = add_checkpoint(s, text, strlen(text) - strlen(INDEX), false);

	if (r == 0 && !whole && fresh) {
		s->found[s->n - 1].unsettled = true;
		s->unsettled = true;
	}
	return r;
}

/* What V1 calls the first file of those that `text` is one of. */
static char *first_of(const char *text, size_t stem)
{
	char *name = strdup(text);

	for (size_t i = stem + 1; name && isdigit((unsigned char)name[i]); i++)
		name[i] = '0';
	return name;
}

/*
 * One file of several, all of which show as one: the first one stands for it.  Without
 * that, and beside a V2 checkpoint, which TensorFlow takes, they are plain files or
 * links, as they stand there.
 */
static int add_v1(struct scan *s, int dirfd, const struct names *names,
		  const char *text, enum item_kind otherwise)
{
	size_t len = scan_stem(text);
	CLEANUP(free_ptr) char *first = NULL;
	bool fresh;
	int r;

	if (len == 0)
		return add_checkpoint(s, text, strlen(text), true);
	first = first_of(text, len);
	if (!first)
		return -ENOMEM;
	if (index_of(names, text, len))
		return add_found(s, otherwise, text, text, false);
	if (strcmp(first, text) == 0)
		return add_checkpoint(s, text, len, true);
	if (find_name(names, first, strlen(first)) &&
	    is_table(dirfd, first, &fresh))
		return 0;
	r = add_found(s, otherwise, text, text, false);
	if (r == 0 && otherwise == ITEM_FILE)
		s->found[s->n - 1].what = WITHOUT_FIRST;
	return r;
}

static int add_name_found(struct scan *s, int dirfd, const struct names *names,
			  const struct name *name)
{
	bool file = name->type == DT_REG;
	bool fresh;
	int r;

	if (name->type == DT_DIR)
		return add_folder(s, name);
	if (ends_in(name->text, TEMPORARY_END))
		return 0;
	if (is_shard(names, name->text)) {
		s->linked |= name->type == DT_LNK;
		return 0;
	}
	if (ends_in(name->text, INDEX) && (file || name->type == DT_LNK)) {
		s->linked |= name->type == DT_LNK;
		return add_index(s, dirfd, name->text);
	}
	/* A link to a whole V1 file leads to what shows in its place. */
	if (name->type == DT_LNK && scan_stem(name->text) &&
	    is_table(dirfd, name->text, &fresh)) {
		s->linked = true;
		return add_v1(s, dirfd, names, name->text, ITEM_SYMLINK);
	}
	if (name->type == DT_LNK)
		return add_found(s, ITEM_SYMLINK, name->text, name->text,
				 false);
	/* Where there is a V2 checkpoint of the name, TensorFlow takes that. */
	if (file && scan_may_be_v1(name->text) &&
	    !index_of(names, name->text, strlen(name->text)) &&
	    is_table(dirfd, name->text, &fresh))
		return add_v1(s, dirfd, names, name->text, ITEM_FILE);
	r = add_found(s, ITEM_FILE, name->text, name->text, false);
	if (r == 0 && file && scan_may_be_v1(name->text) &&
	    seems_checkpoint(names, name->text))
		s->found[s->n - 1].what = explain_content(dirfd, name->text);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct found *fa = a, *fb = b;

	return strcmp(fa->name, fb->name);
}

/* Of one name, checkpoints come last; of those, the longer prefix first. */
static int by_claim(const void *a, const void *b)
{
	const struct found *fa = a, *fb = b;
	int order = by_name(a, b);

	if (order)
		return order;
	order = (fa->kind == ITEM_CHECKPOINT) - (fb->kind == ITEM_CHECKPOINT);
	return order ? order : strcmp(fb->source, fa->source);
}

/* Whether something else has the name of this one; at the root the mount has one. */
static bool is_taken(const struct scan *s, size_t i, bool root)
{
	const char *name = s->found[i].name;

	return (i > 0 && strcmp(name, s->found[i - 1].name) == 0) ||
	       (root && strcmp(name, NAME_HIDDEN_DIR) == 0);
}

/* A checkpoint whose name something else has shows as NAME.d. */
static int settle_names(struct scan *s, bool root)
{
	bool settled = false;

	while (!settled) {
		settled = true;
		if (s->n)
			qsort(s->found, s->n, sizeof(*s->found), by_claim);
		for (size_t i = 0; i < s->n; i++) {
			struct found *f = &s->found[i];
			char *name;

			if (f->kind != ITEM_CHECKPOINT || !is_taken(s, i, root))
				continue;
			if (asprintf(&name, "%s.d", f->name) < 0)
				return -ENOMEM;
			free(f->name);
			f->name = name;
			settled = false;
		}
	}
	return 0;
}

/* Where the checkpoint of this prefix shows; NULL if it is none of them. */
static const char *shown_as(const struct scan *s, const char *prefix)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->found[i].kind == ITEM_CHECKPOINT &&
		    !s->found[i].unsettled &&
		    strcmp(s->found[i].source, prefix) == 0)
			return s->found[i].name;
	return NULL;
}

/* Whether `stem`, of V1 in several files with `shards`, is a checkpoint. */
static bool is_checkpoint(int dirfd, struct span stem, struct span shards)
{
	static const char *const ends[] = { INDEX, "" };
	bool fresh, found = false;

	for (size_t i = 0; !found && i < 2; i++) {
		CLEANUP(free_ptr) char *file = NULL;

		if (asprintf(&file, "%.*s%.*s%s", (int)stem.len,
			     (const char *)stem.data, (int)shards.len,
			     (const char *)shards.data, ends[i]) < 0)
			file = NULL;
		for (char *p = file; p && (p = strchr(p, '?'));)
			*p = '0';
		found = file && is_table(dirfd, file, &fresh);
	}
	return found;
}

/*
 * Where a relative path leads to a checkpoint in another directory of the source, that
 * is what TensorFlow takes.  Other paths count by their last component.
 */
static bool leads_elsewhere(int dirfd, struct span path, struct span name)
{
	const size_t n = (size_t)(name.data + name.len - path.data);
	const struct span stem = { path.data, n };
	const struct span shards = { path.data + n, path.len - n };

	return path.data[0] != '/' && path.len < PATH_MAX &&
	       state_path_place(dirfd, path) == STATE_ELSEWHERE &&
	       is_checkpoint(dirfd, stem, shards);
}

/* Where `latest` leads, from its directory; NULL if nowhere. */
static char *latest_target(struct scan *s, int dirfd, struct span path)
{
	CLEANUP(free_ptr) char *prefix = NULL;
	const char *shown;
	struct span name;

	if (!state_path_name(path, &name))
		return NULL;
	if (leads_elsewhere(dirfd, path, name))
		return strndup((const char *)path.data,
			       (size_t)(name.data + name.len - path.data));
	prefix = strndup((const char *)name.data, name.len);
	shown = prefix ? shown_as(s, prefix) : NULL;
	return shown ? strdup(shown) : NULL;
}

static int add_latest(struct scan *s, int dirfd, const struct names *names)
{
	CLEANUP(close_fd) int fd = -1;
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP(buf_release) struct buf path = { 0 };
	CLEANUP(free_ptr) char *target = NULL;
	int r;

	if (!find_name(names, STATE_FILE, strlen(STATE_FILE)) ||
	    scan_find(s, NAME_LATEST) < s->n)
		return 0;
	fd = io_open(dirfd, STATE_FILE, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || !is_regular(fd))
		return 0;
	r = io_read_file(fd, STATE_MAX, &text);
	if (r == 0)
		r = state_latest_path(buf_span(&text), &path);
	/* TensorFlow, too, then knows of no latest one. */
	s->bad_state = r == -EINVAL || r == -EFBIG;
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	target = latest_target(s, dirfd, buf_span(&path));
	return target ? add_found(s, ITEM_LATEST, NAME_LATEST, target, false)
		      : 0;
}

int scan_directory(int dirfd, bool root, struct scan *ret)
{
	CLEANUP(names_release) struct names names = { 0 };
	CLEANUP(scan_release) struct scan s = { 0 };
	int r = read_names(dirfd, &names);

	for (size_t i = 0; r == 0 && i < names.n; i++)
		if (!root || strcmp(names.all[i].text, NAME_HIDDEN_DIR) != 0)
			r = add_name_found(&s, dirfd, &names, &names.all[i]);
	if (r == 0)
		r = settle_names(&s, root);
	if (r == 0)
		r = add_latest(&s, dirfd, &names);
	if (s.n)
		qsort(s.found, s.n, sizeof(*s.found), by_name);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct scan){ 0 };
	return 0;
}

void scan_release(struct scan *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->found[i].name);
		free(s->found[i].source);
	}
	free(s->found);
	*s = (struct scan){ 0 };
}

void scan_drop(struct scan *s, size_t at)
{
	free(s->found[at].name);
	free(s->found[at].source);
	s->n--;
	memmove(&s->found[at], &s->found[at + 1],
		(s->n - at) * sizeof(*s->found));
}

size_t scan_find(const struct scan *s, const char *name)
{
	struct found key = { 0 };
	const struct found *at;
	CLEANUP(free_ptr) char *copy = strdup(name);

	key.name = copy;
	at = copy && s->n ? bsearch(&key, s->found, s->n, sizeof(key), by_name)
			  : NULL;
	return at ? (size_t)(at - s->found) : s->n;
}

int scan_state(int dirfd, struct folder_state *ret)
{
	struct timespec now;
	struct stat st;
	int64_t age;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - st.st_mtim.tv_sec) * INT64_C(1000000000) +
	      now.tv_nsec - st.st_mtim.tv_nsec;

	*ret = (struct folder_state){ .changed = st.st_mtim };
	if (age > TICK_NS)
		ret->ino = st.st_ino;
	(void)io_id(dirfd, STATE_FILE, &ret->latest);
	return 0;
}

bool folder_state_equal(const struct folder_state *a,
			const struct folder_state *b)
{
	return a->ino && a->ino == b->ino &&
	       a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec &&
	       file_id_equal(&a->latest, &b->latest);
}
