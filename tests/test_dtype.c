/* core/dtype: the names and widths of types, and the words people use for them. */

#include "core/dtype.h"
#include "tests/test.h"

static const struct {
	enum dtype dtype;
	const char *name;
	size_t size;
} known[] = {
	{ DT_FLOAT, "float32", 4 },
	{ DT_DOUBLE, "float64", 8 },
	{ DT_INT32, "int32", 4 },
	{ DT_UINT8, "uint8", 1 },
	{ DT_INT16, "int16", 2 },
	{ DT_INT8, "int8", 1 },
	{ DT_STRING, "string", 0 },
	{ DT_COMPLEX64, "complex64", 8 },
	{ DT_INT64, "int64", 8 },
	{ DT_BOOL, "bool", 1 },
	{ DT_QINT8, "qint8", 1 },
	{ DT_QUINT8, "quint8", 1 },
	{ DT_QINT32, "qint32", 4 },
	{ DT_BFLOAT16, "bfloat16", 2 },
	{ DT_QINT16, "qint16", 2 },
	{ DT_QUINT16, "quint16", 2 },
	{ DT_UINT16, "uint16", 2 },
	{ DT_COMPLEX128, "complex128", 16 },
	{ DT_HALF, "float16", 2 },
	{ DT_UINT32, "uint32", 4 },
	{ DT_UINT64, "uint64", 8 },
	{ DT_FLOAT8_E5M2, "float8_e5m2", 1 },
	{ DT_FLOAT8_E4M3FN, "float8_e4m3fn", 1 },
	{ DT_FLOAT8_E4M3FNUZ, "float8_e4m3fnuz", 1 },
	{ DT_FLOAT8_E4M3B11FNUZ, "float8_e4m3b11fnuz", 1 },
	{ DT_FLOAT8_E5M2FNUZ, "float8_e5m2fnuz", 1 },
	{ DT_INT4, "int4", 1 },
	{ DT_UINT4, "uint4", 1 },
	{ DT_INT2, "int2", 1 },
	{ DT_UINT2, "uint2", 1 },
	{ DT_FLOAT4_E2M1FN, "float4_e2m1fn", 1 },
};

static const struct {
	const char *text;
	enum dtype dtype;
} spellings[] = {
	{ "float32\n", DT_FLOAT },
	{ " \t\r\nfloat32\r\n ", DT_FLOAT },
	{ "Float32", DT_FLOAT },
	{ "BFLOAT16", DT_BFLOAT16 },
	{ "DT_FLOAT", DT_FLOAT },
	{ "dt_float", DT_FLOAT },
	{ "DT_HALF", DT_HALF },
	{ "DT_DOUBLE", DT_DOUBLE },
	{ "DT_FLOAT8_E4M3FN", DT_FLOAT8_E4M3FN },
	{ "single", DT_FLOAT },
	{ "double", DT_DOUBLE },
	{ "half", DT_HALF },
	{ "csingle", DT_COMPLEX64 },
	{ "cdouble", DT_COMPLEX128 },
	{ "f2", DT_HALF },
	{ "<f4", DT_FLOAT },
	{ "f4", DT_FLOAT },
	{ "=f4", DT_FLOAT },
	{ "<f8", DT_DOUBLE },
	{ "i1", DT_INT8 },
	{ "i2", DT_INT16 },
	{ "i4", DT_INT32 },
	{ "<i8", DT_INT64 },
	{ "u1", DT_UINT8 },
	{ "|u1", DT_UINT8 },
	{ "u2", DT_UINT16 },
	{ "u4", DT_UINT32 },
	{ "<u8", DT_UINT64 },
	{ "c8", DT_COMPLEX64 },
	{ "<c16", DT_COMPLEX128 },
	{ "b1", DT_BOOL },
	{ "|b1", DT_BOOL },
	{ "?", DT_BOOL },
	/* Nearly the same as numpy's i4 and u4, and TensorFlow's own. */
	{ "int4", DT_INT4 },
	{ "uint4", DT_UINT4 },
};

static bool refuses(const char *text)
{
	enum dtype dtype = DT_INVALID;

	return !dtype_parse(span_of(text), &dtype) && dtype == DT_INVALID;
}

static void every_type_has_its_name_and_width(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		assert_true(dtype_known(known[i].dtype));
		assert_string_equal(dtype_name(known[i].dtype), known[i].name);
		assert_int_equal(dtype_size(known[i].dtype), known[i].size);
	}
}

static void every_name_reads_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		enum dtype dtype;

		assert_true(dtype_parse(span_of(known[i].name), &dtype));
		assert_int_equal(dtype, known[i].dtype);
	}
}

static void other_spellings_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		enum dtype dtype;

		assert_true(dtype_parse(span_of(spellings[i].text), &dtype));
		assert_int_equal(dtype, spellings[i].dtype);
	}
}

static void numbers_that_are_no_type_are_unknown(void **state)
{
	const int32_t numbers[] = {
		INT32_MIN,
		-1,
		DT_INVALID,
		DT_RESOURCE,
		DT_FLOAT4_E2M1FN + 1,
		100,
		101 /* DT_FLOAT_REF */,
		INT32_MAX,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		assert_false(dtype_known(numbers[i]));
		assert_null(dtype_name(numbers[i]));
		assert_int_equal(dtype_size(numbers[i]), 0);
	}
}

static void variant_is_known_but_cannot_be_asked_for(void **state)
{
	(void)state;
	assert_true(dtype_known(DT_VARIANT));
	assert_string_equal(dtype_name(DT_VARIANT), "variant");
	assert_int_equal(dtype_size(DT_VARIANT), 0);
	assert_true(refuses("variant"));
	assert_true(refuses("DT_VARIANT"));
}

static void names_that_programs_do_not_agree_on_are_refused(void **state)
{
	(void)state;
	assert_true(refuses("float"));
	assert_true(refuses("int"));
	assert_true(refuses("uint"));
	assert_true(refuses("complex"));
}

static void big_endian_types_are_refused(void **state)
{
	(void)state;
	assert_true(refuses(">f4"));
	assert_true(refuses(">i8"));
	assert_true(refuses("!f4"));
}

static void references_and_resources_are_refused(void **state)
{
	(void)state;
	assert_true(refuses("DT_FLOAT_REF"));
	assert_true(refuses("float32_ref"));
	assert_true(refuses("resource"));
	assert_true(refuses("DT_RESOURCE"));
	assert_true(refuses("DT_INVALID"));
}

static void what_is_no_type_is_refused(void **state)
{
	const struct span nul = { (const uint8_t *)"int8\0", 5 };
	enum dtype dtype;

	(void)state;
	assert_true(refuses(""));
	assert_true(refuses(" \n"));
	assert_true(refuses("<"));
	assert_true(refuses("<float32"));
	assert_true(refuses("<<f4"));
	assert_true(refuses("F4"));
	assert_true(refuses("f3"));
	assert_true(refuses("i16"));
	assert_true(refuses("DT_FLOAT32"));
	assert_true(refuses("float32 float32"));
	assert_true(refuses("float 32"));
	assert_false(dtype_parse(nul, &dtype));
	assert_false(dtype_parse((struct span){ 0 }, &dtype));
}

/* As TensorFlow 2.21 answered for each, from a shard of the other byte order. */
static void small_types_cannot_be_swapped(void **state)
{
	(void)state;
	assert_true(dtype_swaps(DT_FLOAT));
	assert_true(dtype_swaps(DT_STRING));
	assert_true(dtype_swaps(DT_BFLOAT16));
	assert_true(dtype_swaps(DT_QUINT16));
	assert_true(dtype_swaps(DT_UINT64));
	for (int32_t d = DT_FLOAT8_E5M2; d <= DT_FLOAT4_E2M1FN; d++)
		assert_false(dtype_swaps(d));
	assert_false(dtype_swaps(DT_VARIANT));
	assert_false(dtype_swaps(DT_RESOURCE));
	assert_false(dtype_swaps(DT_INVALID));
	assert_false(dtype_swaps(1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_its_name_and_width),
		cmocka_unit_test(every_name_reads_back),
		cmocka_unit_test(other_spellings_are_read),
		cmocka_unit_test(numbers_that_are_no_type_are_unknown),
		cmocka_unit_test(variant_is_known_but_cannot_be_asked_for),
		cmocka_unit_test(
			names_that_programs_do_not_agree_on_are_refused),
		cmocka_unit_test(big_endian_types_are_refused),
		cmocka_unit_test(references_and_resources_are_refused),
		cmocka_unit_test(small_types_cannot_be_swapped),
		cmocka_unit_test(what_is_no_type_is_refused),
	};

	return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
