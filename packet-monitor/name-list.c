// SPDX-License-Identifier: GPL-2.0-only
#include "name-list.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

bool name_is_pattern(const char *name)
{
	return !strcmp(name, "any") || strpbrk(name, "*?[");
}

bool name_matches(const char *pattern, const char *name)
{
	return !strcmp(pattern, "any") || !strcmp(pattern, name) || !fnmatch(pattern, name, 0);
}

int name_list_add(struct name_list *list, const char *name)
{
	const char **names =
		reallocarray(list->names, (size_t)list->count + 1, sizeof(*list->names));

	if (!names)
		return -ENOMEM;
	list->names = names;
	list->names[list->count++] = name;
	return 0;
}

int name_list_find(const struct name_list *list, const char *name)
{
	for (int i = 0; i < list->count; i++)
		if (name_matches(list->names[i], name))
			return i;
	return -1;
}
