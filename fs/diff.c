#include "fs/diff.h"

#include <stdio.h>
#include <string.h>

#include "core/bundle.h"
#include "core/cleanup.h"
#include "core/diff.h"
#include "core/dtype.h"
#include "core/log.h"
#include "core/shape.h"
#include "fs/named.h"
#include "fs/print.h"

static const char *const words[] = {
	[DIFFERENCE_ADDED] = "added",     [DIFFERENCE_REMOVED] = "removed",
	[DIFFERENCE_RETYPED] = "retyped", [DIFFERENCE_RESHAPED] = "reshaped",
	[DIFFERENCE_CHANGED] = "changed", [DIFFERENCE_UNKNOWN] = "unreadable",
};

static void print_type(const struct entry *e)
{
	CLEANUP(buf_release) struct buf shape = { 0 };

	shape_print(entry_shape(e), &shape);
	if (buf_error(&shape) || shape.len == 0)
		return;
	(void)printf("%s %.*s", dtype_name(entry_dtype(e)), (int)shape.len - 1,
		     (const char *)shape.data);
}

static void print_difference(enum difference what, const struct entry *a,
			     const struct entry *b)
{
	(void)printf("%-10s  ", words[what]);
	print_escaped(stdout, entry_key(a ? a : b));
	(void)fputs("  ", stdout);
	if (a)
		print_type(a);
	if (what == DIFFERENCE_RETYPED || what == DIFFERENCE_RESHAPED) {
		(void)fputs(" -> ", stdout);
		print_type(b);
	} else if (!a) {
		print_type(b);
	}
	(void)putchar('\n');
}

static int open_side(const char *path, struct named_list *t,
		     struct bundle **ret)
{
	int r = named_open_one(path, true, t);

	return r < 0 ? r : named_read(&t->all[0], ret);
}

enum exit_code diff_run(const struct options *options)
{
	CLEANUP(named_release) struct named_list ta = { 0 };
	CLEANUP(named_release) struct named_list tb = { 0 };
	CLEANUP(bundle_unrefp) struct bundle *a = NULL;
	CLEANUP(bundle_unrefp) struct bundle *b = NULL;
	struct diff_result result;
	int r;

	if (open_side(options->source, &ta, &a) < 0 ||
	    open_side(options->other, &tb, &b) < 0)
		return EXIT_CODE_TROUBLE;
	r = diff_bundles(a, b, print_difference, &result);
	if (r < 0)
		log_error("cannot compare: %s", strerror(-r));
	/* What is not shown of a damaged index cannot be compared. */
	if (!print_finish() || r < 0 || result.unknown || !named_whole(a) ||
	    !named_whole(b))
		return EXIT_CODE_TROUBLE;
	return result.different ? EXIT_CODE_DIFFER : EXIT_CODE_OK;
}
