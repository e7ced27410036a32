// SPDX-License-Identifier: GPL-2.0-only
/*
 * golden_seeds FOLDER: the golden regions as inputs of state_fuzz, each with its
 * checksums as they are, made right, and changing.
 */
#include <stdio.h>

#include "golden.h"

int main(int argc, char **argv)
{
	static u8 input[1 + GOLDEN_SIZE];
	unsigned int minor, how;
	char path[4096];
	FILE *file;

	for (minor = 0; argc == 2 && minor < GOLDEN_MINORS; minor++) {
		if (!golden_read(minor, input + 1))
			return 1;
		for (how = 0; how < 4; how++) {
			*input = how;
			snprintf(path, sizeof(path), "%s/1.%u-%u", argv[1], minor, how);
			file = fopen(path, "w");
			if (!file || fwrite(input, sizeof(input), 1, file) != 1 ||
			    fclose(file))
				return 1;
		}
	}
	return argc != 2;
}
