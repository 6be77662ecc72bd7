#include "fs/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/log.h"
#include "fs/named.h"
#include "fs/print.h"

#define BAR_WIDTH 40
#define BAR_MS    100

/* A check that people follow, and what came of all that was checked. */
struct watching {
	const struct named *named;
	bool bar; /* stderr is a terminal */
	bool drawn;
	uint64_t drawn_at; /* clock_ms() */
	uint64_t done;
	uint64_t checkpoints, bytes, faults;
};

static void clear_bar(struct watching *w)
{
	if (w->drawn)
		(void)fputs("\r\033[K", stderr);
	w->drawn = false;
}

static void draw_bar(void *arg, uint64_t n, uint64_t all)
{
	static const char full[] = "########################################";
	struct watching *w = arg;
	unsigned filled;

	w->done += n;
	if (!w->bar || all == 0 || clock_ms() - w->drawn_at < BAR_MS)
		return;
	filled = (unsigned)((double)w->done / (double)all * BAR_WIDTH);
	filled = filled < BAR_WIDTH ? filled : BAR_WIDTH;
	(void)fprintf(stderr, "\r[%-*.*s] %3u %%  %s\033[K", BAR_WIDTH,
		      (int)filled, full, filled * 100 / BAR_WIDTH,
		      w->named->label);
	w->drawn = true;
	w->drawn_at = clock_ms();
}

static void print_finding(void *arg, const struct check_finding *f)
{
	struct watching *w = arg;

	clear_bar(w);
	print_escaped(stdout, span_of(w->named->label));
	(void)printf(": %s", f->fault ? "" : "note: ");
	if (f->key.len) {
		print_escaped(stdout, f->key);
		if (f->partitioned)
			(void)printf(" (slice %zu)", f->slice);
		(void)fputs(": ", stdout);
	}
	(void)fputs(f->what, stdout);
	if (f->file && f->size)
		(void)printf(" (bytes %" PRIu64 " to %" PRIu64 " of %s)",
			     f->offset, f->offset + f->size - 1, f->file);
	else if (f->file)
		(void)printf(" (%s)", f->file);
	(void)putchar('\n');
	(void)fflush(stdout);
}

static void print_result(const struct named *t, const struct check_result *r)
{
	print_escaped(stdout, span_of(t->label));
	(void)printf(": %s: ", r->faults ? "DAMAGED" : "all right");
	if (r->faults) {
		print_count(r->faults, "fault");
		(void)fputs("; ", stdout);
	}
	print_count(r->variables, "variable");
	(void)printf(", %" PRIu64 " bytes read\n", r->bytes);
	(void)fflush(stdout);
}

static int check_named(const struct named *t, struct watching *w)
{
	const struct check_watch watch = { print_finding, draw_bar, w };
	struct check_result result;
	int r;

	w->named = t;
	w->done = 0;
	r = check_checkpoint(t->dirfd, t->prefix, t->v1, &watch, &result);
	clear_bar(w);
	if (r < 0) {
		log_error("%s: cannot be checked: %s", t->label,
			  named_reason(t, r));
		return r;
	}
	print_result(t, &result);
	w->checkpoints++;
	w->bytes += result.bytes;
	w->faults += result.faults;
	return 0;
}

static int check_path(const char *path, struct watching *w)
{
	CLEANUP(named_release) struct named_list t = { 0 };
	int r = named_open(path, &t);

	for (size_t i = 0; i < t.n; i++) {
		int one = check_named(&t.all[i], w);

		r = r < 0 ? r : one;
	}
	return r;
}

/* What cannot be checked does not keep the rest from being so. */
enum exit_code check_run(const struct options *options)
{
	struct watching w = { .bar = isatty(STDERR_FILENO) };
	int r = 0;

	for (size_t i = 0; i < options->n_paths; i++) {
		int one = check_path(options->paths[i], &w);

		r = r < 0 ? r : one;
	}
	if (w.checkpoints > 1) {
		(void)printf("%" PRIu64 " checkpoints, %" PRIu64
			     " bytes read, ",
			     w.checkpoints, w.bytes);
		print_count(w.faults, "fault");
		(void)putchar('\n');
	}
	if (!print_finish())
		return EXIT_CODE_FAILURE;
	if (w.faults)
		return EXIT_CODE_DAMAGED;
	return r < 0 ? EXIT_CODE_SOURCE : EXIT_CODE_OK;
}
