/* core/spools: who has a file of its own lets go of it, unless it was just read. */
#include "core/spools.h"
#include "tests/support.h"

struct user {
	struct spool_user spool;
	unsigned drops;
};

static void note_drop(struct spool_user *u)
{
	((struct user *)(void *)u)->drops++;
}

/* Makes it look as if nobody had read it for a while. */
static void grow_old(struct user *u)
{
	u->spool.used -= 60;
}

static struct spools *make(struct user *users, size_t n)
{
	struct spools *s = NULL;

	assert_int_equal(spools_new(&s), 0);
	for (size_t i = 0; i < n; i++)
		users[i] = (struct user){ .spool.drop = note_drop };
	return s;
}

static void few_are_kept(void **state)
{
	struct user users[40];
	struct spools *s = make(users, ARRAY_SIZE(users));
	unsigned drops = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		spools_use(s, &users[i].spool, 1);
		grow_old(&users[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		drops += users[i].drops;
	assert_int_equal(drops, 32);
	assert_int_equal(users[0].drops, 1);
	assert_int_equal(users[39].drops, 0);
	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		spools_forget(s, &users[i].spool);
	spools_free(s);
}

static void large_ones_are_dropped_first_of_all(void **state)
{
	struct user users[2];
	struct spools *s = make(users, 2);

	(void)state;
	spools_use(s, &users[0].spool, UINT64_C(2) << 30);
	assert_int_equal(users[0].drops, 0);
	grow_old(&users[0]);
	spools_use(s, &users[1].spool, 1);
	assert_int_equal(users[0].drops, 1);
	assert_int_equal(users[1].drops, 0);
	spools_use(s, &users[0].spool, UINT64_C(2) << 30);
	assert_int_equal(users[0].drops, 1);
	spools_forget(s, &users[0].spool);
	spools_forget(s, &users[1].spool);
	spools_free(s);
}

/* Or each of its reads would decode it anew. */
static void what_is_being_read_is_kept(void **state)
{
	struct user users[40];
	struct spools *s = make(users, ARRAY_SIZE(users));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		spools_use(s, &users[i].spool, UINT64_C(1) << 30);
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		assert_int_equal(users[i].drops, 0);
		spools_forget(s, &users[i].spool);
	}
	spools_free(s);
}

static void but_not_where_there_are_very_many(void **state)
{
	struct user users[100];
	struct spools *s = make(users, ARRAY_SIZE(users));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		spools_use(s, &users[i].spool, 1);
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		assert_int_equal(users[i].drops, i < 36);
		spools_forget(s, &users[i].spool);
	}
	spools_free(s);
}

static void the_one_used_last_stays(void **state)
{
	struct user users[9];
	struct spools *s = make(users, ARRAY_SIZE(users));

	(void)state;
	for (size_t i = 0; i < 8; i++)
		spools_use(s, &users[i].spool, 1);
	spools_use(s, &users[0].spool, 1);
	for (size_t i = 0; i < 8; i++)
		grow_old(&users[i]);
	spools_use(s, &users[8].spool, 1);
	assert_int_equal(users[0].drops, 0);
	assert_int_equal(users[1].drops, 1);
	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		spools_forget(s, &users[i].spool);
	spools_forget(s, &users[0].spool);
	spools_free(s);
	spools_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_are_kept),
		cmocka_unit_test(large_ones_are_dropped_first_of_all),
		cmocka_unit_test(what_is_being_read_is_kept),
		cmocka_unit_test(but_not_where_there_are_very_many),
		cmocka_unit_test(the_one_used_last_stays),
	};

	return cmocka_run_group_tests_name("spools", tests, NULL, NULL);
}
