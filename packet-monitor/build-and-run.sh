#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Build packet-monitor, run it on an interface, and clean up after it:
# packet-monitor/build-and-run.sh IFACE [OPTION...]
exec "$(dirname "$0")/../scripts/build-and-run.sh" packet-monitor "$@"
