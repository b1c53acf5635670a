// SPDX-License-Identifier: GPL-2.0-only
/*
 * The input is a packet at a hook of packet-monitor: eight bytes of what the kernel knows about it,
 * then the frame. bpf/pm-parse.h and bpf/pm-wire.h, compiled for this machine, have to say the same
 * of it however much of it is in the linear part.
 */
#include "bpf-native.h"

#include "../../bpf/pm-parse.h"
#include "../../bpf/pm-wire.h"

#include "fuzz.h"

enum { META = 8, WITH_LINK = 1, WITH_TAG = 2, WITH_GSO = 4, AT_EGRESS = 8 };

struct pm_parse_outcome {
	enum pm_reason reason;
	enum pm_reason inner_reason;
	struct pm_packet pkt;
	struct pm_packet inner;
	struct pm_count wire;
};

static __u32 meta16(const uint8_t *data)
{
	return (__u32)(data[0] << 8 | data[1]);
}

static bool pm_is_ip(const struct pm_key *key)
{
	return (pm_key_kind(key) & PM_KIND_FAMILY) != PM_KIND_OTHER;
}

static struct pm_parse_outcome pm_parse_run(const uint8_t *data, __u32 len, __u32 linear)
{
	const uint8_t *frame = data + META;
	enum pm_direction dir = *data & AT_EGRESS ? PM_EGRESS : PM_INGRESS;
	__u32 l2_len = *data & WITH_LINK ? ETH_HLEN : 0;
	struct pm_parse_outcome out = { .pkt = PM_PACKET_INIT(dir) };
	struct pm_key plain = {};
	struct native_skb skb;

	native_skb_init(&skb, frame, len, linear);
	skb.protocol = bpf_htons((__u16)meta16(data + 6));
	if (*data & WITH_TAG) {
		skb.vlan_present = 1;
		skb.vlan_tci = meta16(data + 6);
	}
	if (*data & WITH_GSO) {
		skb.gso_size = meta16(data + 2);
		skb.gso_segs = meta16(data + 4);
	}
	out.reason = pm_parse(&skb, &out.pkt, l2_len);
	out.wire = pm_wire_count(&skb, &out.pkt);
	out.inner = out.pkt;
	if (out.reason == PM_OK)
		out.inner_reason = pm_read_inner(&skb, &out.inner);
	if (pm_parse_plain(&skb, dir, &plain, l2_len)) {
		MUST(out.reason == PM_OK && !memcmp(&plain, &out.pkt.key, sizeof(plain)));
		MUST(pm_may_be_tunnel(&plain) || !memcmp(&plain, &out.inner.key, sizeof(plain)));
		MUST(out.wire.packets == 1 && out.wire.bytes == len);
	}
	native_skb_free(&skb);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pm_parse_outcome whole, part;
	__u32 len;

	if (size < META || size > 4096)
		return 0;
	len = (__u32)size - META;
	whole = pm_parse_run(data, len, len);
	MUST(whole.reason < PM_REASONS && whole.inner_reason < PM_REASONS);
	MUST(whole.wire.packets >= 1 && whole.wire.bytes >= len);
	if (pm_is_ip(&whole.pkt.key))
		MUST(whole.reason || (whole.pkt.off <= whole.pkt.end && whole.pkt.end <= len));
	/* A packet inside ends within the one around it. */
	if (pm_is_ip(&whole.inner.key) && whole.reason == PM_OK)
		MUST(whole.inner.end <= whole.pkt.end);
	part = pm_parse_run(data, len, data[1] < len ? data[1] : len);
	MUST(part.reason == whole.reason);
	MUST(!memcmp(&part.wire, &whole.wire, sizeof(part.wire)));
	MUST(part.inner_reason == whole.inner_reason);
	MUST(!memcmp(&part.pkt.key, &whole.pkt.key, sizeof(part.pkt.key)));
	MUST(!memcmp(&part.inner.key, &whole.inner.key, sizeof(part.inner.key)));
	return 0;
}
