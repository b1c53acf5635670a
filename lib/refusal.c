// SPDX-License-Identifier: GPL-2.0-only
#include "refusal.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"

static char reason[256];

/* Who needs a capability, as bits of enum refused. CAP_SYS_ADMIN includes some of the others. */
static const struct {
	int cap;
	const char *name;
	unsigned int needed_for;
	bool included;
} capabilities[] = {
	{ CAP_BPF, "CAP_BPF", 1 << REFUSED_LOAD, true },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN", 1 << REFUSED_LOAD | 1 << REFUSED_ATTACH, false },
	{ CAP_PERFMON, "CAP_PERFMON", 1 << REFUSED_LOAD, true },
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", 1 << REFUSED_BY_ID, true },
};

static bool refusal_effective(const struct __user_cap_data_struct *data, int cap)
{
	return data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

/* Write the capabilities that are missing for @what to reason[]. Return: whether there are any. */
static bool refusal_lacks_capabilities(enum refused what)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	size_t len = 0;

	if (syscall(SYS_capget, &header, data))
		return false;
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
		if (capabilities[i].needed_for & 1U << what &&
		    !refusal_effective(data, capabilities[i].cap) &&
		    !(capabilities[i].included && refusal_effective(data, CAP_SYS_ADMIN)))
			len += (size_t)snprintf(reason + len, sizeof(reason) - len, "%s%s",
						len ? ", " : "not permitted: this needs ",
						capabilities[i].name);
	if (len)
		snprintf(reason + len, sizeof(reason) - len, " (root has it all)");
	return len;
}

/* Whether capabilities count for nothing here. */
static bool refusal_in_user_namespace(void)
{
	FILE *file = fopen("/proc/self/uid_map", "re");
	char line[64];
	bool found = file && fgets(line, sizeof(line), file);

	if (file)
		fclose(file);
	return found && !strstr(line, "4294967295"); /* the first namespace has all users */
}

/* Whether the kernel does not know "add, and fetch what was there" (Linux 5.12), but the rest. */
static bool refusal_is_old(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
		  .dst_reg = 10,
		  .off = -8,
		  .imm = BPF_ADD | BPF_FETCH },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static const size_t count = sizeof(insns) / sizeof(insns[0]);
	int with = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "GPL", insns, count, NULL);
	int without =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "GPL", insns + count - 2, 2, NULL);

	if (with >= 0)
		close(with);
	if (without >= 0)
		close(without);
	return with < 0 && without >= 0;
}

/* Of maps and programs, with all capabilities there. */
static const char *refusal_load_reason(int err)
{
	struct utsname kernel = { 0 };

	if (err == -ENOSYS)
		return "this kernel has no BPF (it needs CONFIG_BPF_SYSCALL=y)";
	if (err != -EACCES && err != -EINVAL && err != -E2BIG && err != -ENOPROTOOPT)
		return strerror(-err);
	uname(&kernel);
	if (err == -ENOPROTOOPT /* SO_NETNS_COOKIE, of Linux 5.14 */ || refusal_is_old())
		snprintf(reason, sizeof(reason), "Linux %s is too old (5.15 or newer is needed)",
			 kernel.release);
	else if (access("/sys/kernel/btf/vmlinux", F_OK))
		snprintf(reason, sizeof(reason),
			 "this kernel has no BTF (it needs CONFIG_DEBUG_INFO_BTF=y)");
	else
		snprintf(reason, sizeof(reason),
			 "the verifier of Linux %s refuses them (-v shows its log; please report "
			 "it)",
			 kernel.release);
	return reason;
}

/* Return: a text that names the cause and the cure; valid until the next call. */
static const char *refusal_reason(enum refused what, int err)
{
	if ((err == -EPERM || (what == REFUSED_LOAD && (err == -EACCES || err == -EINVAL))) &&
	    refusal_lacks_capabilities(what))
		return reason;
	if (err == -EPERM && refusal_in_user_namespace())
		return "not permitted in a user namespace (its root has no right to BPF)";
	if (err == -EPERM)
		return "not permitted, by lockdown, seccomp or a security module (see dmesg)";
	if (what == REFUSED_LOAD)
		return refusal_load_reason(err);
	switch (-err) {
	case ENODEV:
	case ENXIO:
		return "no such interface";
	default:
		return strerror(-err);
	}
}

int log_refused(enum refused what, int err, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_note("%s: %s", text, refusal_reason(what, err));
	return err;
}
