// SPDX-License-Identifier: GPL-2.0-only
#include "iface.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "netns.h"

/* The next event, if one comes within 2 s. */
static enum iface_event next(int fd, struct iface *iface)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	enum iface_event event;

	while (!(event = iface_watch_next(fd, iface)))
		if (poll(&poll_fd, 1, 2000) <= 0)
			return IFACE_NOTHING;
	return event;
}

static int open_tun(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void test_open(void)
{
	struct iface iface = { .ifindex = 77 };
	int tun;

	CHECK_EQ(iface_open("nosuch", &iface), -ENODEV, "an unknown interface");
	CHECK_EQ(iface_open("sixteen-or-more-characters", &iface), -ENODEV, "too long a name");
	CHECK_EQ(iface_open("", &iface), -ENODEV, "an empty name");
	CHECK_EQ(iface.ifindex, 77, "a failure leaves the result alone");

	CHECK(!iface_open("lo", &iface) && iface.loopback && !iface.up && iface.l2_len == 14, "lo");
	CHECK(!iface_open("va", &iface) && !iface.loopback && iface.up && iface.l2_len == 14 &&
		      !strcmp(iface.name, "va") && iface.ifindex == (int)if_nametoindex("va"),
	      "a veth");
	tun = open_tun("tun-test");
	if (tun < 0)
		check_skip("a tun device", "cannot make one");
	else
		CHECK(!iface_open("tun-test", &iface) && iface.l2_len == 0,
		      "a tun device has no link-layer header");
	close(tun);
}

static void test_watch(void)
{
	struct iface iface, other;
	int fd = iface_watch_open(), small = 1;

	CHECK(fd >= 0, "the watch opens");
	iface_open("va", &iface);
	iface_open("vc", &other);
	CHECK_EQ(iface_watch_next(fd, &iface), IFACE_NOTHING, "nothing has happened");

	run("ip link set vc down; ip link set vc up");
	run("ip link set va down");
	CHECK(next(fd, &iface) == IFACE_DOWN && !iface.up, "down, and not the other one's down");
	run("ip link set va name vrenamed");
	CHECK(next(fd, &iface) == IFACE_RENAMED && !strcmp(iface.name, "vrenamed"), "renamed");
	run("ip link set vrenamed up");
	CHECK(next(fd, &iface) == IFACE_UP && iface.up, "up");

	/* Leaving a bridge is announced much like leaving the world. */
	run("ip link add br-test type bridge; ip link set vrenamed master br-test");
	run("ip link set vrenamed nomaster");
	CHECK_EQ(next(fd, &iface), IFACE_NOTHING, "leaving a bridge is no departure");

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	run("for i in $(seq 100); do ip link set vc alias $i; done; ip link del vrenamed");
	CHECK_EQ(next(fd, &iface), IFACE_GONE, "gone, though the message was lost");
	close(fd);

	fd = iface_watch_open();
	run("ip link del vc");
	CHECK_EQ(next(fd, &other), IFACE_DOWN, "an interface that goes is down first");
	CHECK_EQ(next(fd, &other), IFACE_GONE, "and then gone");
	close(fd);
}

int main(void)
{
	run("ip link add va type veth peer name vb; ip link set va up");
	run("ip link add vc type veth peer name vd; ip link set vc up");
	RUN(test_open);
	RUN(test_watch);
	return check_exit();
}
