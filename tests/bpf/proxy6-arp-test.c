// SPDX-License-Identifier: GPL-2.0-only
/* proxy-arp-test.c for IPv6: neighbour discovery instead of ARP, the same checks. */
#define PROXY_FAMILY 6
#include "proxy-rig.c" // NOLINT(bugprone-suspicious-include)

#include "proxy-arp-test.c" // NOLINT(bugprone-suspicious-include)
