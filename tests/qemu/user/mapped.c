// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: mapped FILE BYTES: map the file's first bytes and close it, copy
 * standard input to the mapping and, once that ends, the mapping to standard output.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	size_t size, done;
	ssize_t n = 1;
	char *mapping;
	int file;

	if (argc != 3) {
		fprintf(stderr, "usage: mapped FILE BYTES\n");
		return 2;
	}
	size = strtoul(argv[2], NULL, 0);
	file = open(argv[1], O_RDWR);
	if (file < 0)
		return fail(argv[1]);
	mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (mapping == MAP_FAILED)
		return fail("mmap");
	close(file);

	for (done = 0; n > 0 && done < size; done += n) {
		n = read(STDIN_FILENO, mapping + done, size - done);
		if (n < 0)
			return fail("read");
	}
	for (done = 0; done < size; done += n) {
		n = write(STDOUT_FILENO, mapping + done, size - done);
		if (n < 0)
			return fail("write");
	}
	return 0;
}
