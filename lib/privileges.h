/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

/**
 * enum privileges - what a tool still has to do once its filters are in place
 *
 * Looking at maps and detaching is always among it: CAP_BPF and CAP_NET_ADMIN.
 */
enum privileges {
	PRIVILEGES_LOAD = 1 << 0,    /* load programs again: CAP_PERFMON */
	PRIVILEGES_READ = 1 << 1,    /* open any file to read: CAP_DAC_READ_SEARCH */
	PRIVILEGES_WRITE = 1 << 2,   /* create files in directories of others: CAP_DAC_OVERRIDE */
	PRIVILEGES_PACKETS = 1 << 3, /* open packet sockets again: CAP_NET_RAW */
};

/**
 * privileges_drop - keep only what is needed for @needed, for good
 * @needed: bits of enum privileges
 *
 * Of the capabilities that the process has, those remain that are named above; no exec() gives it
 * others. A process of root goes on as user and group 65534 (nobody), unless it has to write files
 * or cannot change its user. To be called before threads are made, which would keep all.
 * Return: 0 or a negative errno.
 */
int privileges_drop(unsigned int needed);

#endif /* PRIVILEGES_H */
