#include "fs/print.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/log.h"

void print_escaped(FILE *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		int byte = text.data[i];

		if (byte == '\\')
			(void)fputs("\\\\", out);
		else if (byte < ' ' || byte == 0x7f)
			(void)fprintf(out, "\\x%02x", (unsigned int)byte);
		else
			(void)fputc(byte, out);
	}
}

void print_count(uint64_t n, const char *what)
{
	(void)printf("%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
}

bool print_finish(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return true;
	log_error("cannot write what was found: %s", strerror(errno));
	return false;
}
