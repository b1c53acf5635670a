/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

/**
 * privileges_drop - keep only what attaching, reading and detaching need
 *
 * That is CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON, as far as the process has them; no exec() gives
 * others back. Return: 0 or a negative errno.
 */
int privileges_drop(void);

#endif /* PRIVILEGES_H */
