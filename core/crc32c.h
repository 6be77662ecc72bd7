/*
 * crc32c.h - the checksum behind every block and every tensor
 *
 * CRC-32C (Castagnoli), as RFC 3720 gives it in appendix B.4; computed by ISA-L.
 *
 * The CRC of bytes that contain their own CRC is a poor check, and tables are
 * files of blocks that each end in one.  So a CRC that goes to disk goes masked:
 * rotated and offset, which loses nothing and breaks the arithmetic.
 *
 * A CRC is linear: crc32c_shift() moves one past `n` more bytes without having
 * them, and with it the CRCs of parts become that of the whole, in any order, and
 * a value whose middle changed is not read again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The CRC of A followed by `data`, where `crc` is the CRC of A; 0 if A is empty. */
uint32_t crc32c_extend(uint32_t crc, const void *data, size_t n);

/*
 * The same of the length of an element, as the checksum of a tensor that is not numbers
 * counts it: an integer of 4 bytes, or of 8 if all are `wide` or where it exceeds 2^32 - 1.
 */
uint32_t crc32c_extend_length(uint32_t crc, uint64_t length, bool wide,
			      bool big_endian);

/* `crc` times x^(8n), modulo the polynomial: takes time that grows with log n. */
uint32_t crc32c_shift(uint32_t crc, uint64_t n);

/* The CRC of A followed by B, from theirs and the length of B in bytes. */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len);

/*
 * The CRC of a message some bytes of which changed: `old` and `now` are the CRCs
 * of these bytes alone, before and after, and `tail` bytes follow them.
 */
uint32_t crc32c_patch(uint32_t crc, uint32_t old, uint32_t now, uint64_t tail);

uint32_t crc32c_mask(uint32_t crc);
uint32_t crc32c_unmask(uint32_t masked);
