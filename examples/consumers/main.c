/* SPDX-License-Identifier: MIT */
/* A program that uses Kelp on the hosted port: the three build systems beside it build this. */
#include <kelp/kelp.h>

#include <arch/x86_64/format.h>
#include <port/hosted/kelp_hosted.h>

#include <inttypes.h>
#include <stdio.h>

static enum kelp_status map_and_look(struct kelp_space *space, kelp_paddr_t *pa)
{
	struct kelp_flush flush;
	enum kelp_status status;

	kelp_flush_begin(&flush, space);
	status = kelp_space_map(&flush, 0x40000000, 0x1000000, 0x200000,
				KELP_ATTR_READ | KELP_ATTR_WRITE, 0);
	kelp_flush_commit(&flush);
	if (status != KELP_OK)
		return status;
	return kelp_space_translate(space, 0x40012345, pa);
}

int main(void)
{
	const struct kelp_x86_64_config config = {
		.levels = 4, .physical_bits = 46, .no_execute = true};
	struct kelp_hosted hosted;
	struct kelp_format format;
	struct kelp_space space;
	enum kelp_status status;
	kelp_paddr_t pa = 0;

	if (kelp_hosted_init(&hosted, &(struct kelp_hosted_config){.pages = 16}) != KELP_OK ||
	    kelp_x86_64_format_init(&format, &config) != KELP_OK ||
	    kelp_space_init(&space, &format, &hosted.port, 0) != KELP_OK)
		return 1;
	status = map_and_look(&space, &pa);
	printf("%s: 40012345 -> %" PRIx64 "\n", kelp_status_name(status), pa);
	kelp_space_destroy(&space);
	kelp_hosted_destroy(&hosted);
	return status == KELP_OK && pa == 0x1012345 ? 0 : 1;
}
