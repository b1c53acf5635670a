// SPDX-License-Identifier: GPL-2.0-only
/* proxy-cache-test.c for IPv6: the same checks. */
#define PROXY_FAMILY 6
#include "proxy-rig.c" // NOLINT(bugprone-suspicious-include)

#include "proxy-cache-test.c" // NOLINT(bugprone-suspicious-include)
