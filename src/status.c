/* SPDX-License-Identifier: MIT */
/* status: names and texts. */
#include <kelp/status.h>

struct status_text {
	const char *name;
	const char *text;
};

static const struct status_text texts[] = {
	[KELP_OK] = {"KELP_OK", "Done."},
	[KELP_ERR_ARGUMENT] = {
		"KELP_ERR_ARGUMENT",
		"A size of zero, or a flag or attribute that does not exist or contradicts "
		"another: see the function's header block for those it takes.",
	},
	[KELP_ERR_ALIGNMENT] = {
		"KELP_ERR_ALIGNMENT",
		"An address or a size is not a multiple of the page size (or of the leaf size "
		"asked for); round it before the call.",
	},
	[KELP_ERR_ADDRESS] = {
		"KELP_ERR_ADDRESS",
		"An address is not canonical, lies outside the space, is wider than the "
		"physical width, or the range wraps around; check it against the format's "
		"va_first, va_last and pa_bits.",
	},
	[KELP_ERR_EXISTS] = {
		"KELP_ERR_EXISTS",
		"Something is mapped in the range; unmap it first, or pass KELP_REPLACE.",
	},
	[KELP_ERR_NOT_MAPPED] = {
		"KELP_ERR_NOT_MAPPED",
		"Nothing is mapped at some place of the range; map it first, or leave "
		"KELP_STRICT out, or pass KELP_SKIP_HOLES.",
	},
	[KELP_ERR_NO_MEMORY] = {
		"KELP_ERR_NO_MEMORY",
		"The port gave no table page; nothing has changed. Free memory and try again.",
	},
	[KELP_ERR_UNSUPPORTED] = {
		"KELP_ERR_UNSUPPORTED",
		"This format or this machine cannot express it exactly; kelp_format_closest() "
		"gives the nearest attributes that it can.",
	},
	[KELP_ERR_BBM] = {
		"KELP_ERR_BBM",
		"The architecture demands break-before-make here; pass KELP_ALLOW_BREAK if "
		"accesses to the range may fault meanwhile.",
	},
	[KELP_ERR_RESTRICTED] = {
		"KELP_ERR_RESTRICTED",
		"A table entry above, which is not Kelp's, denies a right that was asked for; "
		"ask for less or replace the adopted table.",
	},
	[KELP_ERR_MALFORMED] = {
		"KELP_ERR_MALFORMED",
		"The tables contradict the format: a reserved bit, a loop, or a leaf where "
		"none may be; check the root and the format's configuration.",
	},
	[KELP_ERR_BUSY] = {
		"KELP_ERR_BUSY",
		"Somebody holds it: an open gather or a reader that does not leave; try again "
		"when they are done.",
	},
	[KELP_ERR_IO] = {
		"KELP_ERR_IO",
		"The disk hook reported a failure: see what the driver says. A "
		"snapshot that was being written may be there if it was the last "
		"flush: discard it; one that was being read is untouched.",
	},
	[KELP_ERR_NO_SPACE] = {
		"KELP_ERR_NO_SPACE",
		"The image does not fit into the disk area; make the area larger, "
		"save fewer frames, or use a codec.",
	},
	[KELP_ERR_NO_IMAGE] = {
		"KELP_ERR_NO_IMAGE",
		"There is nothing to resume: the area holds no complete image, or it "
		"was resumed before. Start afresh.",
	},
	[KELP_ERR_DAMAGED] = {
		"KELP_ERR_DAMAGED",
		"The contents fail their authentication: damaged, cut short, put in "
		"another order, or forged. Nothing of it was used; start afresh.",
	},
	[KELP_ERR_KEY] = {
		"KELP_ERR_KEY",
		"It is whole and was sealed with another key than the one given; give "
		"the key that it was written with.",
	},
	[KELP_ERR_VERSION] = {
		"KELP_ERR_VERSION",
		"The image's format version, codec, cipher or page size is not what "
		"this reader was given; use the one that wrote it.",
	},
	[KELP_ERR_OTHER_KERNEL] = {
		"KELP_ERR_OTHER_KERNEL",
		"The image is of another kernel build; boot the one that wrote it, or "
		"start afresh.",
	},
	[KELP_ERR_OTHER_MEMORY] = {
		"KELP_ERR_OTHER_MEMORY",
		"The image is of a machine with another memory map; restore the "
		"machine's memory configuration, or start afresh.",
	},
	[KELP_ERR_OTHER_CPU] = {
		"KELP_ERR_OTHER_CPU",
		"The image was written on a CPU with features that this one lacks; "
		"resume where they are, or start afresh.",
	},
	[KELP_ERR_CPU_COUNT] = {
		"KELP_ERR_CPU_COUNT",
		"The image was written with another number of CPUs; start as many, or "
		"pass KELP_SNAPSHOT_ANY_CPU_COUNT.",
	},
	[KELP_ERR_REPLAYED] = {
		"KELP_ERR_REPLAYED",
		"The image is not the one that was written last: an older one was put "
		"in its place. Start afresh.",
	},
	[KELP_ERR_SECRET] = {
		"KELP_ERR_SECRET",
		"There are secret frames and the policy refuses to save them; free "
		"them first, or let them be saved sealed.",
	},
	[KELP_ERR_CANCELLED] = {
		"KELP_ERR_CANCELLED",
		"It was cancelled, and what it had begun is void; try again when you "
		"wish.",
	},
	[KELP_ERR_NO_RANDOM] = {
		"KELP_ERR_NO_RANDOM",
		"The source of random bytes failed, and nothing is sealed without it; "
		"repair the entropy device.",
	},
	[KELP_ERR_NO_FRAME] = {
		"KELP_ERR_NO_FRAME",
		"There is no such frame, or it is not in the state that was asked for (online, "
		"device, offline); kelp_pfn_state() says what it is.",
	},
};

static const struct status_text unknown = {
	"KELP_ERR_unknown",
	"A value that is no status of this library; it was not returned by it, or the versions of "
	"header and library differ.",
};

static const struct status_text *find(enum kelp_status status)
{
	/* Whether an enum is signed is the compiler's choice: negative values become large. */
	unsigned value = (unsigned)status;

	if (value >= sizeof(texts) / sizeof(texts[0]) || !texts[value].name)
		return &unknown;
	return &texts[value];
}

const char *kelp_status_name(enum kelp_status status)
{
	return find(status)->name;
}

const char *kelp_status_text(enum kelp_status status)
{
	return find(status)->text;
}
