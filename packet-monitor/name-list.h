/* SPDX-License-Identifier: GPL-2.0-only */
/* Names, other names or shell patterns of interfaces; "any" is every interface. */
#ifndef NAME_LIST_H
#define NAME_LIST_H

#include <stdbool.h>

struct name_list {
	const char **names;
	int count;
};

/** name_is_pattern - return whether @name may stand for several interfaces */
bool name_is_pattern(const char *name);

/** name_matches - return whether @pattern is @name, or stands for it */
bool name_matches(const char *pattern, const char *name);

/** name_list_add - append a name, which is the caller's; Return: 0 or -ENOMEM */
int name_list_add(struct name_list *list, const char *name);

/** name_list_find - return the first entry that matches @name, or -1 */
int name_list_find(const struct name_list *list, const char *name);

#endif /* NAME_LIST_H */
