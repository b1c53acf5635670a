// SPDX-License-Identifier: GPL-2.0-only
/* csum-test.c for IPv6: the same differences and states of a checksum field. */
#define PROXY_FAMILY 6
#include "csum-test.c" // NOLINT(bugprone-suspicious-include)
