// SPDX-License-Identifier: GPL-2.0-only
/* proxy-fuzz-test.c for IPv6: the same frames, model and checks. */
#define PROXY_FAMILY 6
#include "proxy-rig.c" // NOLINT(bugprone-suspicious-include)

#include "proxy-model.c" // NOLINT(bugprone-suspicious-include)

#include "proxy-fuzz-test.c" // NOLINT(bugprone-suspicious-include)
