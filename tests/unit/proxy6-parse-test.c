// SPDX-License-Identifier: GPL-2.0-only
/* proxy-parse-test.c for IPv6: the same checks, and packets with extension headers. */
#define PROXY_FAMILY 6
#include "proxy-parse-test.c" // NOLINT(bugprone-suspicious-include)
