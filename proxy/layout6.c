// SPDX-License-Identifier: GPL-2.0-only
/* The layout of IPv6: layout.c, compiled a second time. */
#define PROXY_FAMILY 6
#include "layout.c" // NOLINT(bugprone-suspicious-include)
