#include "core/dtype.h"

#include <string.h>
#include <strings.h>

struct dtype_info {
	const char *name; /* TensorFlow's; NULL where the number is not a type */
	const char *enum_name;
	const char *code;  /* numpy's kind and width, without a byte order */
	const char *alias; /* what TensorFlow or numpy call it as well */
	size_t size;
};

#define DTYPE(dtype, name, size, ...) \
	[dtype] = { (name), #dtype, __VA_ARGS__, (size) }

/* clang-format off */
static const struct dtype_info dtypes[] = {
	DTYPE(DT_FLOAT,              "float32",             4,  "f4",  "single"),
	DTYPE(DT_DOUBLE,             "float64",             8,  "f8",  "double"),
	DTYPE(DT_INT32,              "int32",               4,  "i4",  NULL),
	DTYPE(DT_UINT8,              "uint8",               1,  "u1",  NULL),
	DTYPE(DT_INT16,              "int16",               2,  "i2",  NULL),
	DTYPE(DT_INT8,               "int8",                1,  "i1",  NULL),
	DTYPE(DT_STRING,             "string",              0,  NULL,  NULL),
	DTYPE(DT_COMPLEX64,          "complex64",           8,  "c8",  "csingle"),
	DTYPE(DT_INT64,              "int64",               8,  "i8",  NULL),
	DTYPE(DT_BOOL,               "bool",                1,  "b1",  "?"),
	DTYPE(DT_QINT8,              "qint8",               1,  NULL,  NULL),
	DTYPE(DT_QUINT8,             "quint8",              1,  NULL,  NULL),
	DTYPE(DT_QINT32,             "qint32",              4,  NULL,  NULL),
	DTYPE(DT_BFLOAT16,           "bfloat16",            2,  NULL,  NULL),
	DTYPE(DT_QINT16,             "qint16",              2,  NULL,  NULL),
	DTYPE(DT_QUINT16,            "quint16",             2,  NULL,  NULL),
	DTYPE(DT_UINT16,             "uint16",              2,  "u2",  NULL),
	DTYPE(DT_COMPLEX128,         "complex128",          16, "c16", "cdouble"),
	DTYPE(DT_HALF,               "float16",             2,  "f2",  "half"),
	DTYPE(DT_VARIANT,            "variant",             0,  NULL,  NULL),
	DTYPE(DT_UINT32,             "uint32",              4,  "u4",  NULL),
	DTYPE(DT_UINT64,             "uint64",              8,  "u8",  NULL),
	DTYPE(DT_FLOAT8_E5M2,        "float8_e5m2",         1,  NULL,  NULL),
	DTYPE(DT_FLOAT8_E4M3FN,      "float8_e4m3fn",       1,  NULL,  NULL),
	DTYPE(DT_FLOAT8_E4M3FNUZ,    "float8_e4m3fnuz",     1,  NULL,  NULL),
	DTYPE(DT_FLOAT8_E4M3B11FNUZ, "float8_e4m3b11fnuz",  1,  NULL,  NULL),
	DTYPE(DT_FLOAT8_E5M2FNUZ,    "float8_e5m2fnuz",     1,  NULL,  NULL),
	DTYPE(DT_INT4,               "int4",                1,  NULL,  NULL),
	DTYPE(DT_UINT4,              "uint4",               1,  NULL,  NULL),
	DTYPE(DT_INT2,               "int2",                1,  NULL,  NULL),
	DTYPE(DT_UINT2,              "uint2",               1,  NULL,  NULL),
	DTYPE(DT_FLOAT4_E2M1FN,      "float4_e2m1fn",       1,  NULL,  NULL),
};
/* clang-format on */

#define DTYPES ((int32_t)(sizeof(dtypes) / sizeof(dtypes[0])))

bool dtype_known(int32_t dtype)
{
	return dtype_name(dtype) != NULL;
}

bool dtype_swaps(int32_t dtype)
{
	return dtype_known(dtype) && dtype != DT_VARIANT &&
	       dtype < DT_FLOAT8_E5M2;
}

const char *dtype_name(int32_t dtype)
{
	return dtype >= 0 && dtype < DTYPES ? dtypes[dtype].name : NULL;
}

size_t dtype_size(int32_t dtype)
{
	return dtype_known(dtype) ? dtypes[dtype].size : 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trim(struct span s)
{
	struct span blank;

	while (s.len > 0 && is_blank(s.data[0]))
		(void)span_take(&s, 1, &blank);
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* A NUL in `text` differs from every letter, so nothing hides behind one. */
static bool is_word(struct span text, const char *word)
{
	return word && text.len == strlen(word) &&
	       strncasecmp((const char *)text.data, word, text.len) == 0;
}

/* Little-endian, native, or of one byte: the order that values have here. */
static bool is_order(uint8_t c)
{
	return c == '<' || c == '=' || c == '|';
}

/* Case counts: numpy tells `b` from `B`. */
static bool is_code(struct span text, const char *code)
{
	struct span order;

	if (!code)
		return false;
	if (text.len > 0 && is_order(text.data[0]))
		(void)span_take(&text, 1, &order);
	return span_equal(text, span_of(code));
}

bool dtype_parse(struct span text, enum dtype *ret)
{
	struct span word = trim(text);

	for (int32_t i = 0; i < DTYPES; i++) {
		const struct dtype_info *t = &dtypes[i];

		/* A variant's bytes mean nothing without the program. */
		if (i == DT_VARIANT)
			continue;
		if (is_word(word, t->name) || is_word(word, t->enum_name) ||
		    is_word(word, t->alias) || is_code(word, t->code)) {
			*ret = (enum dtype)i;
			return true;
		}
	}
	return false;
}

bool dtype_is_variant(struct span text)
{
	struct span word = trim(text);

	return is_word(word, dtypes[DT_VARIANT].name) ||
	       is_word(word, dtypes[DT_VARIANT].enum_name);
}
