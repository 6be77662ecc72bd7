#include "fs/inode.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define FACETS 4 /* node ids per number: see enum facet */
#define CHUNK  4096

struct inode {
	struct target target;
	uint64_t lookups;
	bool stale;          /* its content is not what the kernel has */
	atomic_bool changed; /* names in it did */
};

struct inode_table {
	struct inode root;
	uint64_t root_id;
	pthread_rwlock_t lock;  /* for what follows, and all inodes */
	struct inode ***chunks; /* by number, in pieces of CHUNK */
	size_t n_chunks;
};

void target_release(struct target *t)
{
	item_unref(t->item);
	checkpoint_unref(t->checkpoint);
	object_release(&t->object);
	*t = (struct target){ 0 };
}

struct target target_of_item(struct item *item)
{
	struct target t = { 0 };
	struct checkpoint *cp = item_checkpoint(item);

	if (cp) {
		t.checkpoint = checkpoint_ref(cp);
		t.object.facet = FACET_SCOPE;
		t.object.node = node_ref(checkpoint_root(cp));
	} else if (item_folder(item)) {
		t.folder = item_folder(item);
	} else {
		t.item = item_ref(item);
	}
	return t;
}

mode_t target_type(const struct target *t)
{
	if (t->object.variable)
		return S_IFREG;
	if (t->checkpoint)
		return t->object.facet == FACET_LINK ? S_IFLNK : S_IFDIR;
	if (t->item)
		return item_kind(t->item) == ITEM_FILE ? S_IFREG : S_IFLNK;
	return S_IFDIR;
}

static void target_copy(const struct target *from, struct target *to)
{
	*to = *from;
	if (to->item)
		(void)item_ref(to->item);
	if (to->checkpoint)
		(void)checkpoint_ref(to->checkpoint);
	if (to->object.node)
		(void)node_ref(to->object.node);
	if (to->object.variable)
		(void)variable_ref(to->object.variable);
	/* It is so of the name that was looked up, not of the node. */
	to->object.brief = false;
}

static uint64_t target_id(const struct target *t)
{
	if (t->folder)
		return folder_id(t->folder);
	if (t->item)
		return item_id(t->item);
	if (t->object.variable)
		return variable_id(t->object.variable);
	return node_id(t->object.node);
}

/* Sidecars have numbers before that of their value, and nothing else has any. */
static unsigned facet_bits(const struct target *t)
{
	if (t->object.variable && t->object.facet == FACET_SHAPE)
		return FACET_SHAPE;
	if (t->object.variable && t->object.facet == FACET_DTYPE)
		return FACET_DTYPE;
	return FACET_VALUE;
}

fuse_ino_t target_node(const struct target *t)
{
	return target_id(t) * FACETS + facet_bits(t);
}

fuse_ino_t target_ino(const struct target *t)
{
	if (t->object.variable)
		return variable_ino(t->object.variable) * FACETS +
		       facet_bits(t);
	return target_node(t);
}

int inode_table_new(struct target *root, struct inode_table **ret)
{
	struct inode_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	(void)pthread_rwlock_init(&t->lock, NULL);
	t->root.target = *root;
	t->root_id = target_id(root);
	*root = (struct target){ 0 };
	*ret = t;
	return 0;
}

static void inode_free(struct inode *inode)
{
	if (inode)
		target_release(&inode->target);
	free(inode);
}

void inode_table_free(struct inode_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_chunks; i++) {
		for (size_t j = 0; t->chunks[i] && j < CHUNK; j++)
			inode_free(t->chunks[i][j]);
		free(t->chunks[i]);
	}
	free(t->chunks);
	target_release(&t->root.target);
	(void)pthread_rwlock_destroy(&t->lock);
	free(t);
}

/* Where the inode of this number stands; NULL if there is no room for it yet. */
static struct inode **slot_locked(const struct inode_table *t, uint64_t id)
{
	size_t chunk = id / CHUNK;

	if (chunk >= t->n_chunks || !t->chunks[chunk])
		return NULL;
	return &t->chunks[chunk][id % CHUNK];
}

static struct inode *find_locked(struct inode_table *t, uint64_t id)
{
	struct inode **slot = slot_locked(t, id);

	if (id == t->root_id)
		return &t->root;
	return slot ? *slot : NULL;
}

/* NULL if there is no memory for it. */
static struct inode **make_slot_locked(struct inode_table *t, uint64_t id)
{
	size_t chunk = id / CHUNK;

	if (chunk >= t->n_chunks) {
		struct inode ***chunks = reallocarray(t->chunks, chunk + 1,
						      sizeof(*chunks));

		if (!chunks)
			return NULL;
		memset(chunks + t->n_chunks, 0,
		       (chunk + 1 - t->n_chunks) * sizeof(*chunks));
		t->chunks = chunks;
		t->n_chunks = chunk + 1;
	}
	if (!t->chunks[chunk])
		t->chunks[chunk] = calloc(CHUNK, sizeof(struct inode *));
	return slot_locked(t, id);
}

static int remember_locked(struct inode_table *t, const struct target *target)
{
	uint64_t id = target_id(target);
	struct inode *inode = find_locked(t, id);
	struct inode **slot;

	if (!inode) {
		slot = make_slot_locked(t, id);
		inode = slot ? calloc(1, sizeof(*inode)) : NULL;
		if (!inode)
			return -ENOMEM;
		target_copy(target, &inode->target);
		*slot = inode;
	}
	inode->lookups++;
	return 0;
}

int inode_remember(struct inode_table *t, const struct target *target)
{
	int r;

	(void)pthread_rwlock_wrlock(&t->lock);
	r = remember_locked(t, target);
	(void)pthread_rwlock_unlock(&t->lock);
	return r;
}

void inode_forget(struct inode_table *t, fuse_ino_t node, uint64_t lookups)
{
	struct inode *gone = NULL;
	struct inode **slot;

	if (node == FUSE_ROOT_ID)
		return;
	(void)pthread_rwlock_wrlock(&t->lock);
	slot = slot_locked(t, node / FACETS);
	if (slot && *slot) {
		(*slot)->lookups -= lookups;
		if ((*slot)->lookups == 0)
			gone = STEAL(*slot);
	}
	(void)pthread_rwlock_unlock(&t->lock);
	inode_free(gone);
}

static struct inode *find_node_locked(struct inode_table *t, fuse_ino_t node)
{
	return node == FUSE_ROOT_ID ? &t->root : find_locked(t, node / FACETS);
}

struct target inode_target(struct inode_table *t, fuse_ino_t node)
{
	struct target target = { 0 };
	const struct inode *inode;

	(void)pthread_rwlock_rdlock(&t->lock);
	inode = find_node_locked(t, node);
	if (inode)
		target = inode->target;
	(void)pthread_rwlock_unlock(&t->lock);
	/* One inode stands for a variable and its sidecars. */
	if (target.object.variable)
		target.object.facet = (enum facet)(node % FACETS);
	return target;
}

/*
 * Of a folder, nothing was counted that somebody could still be using.  (What a node
 * stands for is borrowed without a lock: anything else would have to wait.)
 */
void inode_retarget(struct inode_table *t, fuse_ino_t node,
		    const struct target *target)
{
	struct inode *inode;

	(void)pthread_rwlock_wrlock(&t->lock);
	inode = find_node_locked(t, node);
	if (inode && inode->target.folder)
		target_copy(target, &inode->target);
	(void)pthread_rwlock_unlock(&t->lock);
}

bool inode_note_change(struct inode_table *t, uint64_t id)
{
	struct inode *inode;

	(void)pthread_rwlock_rdlock(&t->lock);
	inode = find_locked(t, id);
	if (inode)
		atomic_store(&inode->changed, true);
	(void)pthread_rwlock_unlock(&t->lock);
	return inode;
}

bool inode_changed(struct inode_table *t, fuse_ino_t node)
{
	struct inode *inode;
	bool changed;

	(void)pthread_rwlock_rdlock(&t->lock);
	inode = find_node_locked(t, node);
	changed = inode && atomic_load(&inode->changed);
	(void)pthread_rwlock_unlock(&t->lock);
	return changed;
}

fuse_ino_t inode_of_id(struct inode_table *t, uint64_t id)
{
	return id == t->root_id ? FUSE_ROOT_ID : id * FACETS + FACET_VALUE;
}

fuse_ino_t inode_of_facet(fuse_ino_t node, enum facet facet)
{
	return node - node % FACETS + facet;
}

void inode_make_stale(struct inode_table *t, fuse_ino_t node)
{
	struct inode *inode;

	(void)pthread_rwlock_wrlock(&t->lock);
	inode = find_node_locked(t, node);
	if (inode)
		inode->stale = true;
	(void)pthread_rwlock_unlock(&t->lock);
}

bool inode_take_stale(struct inode_table *t, fuse_ino_t node)
{
	struct inode *inode;
	bool stale = false;

	/* Seldom true, and then set: so the common case only reads. */
	(void)pthread_rwlock_rdlock(&t->lock);
	inode = find_node_locked(t, node);
	stale = inode && inode->stale;
	(void)pthread_rwlock_unlock(&t->lock);
	if (!stale)
		return false;
	(void)pthread_rwlock_wrlock(&t->lock);
	inode = find_node_locked(t, node);
	if (inode)
		inode->stale = false;
	(void)pthread_rwlock_unlock(&t->lock);
	return true;
}
