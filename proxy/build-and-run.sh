#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Build proxy, run it on an interface, clean up after: proxy/build-and-run.sh IFACE [OPTION...]
exec "$(dirname "$0")/../scripts/build-and-run.sh" proxy "$@"
