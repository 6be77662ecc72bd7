#include "core/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "core/cleanup.h"
#include "core/io.h"

/* A pattern for glob(3), around a shard's number; escaped, ??- is a trigraph. */
#define SHARD_PATTERN "-?\?\?\?\?-of-"
#define SHARD_DIGITS  5

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* The next byte, or 0 at the end. */
static uint8_t peek(struct span s)
{
	return s.len > 0 ? s.data[0] : 0;
}

static bool skip(struct span *s, uint8_t c)
{
	struct span byte;

	return s->len > 0 && s->data[0] == c && span_take(s, 1, &byte);
}

/* Bytes behind the first of a character, and the least that it may then stand for. */
static size_t bytes_after(uint8_t first, uint32_t *ret_least)
{
	size_t n = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;

	*ret_least = n == 0 ? 0 : n == 1 ? 0x80 : n == 2 ? 0x800 : 0x10000;
	return first < 0x80 || (first >= 0xc2 && first < 0xf5) ? n : SIZE_MAX;
}

/* The bytes of the first character; 0 at the end, and where that is no UTF-8. */
static size_t first_character(struct span s, uint32_t *ret)
{
	uint32_t least, c = peek(s);
	size_t n = bytes_after(peek(s), &least);

	if (s.len == 0 || n > s.len - 1)
		return 0;
	c &= n ? 0x3fU >> n : 0x7fU;
	for (size_t i = 1; i <= n; i++) {
		if ((s.data[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s.data[i] & 0x3fU);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;

	*ret = c;
	return n + 1;
}

/* TensorFlow decodes the file before it parses it, and the values once more. */
static bool is_utf8(struct span s)
{
	struct span taken;
	uint32_t c;

	while (s.len > 0) {
		size_t n = first_character(s, &c);

		if (n == 0 || !span_take(&s, n, &taken))
			return false;
	}
	return true;
}

/* What Python takes for a blank: `\s` of its regular expressions. */
static bool is_blank(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} blanks[] = {
		{ '\t', '\r' },     { 0x1c, ' ' },      { 0x85, 0x85 },
		{ 0xa0, 0xa0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200a },
		{ 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f },
		{ 0x3000, 0x3000 },
	};

	for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++)
		if (c >= blanks[i].first && c <= blanks[i].last)
			return true;
	return false;
}

static void skip_comment(struct span *s)
{
	while (s->len > 0 && !skip(s, '\n'))
		(void)skip(s, peek(*s));
}

static void skip_blank(struct span *s)
{
	struct span blank;

	for (;;) {
		uint32_t c = 0;
		size_t n = first_character(*s, &c);

		if (c == '#')
			skip_comment(s);
		else if (n > 0 && is_blank(c))
			(void)span_take(s, n, &blank);
		else
			return;
	}
}

/* Skips a mark, and the blanks before it. */
static bool skip_mark(struct span *s, uint8_t mark)
{
	skip_blank(s);
	return skip(s, mark);
}

/* What a digit is worth in bases up to 16; more than any of them if it is none. */
static unsigned digit_value(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10U : 16;
}

/* Up to `max` digits that make one byte. */
static bool get_byte(struct span *s, unsigned base, unsigned max, uint8_t *ret)
{
	unsigned value = 0, n = 0;

	while (n < max && s->len > 0 && digit_value(peek(*s)) < base) {
		value = value * base + digit_value(peek(*s));
		(void)skip(s, peek(*s));
		n++;
	}
	if (n == 0 || value > UINT8_MAX)
		return false;

	*ret = (uint8_t)value;
	return true;
}

/* As UTF-8, which what is too large or half of a pair has none of. */
static bool put_character(struct buf *out, uint32_t c)
{
	static const uint8_t marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	uint8_t bytes[4];

	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return false;
	for (size_t i = n; i-- > 1; c >>= 6)
		bytes[i] = (uint8_t)(0x80 | (c & 0x3f));
	bytes[0] = (uint8_t)((n > 1 ? marks[n] : 0) | c);
	buf_put(out, bytes, n);
	return true;
}

/* All of `digits` digits. */
static bool get_character(struct span *s, unsigned digits, struct buf *out)
{
	uint32_t c = 0;

	for (unsigned i = 0; i < digits; i++) {
		unsigned digit = digit_value(peek(*s));

		if (digit > 15)
			return false;
		c = c << 4 | digit;
		(void)skip(s, peek(*s));
	}
	return put_character(out, c);
}

/* One byte, in digits or as a letter. */
static bool get_escaped_byte(struct span *s, uint8_t *ret)
{
	static const char letters[] = "abfnrtv\\'\"";
	static const char meanings[] = "\a\b\f\n\r\t\v\\'\"";
	const char *letter;

	if (skip(s, 'x'))
		return get_byte(s, 16, 2, ret);
	if (digit_value(peek(*s)) < 8)
		return get_byte(s, 8, 3, ret);

	letter = memchr(letters, peek(*s), sizeof(letters) - 1);
	*ret = letter ? (uint8_t)meanings[letter - letters] : '\\';
	if (letter)
		(void)skip(s, peek(*s));
	return true;
}

/*
 * What follows a backslash.  Where that is no escape the backslash is meant, as
 * the protobuf library of Python has it, which is what TensorFlow reads with.
 */
static bool get_escape(struct span *s, struct buf *out)
{
	uint8_t byte;

	if (skip(s, 'u'))
		return get_character(s, 4, out);
	if (skip(s, 'U'))
		return get_character(s, 8, out);
	if (!get_escaped_byte(s, &byte))
		return false;
	buf_put(out, &byte, 1);
	return true;
}

static bool get_quoted(struct span *s, uint8_t quote, struct buf *ret)
{
	while (!skip(s, quote)) {
		uint8_t c = peek(*s);

		if (s->len == 0 || c == '\n')
			return false;
		(void)skip(s, c);
		if (c != '\\')
			buf_put(ret, &c, 1);
		else if (!get_escape(s, ret))
			return false;
	}
	return true;
}

/* Strings side by side are one, as in C; `ret_written` is where they all stand. */
static bool get_string(struct span *s, struct buf *ret,
		       struct span *ret_written)
{
	bool found = false;

	for (;; found = true) {
		uint8_t quote;

		skip_blank(s);
		quote = peek(*s);
		if (quote != '"' && quote != '\'')
			return found;
		if (!found)
			ret_written->data = s->data;
		(void)skip(s, quote);
		if (!get_quoted(s, quote, ret))
			return false;
		ret_written->len = (size_t)(s->data - ret_written->data);
	}
}

static bool is_name_byte(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_number_byte(uint8_t c)
{
	return is_name_byte(c) || c == '.' || c == '+' || c == '-';
}

/* As many bytes as `belongs` takes, and at least one. */
static bool get_word(struct span *s, bool (*belongs)(uint8_t), struct span *ret)
{
	size_t n = 0;

	skip_blank(s);
	while (n < s->len && belongs(s->data[n]))
		n++;
	return n > 0 && span_take(s, n, ret);
}

/* As in C: a zero before another digit.  Python's library refuses it. */
static bool is_octal(struct span s)
{
	(void)skip(&s, '-');
	return skip(&s, '0') && is_digit(peek(s));
}

/* Digits, with single underscores between them. */
static bool skip_digits(struct span *s)
{
	bool found = false;

	while (is_digit(peek(*s)) || (found && peek(*s) == '_' && s->len > 1 &&
				      is_digit(s->data[1]))) {
		(void)skip(s, peek(*s));
		found = true;
	}
	return found;
}

/* Digits before a point, behind it, or both; and a power of ten. */
static bool skip_decimal(struct span *s)
{
	bool found = skip_digits(s);

	if (skip(s, '.'))
		found |= skip_digits(s);
	if (!found || (!skip(s, 'e') && !skip(s, 'E')))
		return found;
	if (!skip(s, '-'))
		(void)skip(s, '+');
	return skip_digits(s);
}

/* A word in whatever case. */
static bool skip_letters(struct span *s, const char *word)
{
	struct span taken, rest = *s;

	if (!span_take(&rest, strlen(word), &taken) ||
	    strncasecmp((const char *)taken.data, word, taken.len) != 0)
		return false;
	*s = rest;
	return true;
}

/* A decimal number as float() of Python takes it, with an `f` if one likes. */
static bool is_number(struct span s)
{
	if (!skip(&s, '-'))
		(void)skip(&s, '+');
	if (!skip_letters(&s, "infinity") && !skip_letters(&s, "inf") &&
	    !skip_letters(&s, "nan") && !skip_decimal(&s))
		return false;
	while (skip(&s, 'f') || skip(&s, 'F'))
		;
	return s.len == 0;
}

static bool get_number(struct span *s, struct buf *ret,
		       struct span *ret_written)
{
	struct span word;

	if (!get_word(s, is_number_byte, &word) || is_octal(word) ||
	    !is_number(word))
		return false;
	buf_put(ret, word.data, word.len);
	*ret_written = word;
	return true;
}

static const struct field {
	const char *name;
	bool (*get)(struct span *s, struct buf *ret, struct span *ret_written);
	enum state_field id;
	bool repeated;
} fields[] = {
	{ "model_checkpoint_path", get_string, STATE_LATEST, false },
	{ "all_model_checkpoint_paths", get_string, STATE_PATH, true },
	{ "all_model_checkpoint_timestamps", get_number, STATE_TIME, true },
	{ "last_preserved_timestamp", get_number, STATE_PRESERVED, false },
};

static const struct field *find_field(struct span name)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (span_equal(name, span_of(fields[i].name)))
			return &fields[i];
	return NULL;
}

/* Who is told of each value. */
struct visit {
	state_visitor *visitor;
	void *arg;
};

static int get_value(struct span *s, const struct field *field,
		     const struct visit *visit)
{
	CLEANUP(buf_release) struct buf value = { 0 };
	struct span written = { 0 };

	if (!field->get(s, &value, &written))
		return -EINVAL;
	if (buf_error(&value))
		return buf_error(&value);
	if (!is_utf8(buf_span(&value)))
		return -EINVAL;
	return visit->visitor(visit->arg, field->id, written, buf_span(&value));
}

/* One value, or where the field is repeated also `[a, b]`. */
static int get_values(struct span *s, const struct field *field,
		      const struct visit *visit)
{
	int r;

	if (!field->repeated || !skip_mark(s, '['))
		return get_value(s, field, visit);
	if (skip_mark(s, ']'))
		return 0;

	do {
		r = get_value(s, field, visit);
		if (r < 0)
			return r;
	} while (skip_mark(s, ','));
	return skip_mark(s, ']') ? 0 : -EINVAL;
}

/* One `name: value`. */
static int get_field(struct span *s, const struct visit *visit)
{
	const struct field *field;
	struct span name;
	int r;

	if (!get_word(s, is_name_byte, &name))
		return -EINVAL;
	field = find_field(name);
	if (!field || !skip_mark(s, ':'))
		return -EINVAL;
	r = get_values(s, field, visit);
	if (r == 0 && !skip_mark(s, ','))
		(void)skip_mark(s, ';');
	return r;
}

int state_each(struct span text, state_visitor *visitor, void *arg)
{
	const struct visit visit = { visitor, arg };
	int r = is_utf8(text) ? 0 : -EINVAL;

	for (skip_blank(&text); r == 0 && text.len > 0; skip_blank(&text))
		r = get_field(&text, &visit);
	return r;
}

/* A path takes the place of what the latest was. */
static int note_latest(void *arg, enum state_field field, struct span written,
		       struct span value)
{
	struct buf *latest = arg;

	(void)written;
	if (field != STATE_LATEST)
		return 0;
	latest->len = 0;
	buf_put(latest, value.data, value.len);
	return buf_error(latest);
}

static struct span last_component(struct span path)
{
	const uint8_t *slash = NULL;
	struct span dir;

	if (path.len > 0)
		slash = memrchr(path.data, '/', path.len);
	if (slash)
		(void)span_take(&path, (size_t)(slash + 1 - path.data), &dir);
	return path;
}

static struct span cut_shard_pattern(struct span name)
{
	const size_t pattern_len = strlen(SHARD_PATTERN);
	struct span rest = name, stem, pattern;
	size_t digits = 0;

	while (digits < name.len && is_digit(name.data[name.len - 1 - digits]))
		digits++;
	if (digits < SHARD_DIGITS || name.len - digits < pattern_len)
		return name;

	(void)span_take(&rest, name.len - digits - pattern_len, &stem);
	(void)span_take(&rest, pattern_len, &pattern);
	return span_equal(pattern, span_of(SHARD_PATTERN)) ? stem : name;
}

/* Whether a directory can hold an entry of this name. */
static bool is_entry_name(struct span name)
{
	return name.len > 0 && !memchr(name.data, '\0', name.len) &&
	       !span_equal(name, span_of(".")) &&
	       !span_equal(name, span_of(".."));
}

enum state_place state_path_place(int dirfd, struct span path)
{
	size_t len = path.len - last_component(path).len;
	CLEANUP(free_ptr)
	char *dir = strndup((const char *)path.data, len);
	CLEANUP(close_fd) int fd = -1;
	struct file_id here, there;

	if (len == 0)
		return STATE_HERE;
	if (!dir || strlen(dir) != len)
		return STATE_NOWHERE;
	fd = io_open(dirfd, dir, O_PATH | O_DIRECTORY);
	if (fd < 0 || io_fd_id(fd, &there) < 0 || io_fd_id(dirfd, &here) < 0)
		return STATE_NOWHERE;
	return here.dev == there.dev && here.ino == there.ino ? STATE_HERE
							      : STATE_ELSEWHERE;
}

bool state_path_name(struct span path, struct span *ret)
{
	struct span name = cut_shard_pattern(last_component(path));

	if (!is_entry_name(name))
		return false;
	*ret = name;
	return true;
}

int state_latest_path(struct span text, struct buf *out)
{
	CLEANUP(buf_release) struct buf path = { 0 };
	int r = state_each(text, note_latest, &path);

	if (r < 0)
		return r;
	if (path.len == 0)
		return -ENOENT;
	buf_put(out, path.data, path.len);
	return buf_error(out);
}

int state_latest(struct span text, struct buf *out)
{
	CLEANUP(buf_release) struct buf path = { 0 };
	int r = state_latest_path(text, &path);
	struct span name;

	if (r < 0)
		return r;
	if (!state_path_name(buf_span(&path), &name))
		return -ENOENT;
	buf_put(out, name.data, name.len);
	return buf_error(out);
}
