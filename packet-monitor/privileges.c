// SPDX-License-Identifier: GPL-2.0-only
#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int privileges_drop(void)
{
	static const int kept[] = { CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3], keep[2] = { 0 };

	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (unsigned int i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		keep[CAP_TO_INDEX(kept[i])].permitted |= CAP_TO_MASK(kept[i]);
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= keep[i].permitted;
		data[i].effective &= keep[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return 0;
}
