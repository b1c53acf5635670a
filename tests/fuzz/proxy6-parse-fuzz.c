// SPDX-License-Identifier: GPL-2.0-only
/* proxy-parse-fuzz.c for IPv6: the same promises. */
#define PROXY_FAMILY 6
#include "proxy-parse-fuzz.c" // NOLINT(bugprone-suspicious-include)
