// SPDX-License-Identifier: GPL-2.0-only
/*
 * Golden regions, from text to bytes.
 */
#include <stdio.h>

#include "golden.h"

/* "OFFSET: BYTES", a comment, or nothing. */
static bool read_line(const char *line, u8 *region)
{
	unsigned int at, byte;
	int skip = 0;

	if (*line == '#' || *line == '\n')
		return true;
	if (sscanf(line, "%x: %n", &at, &skip) != 1 || !skip)
		return false;
	for (line += skip; *line != '\n'; line += 2) {
		if (at >= GOLDEN_SIZE || sscanf(line, "%2x", &byte) != 1 ||
		    line[1] == '\n')
			return false;
		region[at++] = byte;
	}
	return true;
}

bool golden_read(unsigned int minor, u8 region[GOLDEN_SIZE])
{
	char line[200], path[sizeof(GOLDEN_DIR) + 20];
	bool good = true;
	FILE *file;

	memset(region, 0, GOLDEN_SIZE);
	snprintf(path, sizeof(path), GOLDEN_DIR "/1.%u.hex", minor);
	file = fopen(path, "r");
	if (!file)
		return false;
	while (good && fgets(line, sizeof(line), file))
		good = read_line(line, region);
	fclose(file);
	return good;
}
