// SPDX-License-Identifier: GPL-2.0-only
/* The lines of the original packet-monitor, for scripts that read them. */
#include "format.h"
#include "output.h"

void output_classic(FILE *out, const struct report *report)
{
	const struct view *view = report->view;

	fputs("==========\n", out);
	for (size_t i = 0; i < view->count; i++) {
		const struct pm_key *key = &view->rows[i].key;
		bool ports = format_has_ports(key);
		char src[FORMAT_ADDRESS_MAX], dst[FORMAT_ADDRESS_MAX];

		format_address(src, key, false);
		format_address(dst, key, true);
		fprintf(out, "%s[%u] -> %s[%u] proto %u: %llu\n", src,
			ports ? pm_key_sport(key) : 0U, dst, ports ? pm_key_dport(key) : 0U,
			pm_key_proto(key),
			view->rows[i].total[WAY_FORTH].packets +
				view->rows[i].total[WAY_BACK].packets);
	}
}
