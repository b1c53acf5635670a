/* SPDX-License-Identifier: GPL-2.0-only */
/* What our programs tell each other through skb->tc_index. BPF only. */
#ifndef BPF_TC_INDEX_H
#define BPF_TC_INDEX_H

/*
 * Nothing else that a packet carries survives a redirect: cb[] does not. Packets that nobody has
 * marked have 0.
 */
enum tc_index_mark {
	/*
	 * proxy_egress has translated it and sends it on by bpf_redirect_neigh(), which may lead
	 * through its datapath again. The other 15 bits say whose: several work on one host.
	 */
	TC_INDEX_DONE = 0x8000,
	/* proxy has put it in at ingress: no wire has carried it, so packet-monitor skips it */
	TC_INDEX_INJECTED = 0x7079,
};

#endif /* BPF_TC_INDEX_H */
