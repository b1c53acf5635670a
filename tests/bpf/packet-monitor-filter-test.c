// SPDX-License-Identifier: GPL-2.0-only
/*
 * -F selects what tcpdump selects: generated expressions over generated frames, asked of libpcap
 * and, compiled, loaded and run by the kernel, of packet-monitor's filter.
 *
 * The filter sees the key of a flow, libpcap the frame. What differs by intention is modelled by
 * giving libpcap another frame or another text, and nothing else is left out:
 *
 * - a VLAN tag hides nothing: libpcap gets the frame without its tags, and for "vlan" what is true
 *   of the outer one, where VID 0 (a priority alone) counts as no VLAN;
 * - IPv6 extension headers hide nothing: libpcap gets the frame without them;
 * - a later fragment has no ports: that of IPv6 gets a port that no expression names, since libpcap
 *   would take its data for ports (and does not for IPv4);
 * - the addresses of hosts in ARP are no part of a key: libpcap gets "ip host" for "host".
 *
 * FILTER_SEED=N runs one expression alone, as printed when it has failed.
 */
#include <errno.h>
#include <pcap/pcap.h>

#include "../../packet-monitor/filter.h"
#include "check.h"
#include "filter-frames.h"
#include "filter-rig.h"
#include "random.h"

static struct filter_frame *frames;
static struct pm_key *keys;

enum { FRAMES = 20000, EXPRESSIONS = 500, EXPRESSIONS_SOAK = 20000 };

static const char *const nets4[] = { "net 10.0.0.0/8",	  "net 10",
				     "net 10.0",	  "net 10.0.0.0/31",
				     "net 172.16.0.0/12", "net 192.168.7.9/32",
				     "net 0.0.0.0/0",	  "net 10.0.0.0 mask 255.0.255.0",
				     "net 128.0.0.0/1",	  "net 192.168.7.9" };
static const char *const nets6[] = { "net fd00::/8",  "net 2001:db8::/31", "net 2001:db8::/32",
				     "net ::/0",      "net fe80::/64",	   "net fd00::1",
				     "net fd00::/127" };
static const char *const ports[] = { "0",    "22",    "53",    "80",	 "443", "8080",
				     "http", "65535", "50051", "domain", "ssh", "ftp-data" };
static const char *const ranges[] = { "80-443", "443-80", "2-65535", "50000-60000", "22", "0-0" };
static const char *const protos4[] = { "1", "2", "6", "17", "47", "132", "\\tcp ", "\\udp " };
static const char *const protos6[] = { "6", "17", "58", "132", "\\tcp ", "\\udp " };

/* --- expressions --------------------------------------------------------------------------------
 */

/* Characters that stand for something in an expression, by which texts are made of it. */
enum { MARK_IP = 1, MARK_VLAN = 2 /* the index in vids[] + 1 follows, or '*' */ };

struct expression {
	char text[2048];
	size_t len;
	/* Whether the next word can do without a qualifier; then it is one of this kind. */
	enum { INHERIT_NONE, INHERIT_HOST4, INHERIT_HOST6, INHERIT_PORT, INHERIT_PROTO } inherit;
};

static void put_text(struct expression *e, const char *text)
{
	size_t len = strlen(text);

	if (e->len + len >= sizeof(e->text))
		abort();
	memcpy(e->text + e->len, text, len + 1);
	e->len += len;
}

static void put_ends(struct expression *e)
{
	static const char *const ends[] = {
		"", "", "", "src ", "dst ", "src or dst ", "src and dst "
	};

	put_text(e, RANDOM_OF(ends));
}

static void put_operator(struct expression *e)
{
	static const char *const operators[] = {
		" and ", " && ", "&&", " or ", " or ", " || ", "||"
	};

	put_text(e, RANDOM_OF(operators));
}

/* "NAME (A or B)" or "NAME A", with @values of @count. */
static void put_values(struct expression *e, const char *name, const char *const *values,
		       size_t count)
{
	bool several = random_one_in(5);

	put_text(e, name);
	put_text(e, several ? " (" : " ");
	put_text(e, values[random_below((__u32)count)]);
	while (several && random_one_in(2)) {
		put_text(e, random_one_in(4) ? " and " : " or ");
		put_text(e, values[random_below((__u32)count)]);
	}
	put_text(e, several ? ")" : "");
}

static void put_host(struct expression *e)
{
	bool six = random_one_in(3);

	if (random_one_in(4))
		put_text(e, six ? "ip6 " : "ip ");
	else if (!six)
		put_text(e, (char[]){ MARK_IP, 0 });
	if (random_one_in(4)) {
		put_text(e, random_one_in(2) ? "src" : "dst");
		put_values(e, "", six ? hosts6 : hosts4, six ? HOSTS6 : HOSTS4);
	} else {
		put_ends(e);
		put_values(e, "host", six ? hosts6 : hosts4, six ? HOSTS6 : HOSTS4);
	}
	e->inherit = six ? INHERIT_HOST6 : INHERIT_HOST4;
}

static void put_net(struct expression *e)
{
	if (random_one_in(3)) {
		put_ends(e);
		put_text(e, RANDOM_OF(nets6));
	} else {
		put_text(e, (char[]){ MARK_IP, 0 });
		put_ends(e);
		put_text(e, RANDOM_OF(nets4));
	}
}

static void put_port(struct expression *e)
{
	static const char *const qualifiers[] = { "", "", "", "tcp ", "udp ", "sctp " };

	put_text(e, RANDOM_OF(qualifiers));
	put_ends(e);
	if (random_one_in(3)) {
		put_values(e, "portrange", ranges, sizeof(ranges) / sizeof(ranges[0]));
	} else {
		put_values(e, "port", ports, sizeof(ports) / sizeof(ports[0]));
		e->inherit = INHERIT_PORT;
	}
}

static void put_proto(struct expression *e)
{
	if (random_one_in(2)) {
		put_text(e, random_one_in(2) ? "ip " : "");
		put_values(e, "proto", protos4, sizeof(protos4) / sizeof(protos4[0]));
	} else {
		put_text(e, "ip6 ");
		put_values(e, "proto", protos6, sizeof(protos6) / sizeof(protos6[0]));
	}
	e->inherit = INHERIT_PROTO;
}

static void put_primitive(struct expression *e)
{
	static const char *const words[] = { "ip",   "ip6",   "tcp",  "udp", "sctp",
					     "icmp", "icmp6", "igmp", "arp", "rarp" };

	e->inherit = INHERIT_NONE;
	switch (random_below(8)) {
	case 0:
	case 1:
		put_host(e);
		break;
	case 2:
		put_net(e);
		break;
	case 3:
	case 4:
		put_port(e);
		break;
	case 5:
		put_proto(e);
		break;
	case 6:
		put_text(e,
			 (char[]){ MARK_VLAN,
				   random_one_in(3) ? '*' : (char)(1 + 1 + random_below(3)), 0 });
		break;
	default:
		put_text(e, RANDOM_OF(words));
	}
}

/* Only a value: it inherits the qualifiers of the one before. */
static void put_inherited(struct expression *e)
{
	switch (e->inherit) {
	case INHERIT_HOST4:
		put_text(e, RANDOM_OF(hosts4));
		break;
	case INHERIT_HOST6:
		put_text(e, RANDOM_OF(hosts6));
		break;
	case INHERIT_PORT:
		put_text(e, RANDOM_OF(ports));
		break;
	default:
		put_text(e, RANDOM_OF(protos4));
	}
}

static struct expression make_expression(void)
{
	struct expression e = { .inherit = INHERIT_NONE };
	int open = 0, terms = 1 + (int)random_below(random_one_in(8) ? 30 : 6);

	for (int i = 0; i < terms; i++) {
		bool parentheses = false;

		if (i)
			put_operator(&e);
		while (random_one_in(5))
			put_text(&e, random_one_in(2) ? "not " : "!");
		while (open < 8 && random_one_in(5)) {
			put_text(&e, random_one_in(3) ? "not (" : "(");
			parentheses = true;
			open++;
		}
		if (e.inherit != INHERIT_NONE && !parentheses && random_one_in(3))
			put_inherited(&e);
		else
			put_primitive(&e);
		while (open && random_one_in(3)) {
			put_text(&e, ")");
			e.inherit = INHERIT_NONE;
			open--;
		}
	}
	while (open--)
		put_text(&e, ")");
	return e;
}

/* The text for packet-monitor. */
static void spell(const struct expression *e, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	for (size_t i = 0; i < e->len; i++) {
		if (e->text[i] == MARK_VLAN) {
			char which = e->text[++i];

			fputs("vlan", out);
			if (which != '*')
				fprintf(out, " %u", vids[which - 1]);
		} else if (e->text[i] != MARK_IP) {
			fputc(e->text[i], out);
		}
	}
	fclose(out);
}

/* The text for libpcap: true or false in place of "vlan" for frames of @vid. */
static void spell_libpcap(const struct expression *e, __u16 vid, bool arp, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	for (size_t i = 0; i < e->len; i++) {
		if (e->text[i] == MARK_VLAN) {
			char which = e->text[++i];

			fputs(vid && (which == '*' || vids[which - 1] == vid) ? "greater 0"
									      : "less 0",
			      out);
		} else if (e->text[i] == MARK_IP) {
			fputs(arp ? "ip " : "", out);
		} else {
			fputc(e->text[i], out);
		}
	}
	fclose(out);
}

/* --- the two filters ----------------------------------------------------------------------------
 */

/* libpcap's programs of one expression: for each VID, and for ARP with its other text. */
struct reference {
	struct bpf_program programs[VIDS][2];
	bool compiled[VIDS][2];
};

static pcap_t *dead;

static int vid_index(__u16 vid)
{
	for (int i = 0; i < VIDS; i++)
		if (vids[i] == vid)
			return i;
	abort();
}

static bool reference_compile(struct reference *reference, const struct expression *e, int vid,
			      bool arp)
{
	char text[4096];

	if (reference->compiled[vid][arp])
		return true;
	spell_libpcap(e, vids[vid], arp, text, sizeof(text));
	/* Without its optimizer, which refuses what no packet can match. */
	if (pcap_compile(dead, &reference->programs[vid][arp], text, 0, PCAP_NETMASK_UNKNOWN))
		return false;
	reference->compiled[vid][arp] = true;
	return true;
}

static void reference_free(struct reference *reference)
{
	for (int vid = 0; vid < VIDS; vid++)
		for (int arp = 0; arp < 2; arp++)
			if (reference->compiled[vid][arp])
				pcap_freecode(&reference->programs[vid][arp]);
}

static bool reference_match(struct reference *reference, const struct expression *e,
			    const struct filter_frame *f)
{
	struct pcap_pkthdr header = { .caplen = f->plain_len, .len = f->plain_len };
	int vid = vid_index(f->vid);

	if (!reference_compile(reference, e, vid, f->arp))
		abort();
	return pcap_offline_filter(&reference->programs[vid][f->arp], &header, f->plain);
}

/* --- the test -----------------------------------------------------------------------------------
 */

static void show_frame(const struct filter_frame *f)
{
	printf("frame:");
	for (__u32 i = 0; i < f->len; i++)
		printf(" %02x", f->bytes[i]);
	printf("\n");
}

/* Return: how many frames both select; -1 after a difference. */
static int compare(struct filter_rig *rig, const struct expression *e, const struct filter *filter,
		   bool never)
{
	struct reference reference = { 0 };
	int selected = 0;
	int err = never ? 0 : filter_rig_run(rig, filter);

	for (int i = 0; i < FRAMES && selected >= 0 && !err; i++) {
		bool want = reference_match(&reference, e, &frames[i]);
		bool got = !never && rig->answer[i];

		if (want != got) {
			show_frame(&frames[i]);
			printf("tcpdump: %d, packet-monitor: %d%s\n", want, got,
			       never ? ", which says that no frame can match" : "");
			selected = -1;
		} else {
			selected += want;
		}
	}
	reference_free(&reference);
	if (err)
		printf("cannot load or run: %s\n", strerror(-err));
	return err ? -1 : selected;
}

struct tally {
	int refused, never, none, all, some;
};

static void test_expression(struct filter_rig *rig, __u64 number, struct tally *tally)
{
	struct reference reference = { 0 };
	struct filter filter = { 0 };
	struct expression e;
	char text[4096], why[FILTER_WHY_MAX] = "";
	bool understood, refused;
	int selected, err;

	random_seed(number);
	e = make_expression();
	spell(&e, text, sizeof(text));
	refused = filter_parse(&filter, text, why);
	understood = reference_compile(&reference, &e, 0, false);
	reference_free(&reference);
	EXPECT(understood != refused, "FILTER_SEED=%llu: '%s': libpcap: %s; packet-monitor: %s",
	       number, text, understood ? "understood" : pcap_geterr(dead),
	       refused ? why : "understood");
	tally->refused += refused;
	if (refused || !understood)
		return;
	err = filter_check(&filter);
	EXPECT(!err || err == -EINVAL, "FILTER_SEED=%llu: '%s': %s", number, text, strerror(-err));
	selected = compare(rig, &e, &filter, err);
	EXPECT(selected >= 0, "FILTER_SEED=%llu: '%s'", number, text);
	tally->never += err != 0;
	tally->none += !selected;
	tally->all += selected == FRAMES;
	tally->some += selected > 0 && selected < FRAMES;
}

static void test_same_as_tcpdump(void)
{
	const char *only = getenv("FILTER_SEED");
	int count = getenv("SOAK") ? EXPRESSIONS_SOAK : EXPRESSIONS;
	struct tally tally = { 0 };
	struct filter_rig rig = { 0 };

	keys = calloc(FRAMES, sizeof(*keys));
	frames = calloc(FRAMES, sizeof(*frames));
	dead = pcap_open_dead(DLT_EN10MB, FILTER_FRAME_MAX);
	if (!CHECK(keys && frames && dead, "opens libpcap"))
		return;
	random_seed(0);
	for (int i = 0; i < FRAMES; i++) {
		filter_frame_make(&frames[i]);
		keys[i] = filter_frame_key(&frames[i]);
	}
	filter_rig_open(&rig, keys, FRAMES);
	check_begin("-F selects what tcpdump selects");
	for (int i = 1; i <= count && !only; i++)
		test_expression(&rig, (__u64)i, &tally);
	if (only)
		test_expression(&rig, strtoull(only, NULL, 10), &tally);
	check_end();
	printf("seeds 1 to %d, %d frames: %d expressions select some, "
	       "%d none (%d of them known to), %d all; %d refused by both\n",
	       count, FRAMES, tally.some, tally.none, tally.never, tally.all, tally.refused);
	CHECK(only || tally.some > count / 2, "most expressions select some frames and not all");
}

int main(void)
{
	RUN(test_same_as_tcpdump);
	return check_exit();
}
