// SPDX-License-Identifier: GPL-2.0-only
/*
 * The input is what a rtnetlink socket answers. Its first byte chooses the question, the second one
 * the type of the first message; the rest are datagrams, each behind its length (two bytes).
 */
#include "netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

enum { DATAGRAM_MAX = 32768, DATAGRAMS = 8, ROOM = 4 };

/* Types that are understood; a fuzzer should not have to guess them. 0: as the input has it. */
static const __u16 types[] = {
	0, RTM_NEWROUTE, RTM_NEWNEIGH, RTM_DELNEIGH, NLMSG_ERROR, NLMSG_DONE
};

/* Make the first message of a datagram an answer to the first request. */
static void answer(uint8_t *datagram, size_t len, __u16 type)
{
	struct nlmsghdr *msg = (struct nlmsghdr *)datagram;

	if (len < sizeof(*msg))
		return;
	msg->nlmsg_seq = 1;
	if (type) {
		msg->nlmsg_type = type;
		msg->nlmsg_len = (__u32)len;
	}
}

static void send_datagrams(int fd, __u16 type, const uint8_t *data, size_t size)
{
	static uint8_t datagram[DATAGRAM_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (int i = 0; i < DATAGRAMS && size >= 2; i++) {
		size_t len = (size_t)(data[0] << 8 | data[1]) % DATAGRAM_MAX;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		if (len) {
			memcpy(datagram, data, len);
			answer(datagram, len, type);
			MUST(send(fd, datagram, len, 0) == (ssize_t)len);
		}
		data += len;
		size -= len;
	}
}

static void fuzz_ask(uint8_t question, int fd)
{
	struct netlink nl = { .fd = fd };
	struct netlink_route route = { .oif = -1 };
	struct netlink_neigh neigh = { .ifindex = -1 };
	const struct addr addr = question & 0x80 ? addr_ipv6("0123456789abcdef") : addr_ipv4(1);
	struct addr found[ROOM];
	int count;

	switch ((question & 0x7f) % 5) {
	case 0:
		/* What failed has not been written to. */
		MUST(!netlink_route_get(&nl, &addr, &route) || route.oif == -1);
		break;
	case 1:
		MUST(!netlink_neigh_get(&nl, 1, &addr, &neigh) || neigh.ifindex == -1);
		break;
	case 2:
		netlink_neigh_use(&nl, 1, &addr);
		break;
	case 3:
		count = netlink_neigh_with_mac(&nl, 1, (const __u8[6]){ 2 }, 0xffff, found, ROOM);
		MUST(count <= ROOM);
		break;
	case 4:
		while (netlink_watch_next(fd, &neigh) != NETLINK_NOTHING)
			;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];

	if (size < 2)
		return 0;
	MUST(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds));
	send_datagrams(fds[0], types[data[1] % (sizeof(types) / sizeof(*types))], data + 2,
		       size - 2);
	fuzz_ask(data[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
