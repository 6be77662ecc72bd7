/* core/residue: what a crash left goes, and what somebody else wrote stays. */
#include "core/io.h"
#include "core/residue.h"
#include "core/temporary.h"
#include "tests/support.h"

#define NAME "ckpt.index.0123456789abcdef"

static bool exists(const struct place *p, const char *name)
{
	return faccessat(p->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_checkpoint(const struct place *p)
{
	static const char *const pairs[][2] = { { "a", "one" } };

	make_bundle(p->fd, 1, pairs);
}

/* One that a commit is about to replace, which has looked at its index. */
static struct stat make_known_checkpoint(const struct place *p)
{
	struct stat st;

	make_checkpoint(p);
	assert_int_equal(fstatat(p->fd, INDEX_NAME, &st, 0), 0);
	return st;
}

/* A temporary whose name says its own inode number plus `off`. */
static void put_temporary(const struct place *p, unsigned off, char name[128])
{
	struct stat st;

	put_file(p->fd, "t", span_of("index"));
	assert_int_equal(fstatat(p->fd, "t", &st, 0), 0);
	(void)snprintf(name, 128, NAME "-%llx" TEMPORARY_END,
		       (unsigned long long)st.st_ino + off);
	assert_int_equal(renameat(p->fd, "t", p->fd, name), 0);
}

static void new_index_that_got_no_name_goes(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	char name[128];

	(void)state;
	make_checkpoint(&p);
	put_temporary(&p, 0, name);
	put_file(p.fd, NAME TEMPORARY_END, span_of("half"));
	residue_remove(p.fd);
	assert_int_equal(place_count(&p), 2);
}

/* A commit that ends after the exchange: what has its temporary name then. */
static void exchange_and_die(const struct place *p, const struct stat *known,
			     char name[128])
{
	CLEANUP(buf_release) struct buf index = { 0 };
	struct temporary t;

	get_file(p->fd, INDEX_NAME, &index);
	assert_int_equal(temporary_create(p->fd, INDEX_NAME, buf_span(&index),
					  known, &t),
			 0);
	assert_int_equal(io_exchange(p->fd, t.name, INDEX_NAME), 0);
	(void)snprintf(name, 128, "%s", t.name);
	free(STEAL(t.name));
	temporary_release(&t);
}

static void old_index_goes(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	const struct stat known = make_known_checkpoint(&p);
	char name[128];

	(void)state;
	exchange_and_die(&p, &known, name);
	assert_true(exists(&p, name));
	residue_remove(p.fd);
	assert_int_equal(place_count(&p), 2);
}

/* A save that came just before the exchange, and wrote its index before we wrote ours. */
static void index_of_a_save_that_came_between_stays(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	const struct stat known = make_known_checkpoint(&p);
	char name[128];

	(void)state;
	make_checkpoint(&p);
	make_old(p.fd, INDEX_NAME);
	exchange_and_die(&p, &known, name);
	forget_lines();
	residue_remove(p.fd);
	assert_true(exists(&p, name));
	assert_said("perhaps newer than the index");
}

static void first_index_that_got_no_name_goes(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	char name[128];

	(void)state;
	put_temporary(&p, 0, name);
	residue_remove(p.fd);
	assert_int_equal(place_count(&p), 0);
}

/* It may be the last index there is of a checkpoint. */
static void old_index_without_a_new_one_stays(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	char name[128];

	(void)state;
	put_temporary(&p, 1, name);
	residue_remove(p.fd);
	assert_true(exists(&p, name));
}

static void nothing_goes_beside_a_damaged_index(void **state)
{
	CLEANUP(place_release) struct place p = place_make();
	char name[128];

	(void)state;
	put_file(p.fd, INDEX_NAME, span_of("no index"));
	put_temporary(&p, 0, name);
	residue_remove(p.fd);
	assert_true(exists(&p, name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_index_that_got_no_name_goes),
		cmocka_unit_test(old_index_goes),
		cmocka_unit_test(index_of_a_save_that_came_between_stays),
		cmocka_unit_test(first_index_that_got_no_name_goes),
		cmocka_unit_test(old_index_without_a_new_one_stays),
		cmocka_unit_test(nothing_goes_beside_a_damaged_index),
	};

	return cmocka_run_group_tests_name("residue", tests, note_lines, NULL);
}
