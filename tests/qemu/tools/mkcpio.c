/* SPDX-License-Identifier: MIT */
/*
 * mkcpio: writes a cpio archive ("newc"), for kernels that read one as an initrd.
 *
 *	mkcpio ARCHIVE NAME=FILE...     regular files, mode 0755
 *	                NAME/           a directory
 *
 * The archive is the same whenever it is made from the same files. Exit: 0 written, 1 not, 2 usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned inode;

static void fill(FILE *archive, unsigned long size)
{
	for (; size % 4; size++)
		fputc(0, archive);
}

static void entry(FILE *archive, const char *name, size_t length, unsigned mode,
		  const void *data, unsigned long size)
{
	fprintf(archive, "070701%08X%08X%08X%08X%08X%08X%08lX%08X%08X%08X%08X%08X%08X", ++inode, mode,
		0, 0, 1, 0, size, 0, 0, 0, 0, (unsigned)length + 1u, 0);
	fwrite(name, 1, length, archive);
	fputc(0, archive);
	fill(archive, 110 + length + 1);
	fwrite(data, 1, size, archive);
	fill(archive, size);
}

static void *read_file(const char *path, unsigned long *size)
{
	FILE *file = fopen(path, "rb");
	char *data = NULL;
	long end;

	if (file && fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0 &&
	    fseek(file, 0, SEEK_SET) == 0 && (data = malloc((size_t)end + 1)) &&
	    fread(data, 1, (size_t)end, file) == (size_t)end)
		*size = (unsigned long)end;
	else
		perror(path);
	if (file)
		fclose(file);
	return data;
}

int main(int argc, char **argv)
{
	FILE *archive;

	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		fputs("usage: mkcpio ARCHIVE NAME=FILE... NAME/...\n", argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	archive = fopen(argv[1], "wb");
	if (!archive) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		size_t length = strlen(argv[i]);
		unsigned long size = 0;
		void *data;

		if (!equals && length > 1 && argv[i][length - 1] == '/') {
			entry(archive, argv[i], length - 1, 040755, "", 0);
			continue;
		}
		data = equals ? read_file(equals + 1, &size) : NULL;
		if (!data) {
			fprintf(stderr, "mkcpio: %s\n", equals ? "cannot read that" : "NAME=FILE, or NAME/");
			return equals ? 1 : 2;
		}
		entry(archive, argv[i], (size_t)(equals - argv[i]), 0100755, data, size);
		free(data);
	}
	entry(archive, "TRAILER!!!", 10, 0, "", 0);
	if (fclose(archive) != 0) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
