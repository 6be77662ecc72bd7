#include "core/explain.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/coding.h"
#include "core/io.h"
#include "core/log.h"

#define POINTER_BYTES "version https://git-lfs.github.com/spec/"
#define POINTER                                                    \
	"a Git LFS pointer, which stands in for the file itself: " \
	"run `git lfs pull` first"
#define GRAPH                                                               \
	"a graph, whose weights, if frozen, are constants in it: name the " \
	"checkpoint it was made from"
#define SAFETENSORS                                                       \
	"a safetensors file, not a TensorFlow checkpoint: name one that " \
	"it was made from"

/* What files begin with, and what that makes them. */
static const struct {
	const char *bytes;
	const char *what;
} contents[] = {
	{ POINTER_BYTES, POINTER },
	{ "\x89HDF\r\n\x1a\n",
	  "an HDF5 file, as Keras and h5py write, not a TensorFlow checkpoint: "
	  "load it in Keras, save with tf.train.Checkpoint, name that prefix" },
	{ "PK\3\4",
	  "a zip archive, as Keras (.keras), NumPy (.npz) and PyTorch write, "
	  "not a TensorFlow checkpoint: "
	  "load it there, save with tf.train.Checkpoint, name that prefix" },
	{ "\x80\x02\x8a\nl\xfc\x9c"
	  "F\xf9 j\xa8P\x19",
	  "a file of PyTorch, not a TensorFlow checkpoint: "
	  "load it there, save with tf.train.Checkpoint, name that prefix" },
	{ "\x1f\x8b",
	  "compressed by gzip: unpack it and name the checkpoint inside" },
};

/* What the end of a name says, where the content said nothing. */
static const struct {
	const char *end;
	const char *what;
} endings[] = {
	{ "saved_model.pb",
	  "the graph of a SavedModel: name the directory it is in" },
	{ ".pb", GRAPH },
	{ ".pbtxt", "a graph as text, without weights: "
		    "name the checkpoint that belongs to it" },
	{ ".h5", "a file of Keras by its name, not a TensorFlow checkpoint: "
		 "name one saved with tf.train.Checkpoint" },
	{ ".hdf5", "an HDF5 file by its name, not a TensorFlow checkpoint: "
		   "name one saved with tf.train.Checkpoint" },
	{ ".keras", "a Keras archive by its name, not a TensorFlow checkpoint: "
		    "name one saved with tf.train.Checkpoint" },
	{ ".safetensors", SAFETENSORS },
	{ ".tar", "an archive: unpack it and name the checkpoint inside" },
};

/* As much of the beginning as there is; false if it is no regular file. */
static bool read_head(int dirfd, const char *name, uint8_t *head, size_t n,
		      size_t *ret)
{
	CLEANUP(close_fd) int fd = io_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	struct stat st;
	int64_t got;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	got = io_read_some(fd, head, n, 0);
	*ret = got < 0 ? 0 : (size_t)got;
	return got >= 0;
}

/* A length, and a JSON object of that many bytes. */
static bool is_safetensors(const uint8_t *head, size_t n)
{
	return n >= 10 && head[8] == '{' &&
	       (head[9] == '"' || head[9] == '}') && !head[4] && !head[5] &&
	       !head[6] && !head[7];
}

/* A text of letters and the like, behind its tag and length; false if there is none. */
static bool skip_text(struct span *s, uint8_t tag)
{
	struct span head, text;

	if (s->len < 2 || s->data[0] != tag || s->data[1] == 0 ||
	    !span_take(s, 2, &head) || !span_take(s, head.data[1], &text))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~')
			return false;
	return true;
}

/* GraphDef: nodes, and each begins with its name and operation. */
static bool is_graph(const uint8_t *head, size_t n)
{
	struct span s = { head, n }, tag;
	uint64_t len;

	if (n == 0 || head[0] != 0x0a || !span_take(&s, 1, &tag) ||
	    !span_get_varint(&s, &len) || len < 4)
		return false;
	if (!skip_text(&s, 0x0a))
		return false;
	return s.len > 2 && s.data[2] >= 'A' && s.data[2] <= 'Z' &&
	       skip_text(&s, 0x12);
}

const char *explain_content(int dirfd, const char *name)
{
	uint8_t head[256] = { 0 };
	size_t n;

	if (!read_head(dirfd, name, head, sizeof(head), &n))
		return NULL;
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
		if (memcmp(head, contents[i].bytes,
			   strlen(contents[i].bytes)) == 0)
			return contents[i].what;
	if (is_graph(head, n))
		return GRAPH;
	return is_safetensors(head, n) ? SAFETENSORS : NULL;
}

const char *explain_file(int dirfd, const char *name)
{
	const char *what = explain_content(dirfd, name);
	uint8_t head;
	size_t n;

	if (what || !read_head(dirfd, name, &head, 1, &n))
		return what;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (span_ends_in(span_of(name), endings[i].end))
			return endings[i].what;
	return NULL;
}

void explain_pointer(int dirfd, const char *name)
{
	uint8_t head[sizeof(POINTER_BYTES) - 1];
	size_t n;

	if (read_head(dirfd, name, head, sizeof(head), &n) &&
	    n == sizeof(head) && memcmp(head, POINTER_BYTES, n) == 0)
		log_error("%s is " POINTER, name);
}
