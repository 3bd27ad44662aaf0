/* SPDX-License-Identifier: MIT */
/* text: strings, and numbers as text. */
#include <print.h>

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i])
			return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
		if (!a[i])
			break;
	}
	return 0;
}

void copy_string(char *to, const char *from, size_t size)
{
	size_t i = 0;

	for (; i + 1 < size && from[i]; i++)
		to[i] = from[i];
	to[i] = '\0';
}

struct output {
	char *buffer;
	size_t size;
	size_t length;
};

struct conversion {
	bool left;
	bool zero;
	unsigned width;
	unsigned precision;
	unsigned longs;
};

static void put(struct output *out, char c)
{
	if (out->length + 1 < out->size)
		out->buffer[out->length++] = c;
}

static void put_field(struct output *out, const struct conversion *how, const char *text,
		      size_t length)
{
	bool sign = how->zero && length && text[0] == '-';

	if (sign)
		put(out, '-');
	if (!how->left)
		for (size_t i = length; i < how->width; i++)
			put(out, how->zero ? '0' : ' ');
	for (size_t i = sign; i < length; i++)
		put(out, text[i]);
	if (how->left)
		for (size_t i = length; i < how->width; i++)
			put(out, ' ');
}

static void put_number(struct output *out, const struct conversion *how, uint64_t value,
		       bool negative, unsigned base)
{
	char digits[24];
	size_t at = sizeof(digits);

	/* Both bases are constants after inlining; decimal of 32 bits divides in 32 bits. */
	do {
		unsigned digit;

		if (base == 16) {
			digit = (unsigned)value & 15u;
			value >>= 4;
		} else {
			digit = (unsigned)(value % 10u);
			value /= 10u;
		}
		digits[--at] = "0123456789abcdef"[digit];
	} while (value);
	if (negative)
		digits[--at] = '-';
	put_field(out, how, digits + at, sizeof(digits) - at);
}

/* All of a conversion but its letter and '*', which takes an argument. */
static const char *parse_conversion(const char *at, struct conversion *how)
{
	*how = (struct conversion){.precision = UINT32_MAX};
	for (;; at++) {
		if (*at == '-')
			how->left = true;
		else if (*at == '0')
			how->zero = true;
		else
			break;
	}
	for (; *at >= '0' && *at <= '9'; at++)
		how->width = how->width * 10u + (unsigned)(*at - '0');
	if (*at == '.') {
		how->precision = 0;
		for (at++; *at >= '0' && *at <= '9'; at++)
			how->precision = how->precision * 10u + (unsigned)(*at - '0');
	}
	for (; *at == 'l' || *at == 'z'; at++)
		how->longs += *at == 'z' && sizeof(size_t) == sizeof(long) ? 1u : *at == 'l';
	return at;
}

/* Arguments of the sizes that the conversion names. */
#define TAKE_UNSIGNED(arguments, longs)                                                            \
	((longs) == 0 ? va_arg(arguments, unsigned)                                                \
	 : (longs) == 1 ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned long long))
#define TAKE_SIGNED(arguments, longs)                                                              \
	((longs) == 0 ? va_arg(arguments, int)                                                     \
	 : (longs) == 1 ? va_arg(arguments, long) : va_arg(arguments, long long))

size_t format_text_va(char *buffer, size_t size, const char *format, va_list arguments)
{
	struct output out = {buffer, size, 0};
	struct conversion how;

	for (const char *at = format; *at; at++) {
		if (*at != '%') {
			put(&out, *at);
			continue;
		}
		at = parse_conversion(at + 1, &how);
		if (*at == '*') {
			how.precision = (unsigned)va_arg(arguments, int);
			at++;
		}
		switch (*at) {
		case 'c': {
			char c = (char)va_arg(arguments, int);

			put_field(&out, &how, &c, 1);
			break;
		}
		case 's': {
			const char *text = va_arg(arguments, const char *);
			size_t length = 0;

			if (!text)
				text = "(null)";
			while (length < how.precision && text[length])
				length++;
			put_field(&out, &how, text, length);
			break;
		}
		case 'd':
		case 'i': {
			long long value = TAKE_SIGNED(arguments, how.longs);
			uint64_t magnitude = (uint64_t)value;

			if (value < 0)
				magnitude = 0 - magnitude;
			put_number(&out, &how, magnitude, value < 0, 10);
			break;
		}
		case 'u':
			put_number(&out, &how, TAKE_UNSIGNED(arguments, how.longs), false, 10);
			break;
		case 'x':
			put_number(&out, &how, TAKE_UNSIGNED(arguments, how.longs), false, 16);
			break;
		case 'p':
			how = (struct conversion){.zero = true, .width = 2 * sizeof(void *)};
			put_number(&out, &how, (uintptr_t)va_arg(arguments, void *), false, 16);
			break;
		case '\0':
			at--;
			break;
		default:
			put(&out, *at);
		}
	}
	if (size)
		buffer[out.length] = '\0';
	return out.length;
}

size_t format_text(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = format_text_va(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}

const char *size_text(char buffer[SIZE_TEXT], uint64_t bytes)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned power = 0;

	while (power < 6 && bytes >> (10u * power) >= 1024u)
		power++;
	if (power && bytes & ((UINT64_C(1) << (10u * power)) - 1u))
		format_text(buffer, SIZE_TEXT, "%u.%u %s", (unsigned)(bytes >> (10u * power)),
			    (unsigned)((bytes >> (10u * (power - 1u)) & 1023u) * 10u >> 10),
			    unit[power]);
	else
		format_text(buffer, SIZE_TEXT, "%u %s", (unsigned)(bytes >> (10u * power)),
			    unit[power]);
	return buffer;
}
