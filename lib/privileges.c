// SPDX-License-Identifier: GPL-2.0-only
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static const struct {
	int cap;
	unsigned int needed_for; /* 0: always */
} kept[] = {
	{ CAP_BPF, 0 },
	{ CAP_NET_ADMIN, 0 },
	{ CAP_PERFMON, PRIVILEGES_LOAD },
	{ CAP_DAC_READ_SEARCH, PRIVILEGES_READ },
	{ CAP_DAC_OVERRIDE, PRIVILEGES_WRITE },
	{ CAP_NET_RAW, PRIVILEGES_PACKETS },
};

static bool privileges_effective(const struct __user_cap_data_struct *data, int cap)
{
	return data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

static int privileges_become_nobody(void)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) ||
	    setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	/* Others of this user still cannot trace it: they lack its capabilities. */
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) ? -errno : 0;
}

int privileges_drop(unsigned int needed)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3], keep[2] = { 0 };
	int err = 0;

	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (unsigned int i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (!kept[i].needed_for || needed & kept[i].needed_for)
			keep[CAP_TO_INDEX(kept[i].cap)].permitted |= CAP_TO_MASK(kept[i].cap);
	if (!geteuid() && !(needed & PRIVILEGES_WRITE) && privileges_effective(data, CAP_SETUID) &&
	    privileges_effective(data, CAP_SETGID))
		err = privileges_become_nobody();
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= keep[i].permitted;
		data[i].effective &= keep[i].permitted;
		data[i].inheritable = 0;
	}
	if (!err && (syscall(SYS_capset, &header, data) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		err = -errno;
	return err;
}
