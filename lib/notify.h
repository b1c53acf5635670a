/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NOTIFY_H
#define NOTIFY_H

/**
 * notify_ready - tell the service manager that the tool is ready, if one has started it
 *
 * One datagram "READY=1" to the socket named by $NOTIFY_SOCKET, as sd_notify(3) describes it. A
 * failure is reported, since the service manager will wait in vain. May be called again.
 */
void notify_ready(void);

#endif /* NOTIFY_H */
