/* SPDX-License-Identifier: MIT */
/* kelp image: hibernation images (docs/IMAGE.md) in a file, a disk or a dump of one. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <port/codecs/kelp_codecs.h>

#include "kelp.h"

static const char usage[] =
	"Usage: kelp image info    FILE [--key HEX | --key-file FILE] [--offset N] [--json]\n"
	"       kelp image verify  FILE (--key HEX | --key-file FILE) [--offset N] [--json]\n"
	"       kelp image extract FILE (--key HEX | --key-file FILE) --output FILE\n"
	"                          [--frames FIRST[-LAST]] [--offset N] [--json]\n"
	"\n"
	"Looks into a hibernation image: a file, a disk, or a copy of one. Changes nothing in it.\n"
	"\n"
	"  info     what the state blocks and the header say; with a key, whether that is authentic\n"
	"  verify   reads and authenticates all of it, as a resuming kernel does first\n"
	"  extract  the frames of memory, each at its physical address, in a sparse file\n"
	"\n"
	"  --key HEX           the key, 64 hexadecimal digits (other users see command lines)\n"
	"  --key-file FILE     the key: 32 bytes, or 64 hexadecimal digits\n"
	"  --offset N          where the image's area begins in FILE, in bytes; 0x.. and K, M, G\n"
	"                      are understood (0)\n"
	"  --output FILE, -o   where extract writes; must not exist\n"
	"  --frames A[-B]      only these frame numbers; the file begins with frame A then\n"
	"  --json              one JSON object instead of text\n"
	"\n"
	"Exit: 0 good (info: there is an image); 1 it is damaged, forged or of another key;\n"
	"2 usage; 3 nothing to resume: no image, or it was used; 4 a file cannot be read or written.\n";

struct options {
	const char *file, *output;
	bool json, has_key, has_frames;
	uint8_t key[KELP_IMAGE_KEY];
	uint64_t offset, first, last;
};

/* What is known of an image, and what reads it. */
struct subject {
	const struct options *options;
	int fd;
	bool broken; /* the file could not be read */
	struct kelp_image_state state[2];
	enum kelp_status state_status[2];
	unsigned holds; /* the state block that holds by its number, key or not; 2: none does */
	struct kelp_image_header header;
	enum kelp_status header_status;
	struct kelp_snapshot_disk disk;
	struct kelp_snapshot_memory memory;
	struct kelp_port port;
	struct kelp_snapshot_config config;
	struct kelp_snapshot_reader reader;
	struct progress_bar bar;
	/* extract */
	int out;
	uint64_t frames_out, bytes_out;
};

/* ---- the area ---------------------------------------------------------------------------- */

static bool read_area(void *context, uint64_t offset, void *buffer, size_t size)
{
	struct subject *subject = context;
	uint8_t *to = buffer;

	while (size > 0) {
		ssize_t got = pread(subject->fd, to, size,
				    (off_t)(subject->options->offset + offset));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			subject->broken |= got < 0;
			return false;
		}
		to += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return true;
}

static bool write_nothing(void *context, uint64_t offset, const void *buffer, size_t size)
{
	(void)context, (void)offset, (void)buffer, (void)size;
	return false;
}

static bool flush_nothing(void *context)
{
	(void)context;
	return false;
}

static bool no_random(void *context, void *buffer, size_t size)
{
	(void)context, (void)buffer, (void)size;
	return false;
}

static void panic(void *context, const char *what, const char *where)
{
	(void)context;
	complain("a mistake in this program: %s (%s)", what, where);
	abort();
}

static bool progress(void *context, const struct kelp_snapshot_progress *at)
{
	struct subject *subject = context;

	progress_step(&subject->bar, at->frames, at->frames_total,
		      at->frames << subject->header.page_shift);
	return true;
}

static int open_area(struct subject *subject, const struct options *options)
{
	uint8_t block[KELP_IMAGE_BLOCK];
	off_t end;

	memset(subject, 0, sizeof(*subject));
	subject->options = options;
	subject->holds = 2;
	subject->fd = open(options->file, O_RDONLY | O_CLOEXEC);
	end = subject->fd < 0 ? -1 : lseek(subject->fd, 0, SEEK_END);
	if (end < 0) {
		complain("%s: %s", options->file, strerror(errno));
		return EXIT_IO;
	}
	if ((uint64_t)end < options->offset ||
	    (uint64_t)end - options->offset < KELP_IMAGE_RECORDS) {
		complain("%s: too short to hold an image there", options->file);
		return EXIT_NOTHING;
	}
	subject->disk = (struct kelp_snapshot_disk){
		.context = subject,
		.size = ((uint64_t)end - options->offset) & ~(uint64_t)(KELP_IMAGE_BLOCK - 1),
		.read = read_area,
		.write = write_nothing,
		.flush = flush_nothing,
	};
	for (unsigned i = 0; i < 3; i++) {
		if (!read_area(subject, (uint64_t)i * KELP_IMAGE_BLOCK, block, sizeof(block))) {
			complain("%s: %s", options->file, strerror(errno));
			return EXIT_IO;
		}
		if (i == 2)
			subject->header_status =
				kelp_image_decode_header(block, &subject->header);
		else
			subject->state_status[i] =
				kelp_image_decode_state(block, &subject->state[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (subject->state_status[i] == KELP_OK &&
		    (subject->holds == 2 ||
		     subject->state[i].sequence > subject->state[subject->holds].sequence))
			subject->holds = i;
	}
	return EXIT_GOOD;
}

/* Opens it for reading, whosever machine it is of. */
static enum kelp_status open_reader(struct subject *subject)
{
	enum kelp_status status;

	subject->memory.page_shift =
		subject->header_status == KELP_OK ? subject->header.page_shift : 12;
	subject->port.panic = panic;
	subject->config = (struct kelp_snapshot_config){
		.port = &subject->port,
		.disk = &subject->disk,
		.memory = &subject->memory,
		.codec = &kelp_codec_lz4,
		.cipher = &kelp_cipher_chacha20_poly1305,
		.random = no_random,
		.key = subject->options->key,
		.chunk_frames = subject->header_status == KELP_OK ? subject->header.chunk_frames : 0,
		.progress = progress,
		.progress_context = subject,
	};
	subject->config.identity = subject->header.identity;
	subject->config.buffer_size = kelp_snapshot_memory_size(&subject->config);
	subject->config.buffer = aligned_alloc(KELP_IMAGE_BLOCK, subject->config.buffer_size);
	if (!subject->config.buffer)
		return KELP_ERR_NO_MEMORY;
	status = kelp_snapshot_open(&subject->reader, &subject->config);
	return status;
}

static int exit_of(const struct subject *subject, enum kelp_status status)
{
	switch (status) {
	case KELP_OK:
		return EXIT_GOOD;
	case KELP_ERR_NO_IMAGE:
		return EXIT_NOTHING;
	case KELP_ERR_IO:
		/* Behind the end of the file is damage; a disk that cannot be read is not. */
		return subject->broken ? EXIT_IO : EXIT_REFUSED;
	case KELP_ERR_NO_MEMORY:
		return EXIT_IO;
	default:
		return EXIT_REFUSED;
	}
}

static void close_subject(struct subject *subject)
{
	if (subject->config.buffer) {
		kelp_snapshot_close(&subject->reader);
		free(subject->config.buffer);
	}
	if (subject->fd >= 0)
		close(subject->fd);
}

/* ---- texts ------------------------------------------------------------------------------- */

static const char *hex(const uint8_t *bytes, size_t size)
{
	static char ring[4][2 * 32 + 1];
	static unsigned next;
	char *text = ring[next++ % 4];

	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static const char *state_name(const struct subject *subject, unsigned i)
{
	if (subject->state_status[i] == KELP_ERR_VERSION)
		return "another version";
	if (subject->state_status[i] != KELP_OK)
		return "unreadable";
	switch (subject->state[i].kind) {
	case KELP_IMAGE_EMPTY:
		return "empty";
	case KELP_IMAGE_COMPLETE:
		return "complete";
	default:
		return "consumed";
	}
}

static const char *codec_name(uint32_t codec)
{
	return codec == KELP_IMAGE_STORED ? "stored" : codec == KELP_IMAGE_LZ4 ? "lz4" : "unknown";
}

static const char *cipher_name(uint32_t cipher)
{
	return cipher == KELP_IMAGE_CHACHA20_POLY1305 ? "chacha20-poly1305" : "unknown";
}

static const char *status_word(enum kelp_status status)
{
	static const char *const words[] = {
		[KELP_OK] = "good",
		[KELP_ERR_IO] = "unreadable",
		[KELP_ERR_NO_IMAGE] = "nothing",
		[KELP_ERR_DAMAGED] = "damaged",
		[KELP_ERR_KEY] = "other-key",
		[KELP_ERR_VERSION] = "other-version",
	};

	return (size_t)status < sizeof(words) / sizeof(words[0]) && words[status] ? words[status]
										   : "refused";
}

static void print_header(const struct kelp_image_header *header)
{
	printf("image         %s\n", hex(header->image, KELP_IMAGE_ID));
	printf("format        version %u, %s, %s\n", KELP_IMAGE_VERSION, codec_name(header->codec),
	       cipher_name(header->cipher));
	printf("generation    %" PRIu64 "\n", header->generation);
	printf("frames        %" PRIu64 " of %s: %s, below frame %" PRIu64 "\n", header->frames,
	       size_text(UINT64_C(1) << header->page_shift),
	       size_text(header->frames << header->page_shift), header->frame_limit);
	printf("records       %" PRIu32 ", of %" PRIu32 " frames at most\n", header->records,
	       header->chunk_frames);
	printf("kernel        %s\n", hex(header->identity.kernel, KELP_IMAGE_DIGEST));
	printf("memory map    %s\n", hex(header->identity.memory, KELP_IMAGE_DIGEST));
	printf("CPU features  %s\n", hex(header->identity.cpu_features, 32));
	printf("CPUs          %" PRIu32 "\n", header->identity.cpus);
}

static void print_header_json(const struct kelp_image_header *header)
{
	printf(",\"image\":\"%s\",\"version\":%u,\"codec\":\"%s\",\"cipher\":\"%s\"",
	       hex(header->image, KELP_IMAGE_ID), KELP_IMAGE_VERSION, codec_name(header->codec),
	       cipher_name(header->cipher));
	printf(",\"generation\":%" PRIu64 ",\"page_size\":%" PRIu64 ",\"frames\":%" PRIu64
	       ",\"frame_limit\":%" PRIu64 ",\"records\":%" PRIu32 ",\"chunk_frames\":%" PRIu32,
	       header->generation, UINT64_C(1) << header->page_shift, header->frames,
	       header->frame_limit, header->records, header->chunk_frames);
	printf(",\"kernel\":\"%s\",\"memory_map\":\"%s\"",
	       hex(header->identity.kernel, KELP_IMAGE_DIGEST),
	       hex(header->identity.memory, KELP_IMAGE_DIGEST));
	printf(",\"cpu_features\":\"%s\",\"cpus\":%" PRIu32,
	       hex(header->identity.cpu_features, 32), header->identity.cpus);
}

/* ---- info -------------------------------------------------------------------------------- */

static void print_info(const struct subject *subject, const char *authentic, bool complete)
{
	for (unsigned i = 0; i < 2; i++) {
		printf("state block %u %s", i, state_name(subject, i));
		if (subject->state_status[i] == KELP_OK)
			printf(", sequence %" PRIu64, subject->state[i].sequence);
		puts(subject->holds == i ? ", holds" : "");
	}
	if (complete)
		print_header(&subject->header);
	if (complete)
		printf("on disk       %s\n", size_text(subject->state[subject->holds].end));
	printf("authentic     %s\n", authentic);
}

static void print_info_json(const struct subject *subject, const char *authentic, bool complete)
{
	printf("{\"state\":\"%s\",\"authentic\":\"%s\"",
	       subject->holds < 2 ? state_name(subject, subject->holds) : "none", authentic);
	if (subject->holds < 2)
		printf(",\"sequence\":%" PRIu64, subject->state[subject->holds].sequence);
	if (complete) {
		print_header_json(&subject->header);
		printf(",\"bytes\":%" PRIu64, subject->state[subject->holds].end);
	}
	puts("}");
}

static int run_info(struct subject *subject)
{
	const struct options *options = subject->options;
	bool complete = subject->holds < 2 &&
			subject->state[subject->holds].kind == KELP_IMAGE_COMPLETE &&
			subject->header_status == KELP_OK;
	enum kelp_status status = KELP_OK;
	const char *authentic = "not checked: no key was given";

	if (options->has_key) {
		status = open_reader(subject);
		authentic = status == KELP_OK	       ? "yes"
			    : status == KELP_ERR_NO_IMAGE ? "no image"
			    : status == KELP_ERR_KEY      ? "no: sealed with another key"
							  : "no: damaged or forged";
	}
	if (options->json)
		print_info_json(subject,
				options->has_key ? status_word(status) : "unchecked", complete);
	else
		print_info(subject, authentic, complete);
	if (status != KELP_OK)
		return exit_of(subject, status);
	if (subject->holds < 2 && subject->state[subject->holds].kind == KELP_IMAGE_COMPLETE)
		return complete ? EXIT_GOOD : EXIT_REFUSED;
	return EXIT_NOTHING;
}

/* ---- verify ------------------------------------------------------------------------------ */

static void print_totals(const struct subject *subject, const struct kelp_image_totals *totals)
{
	uint32_t shift = subject->header.page_shift;

	if (subject->options->json) {
		printf(",\"frames\":%" PRIu64 ",\"zero_frames\":%" PRIu64
		       ",\"uniform_frames\":%" PRIu64 ",\"data_frames\":%" PRIu64
		       ",\"memory_bytes\":%" PRIu64 ",\"bytes\":%" PRIu64,
		       totals->frames, totals->zero_frames, totals->uniform_frames,
		       totals->data_frames, totals->frames << shift, subject->reader.image_bytes);
		return;
	}
	printf("frames        %" PRIu64 " (%s): %" PRIu64 " zero, %" PRIu64 " uniform, %" PRIu64
	       " with data\n",
	       totals->frames, size_text(totals->frames << shift), totals->zero_frames,
	       totals->uniform_frames, totals->data_frames);
	printf("on disk       %s\n", size_text(subject->reader.image_bytes));
}

static int refuse(struct subject *subject, enum kelp_status status)
{
	if (subject->options->json)
		printf("{\"verdict\":\"%s\"}\n", status_word(status));
	else
		printf("%s\n", kelp_status_text(status));
	return exit_of(subject, status);
}

static int run_verify(struct subject *subject)
{
	enum kelp_status status = open_reader(subject);
	void *maps = NULL;

	if (status == KELP_OK) {
		maps = malloc(subject->reader.map_size ? subject->reader.map_size : 1);
		status = maps ? kelp_snapshot_maps(&subject->reader, maps, subject->reader.map_size)
			      : KELP_ERR_NO_MEMORY;
	}
	if (status == KELP_OK) {
		progress_begin(&subject->bar, "verify");
		status = kelp_snapshot_verify(&subject->reader, 0);
		progress_end(&subject->bar);
	}
	if (status != KELP_OK) {
		free(maps);
		return refuse(subject, status);
	}
	if (subject->options->json)
		printf("{\"verdict\":\"good\"");
	print_totals(subject, &subject->reader.totals);
	puts(subject->options->json ? "}" : "The image is whole and authentic.");
	free(maps);
	return EXIT_GOOD;
}

/* ---- extract ----------------------------------------------------------------------------- */

static bool write_at(int fd, uint64_t offset, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size > 0) {
		ssize_t done = pwrite(fd, at, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		at += done;
		offset += (uint64_t)done;
		size -= (size_t)done;
	}
	return true;
}

static enum kelp_status extract_frame(void *context, kelp_pfn_t frame, const void *page,
				      bool uniform, uint64_t word)
{
	struct subject *subject = context;
	size_t size = (size_t)1 << subject->header.page_shift;
	uint64_t offset = (frame.number - subject->options->first) << subject->header.page_shift;
	static uint64_t words[(1u << 24) / sizeof(uint64_t)];

	if (frame.number < subject->options->first || frame.number > subject->options->last)
		return KELP_OK;
	subject->frames_out++;
	if (uniform && word == 0)
		return KELP_OK; /* a hole */
	if (uniform) {
		for (size_t i = 0; i < size; i++)
			((uint8_t *)words)[i] = (uint8_t)(word >> 8 * (i & 7));
		page = words;
	}
	if (!write_at(subject->out, offset, page, size))
		return KELP_ERR_IO;
	subject->bytes_out += size;
	return KELP_OK;
}

/* The file is as long as what was asked for, whatever is missing from its end. */
static bool finish_output(struct subject *subject)
{
	const struct options *options = subject->options;
	uint64_t last = options->last < subject->header.frame_limit
				? options->last + 1
				: subject->header.frame_limit;
	uint64_t frames = last > options->first ? last - options->first : 0;
	bool good = ftruncate(subject->out, (off_t)(frames << subject->header.page_shift)) == 0;

	return close(subject->out) == 0 && good;
}

static int run_extract(struct subject *subject)
{
	const struct options *options = subject->options;
	enum kelp_status status = open_reader(subject);
	bool written;

	if (status != KELP_OK)
		return refuse(subject, status);
	/* Memory holds secrets: nobody but its owner reads the file. */
	subject->out = open(options->output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (subject->out < 0) {
		complain("%s: %s", options->output, strerror(errno));
		return EXIT_IO;
	}
	progress_begin(&subject->bar, "extract");
	status = kelp_snapshot_each(&subject->reader, extract_frame, subject);
	progress_end(&subject->bar);
	written = finish_output(subject);
	if (status != KELP_OK || !written) {
		complain("%s was not finished and is removed", options->output);
		unlink(options->output);
		return status == KELP_OK ? EXIT_IO : refuse(subject, status);
	}
	if (options->json)
		printf("{\"verdict\":\"good\",\"frames\":%" PRIu64 ",\"bytes_written\":%" PRIu64
		       ",\"first_frame\":%" PRIu64 ",\"page_size\":%" PRIu64 "}\n",
		       subject->frames_out, subject->bytes_out, options->first,
		       UINT64_C(1) << subject->header.page_shift);
	else
		printf("%" PRIu64 " frames in %s, which begins with frame %" PRIu64 "; zero frames are "
		       "holes in it.\n",
		       subject->frames_out, options->output, options->first);
	return EXIT_GOOD;
}

/* ---- options ----------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || !isdigit((unsigned char)text[0]))
		return false;
	for (const char *unit = "KMGT"; *end && *unit; unit++) {
		if (*end == *unit) {
			unsigned shift = 10u * (unsigned)(unit - "KMGT" + 1);

			if (*value > UINT64_MAX >> shift)
				return false;
			*value <<= shift;
			end++;
			break;
		}
	}
	return *end == 0;
}

static bool parse_frames(const char *text, struct options *options)
{
	char *copy = strdup(text), *dash = copy ? strchr(copy, '-') : NULL;
	bool good = copy;

	if (dash)
		*dash = 0;
	good = good && parse_number(copy, &options->first);
	options->last = options->first;
	if (good && dash)
		good = parse_number(dash + 1, &options->last);
	free(copy);
	options->has_frames = true;
	return good && options->first <= options->last;
}

static bool parse_key(const char *text, size_t length, uint8_t *key)
{
	if (length != 2 * KELP_IMAGE_KEY)
		return false;
	for (size_t i = 0; i < length; i++) {
		char digit = (char)tolower((unsigned char)text[i]);

		if (!isxdigit((unsigned char)digit))
			return false;
		key[i / 2] = (uint8_t)(key[i / 2] << 4 |
				       (digit <= '9' ? digit - '0' : digit - 'a' + 10));
	}
	return true;
}

static bool read_key(const char *name, uint8_t *key)
{
	char bytes[2 * KELP_IMAGE_KEY + 3];
	FILE *file = fopen(name, "rbe");
	size_t size = file ? fread(bytes, 1, sizeof(bytes), file) : 0;

	if (!file) {
		complain("%s: %s", name, strerror(errno));
		return false;
	}
	fclose(file);
	if (size == KELP_IMAGE_KEY) {
		memcpy(key, bytes, KELP_IMAGE_KEY);
		return true;
	}
	while (size > 0 && isspace((unsigned char)bytes[size - 1]))
		size--;
	if (parse_key(bytes, size, key))
		return true;
	complain("%s: a key is 32 bytes or 64 hexadecimal digits", name);
	return false;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{"key", required_argument, NULL, 'k'},    {"key-file", required_argument, NULL, 'f'},
		{"offset", required_argument, NULL, 's'}, {"output", required_argument, NULL, 'o'},
		{"frames", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'},
		{0},
	};
	int option;

	*options = (struct options){.last = UINT64_MAX};
	while ((option = getopt_long(argc, argv, "o:", longs, NULL)) != -1) {
		bool good = option != '?';

		if (option == 'k' || option == 'f') {
			options->has_key = true;
			good = option == 'k' ? parse_key(optarg, strlen(optarg), options->key)
					     : read_key(optarg, options->key);
			if (!good && option == 'k')
				complain("--key: 64 hexadecimal digits are needed");
		} else if (option == 's' && !parse_number(optarg, &options->offset)) {
			complain("--offset: '%s' is no number of bytes", optarg);
			good = false;
		} else if (option == 'n' && !parse_frames(optarg, options)) {
			complain("--frames: '%s' is no frame number and no range", optarg);
			good = false;
		} else if (option == 'o') {
			options->output = optarg;
		} else if (option == 'j') {
			options->json = true;
		}
		if (!good)
			return false;
	}
	if (optind + 1 != argc) {
		complain("%s", optind < argc ? "one FILE at a time" : "which FILE?");
		return false;
	}
	options->file = argv[optind];
	return true;
}

static int run(int argc, char **argv)
{
	static struct subject subject;
	static const struct {
		const char *name;
		int (*run)(struct subject *subject);
	} verbs[] = {{"info", run_info}, {"verify", run_verify}, {"extract", run_extract}};
	struct options options;
	unsigned verb = 0;
	int result;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return EXIT_GOOD;
		}
	}
	while (argc > 1 && verb < 3 && strcmp(argv[1], verbs[verb].name) != 0)
		verb++;
	if (argc < 2 || verb == 3) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (!parse_options(argc - 1, argv + 1, &options))
		return EXIT_USAGE;
	if (verb > 0 && !options.has_key) {
		complain("image %s needs --key or --key-file", verbs[verb].name);
		return EXIT_USAGE;
	}
	if ((verb == 2) != (options.output != NULL) || (verb != 2 && options.has_frames)) {
		complain(verb == 2 ? "image extract needs --output"
				   : "--output and --frames are for image extract");
		return EXIT_USAGE;
	}
	result = open_area(&subject, &options);
	if (result == EXIT_GOOD)
		result = verbs[verb].run(&subject);
	close_subject(&subject);
	return fflush(stdout) == 0 ? result : EXIT_IO;
}

const struct command command_image = {
	.name = "image",
	.summary = "hibernation images: info, verify, extract",
	.run = run,
};
