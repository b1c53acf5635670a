// SPDX-License-Identifier: GPL-2.0-only
/*
 * Datapaths that are opened and closed leave nothing open, and close nothing that is not theirs:
 * that of IPv4, that of IPv6, and both.
 */
#include "../../proxy/engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "netns.h"

static struct proxy_options opt = { .max_flows = 1024 };
static struct iface lo;

/* The lowest descriptor that is free; every one below is open. */
static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

/* More descriptors than a process of ours has. */
enum { FDS = 256 };

enum { IPV4 = 1 << 0, IPV6 = 1 << 1 }; /* << the number of the datapath */

static void engine_serving(struct mapping_list *list, int families)
{
	struct mapping_error error;

	*list = (struct mapping_list){ 0 };
	if ((families & IPV4 &&
	     mapping_list_add(list, "127.0.0.2:80=127.0.0.1:8080/tcp", 0, &error)) ||
	    (families & IPV6 && mapping_list_add(list, "[fd00::2]:80=[::1]:8080/tcp", 0, &error)) ||
	    mapping_list_finish(list, &error))
		abort();
}

static void start_and_stop(int families)
{
	struct mapping_list list;
	int before = lowest_free();
	struct engine engine;

	engine_serving(&list, families);
	engine_init(&engine, &opt, &lo);
	CHECK_EQ(engine_start(&engine, &list), 0, "a datapath starts");
	for (int i = 0; i < ENGINE_PATHS; i++)
		CHECK_EQ(datapath_is_open(&engine.paths[i]), !!(families & 1 << i),
			 "each family has its own");
	CHECK_EQ(engine_stop(&engine), 0, "and stops");
	engine_close(&engine);
	CHECK_EQ(lowest_free(), before, "and leaves no descriptor open");
	mapping_list_free(&list);
}

static void test_start_and_stop(void)
{
	start_and_stop(IPV4);
	start_and_stop(IPV6);
	start_and_stop(IPV4 | IPV6);
}

/* A datapath of another version, of the family @other, is left alone, and its descriptors are
 * closed once.
 */
static void other_layout(int families, int other)
{
	struct mapping_list list;
	struct engine engine, second;
	int before, fds[FDS], closed = 0;

	engine_serving(&list, families);
	engine_init(&engine, &opt, &lo);
	CHECK_EQ(engine_start(&engine, &list), 0, "a datapath starts");
	engine.paths[other == IPV6].maps.state->layout++;
	before = lowest_free();
	engine_init(&second, &opt, &lo);
	CHECK_EQ(engine_start(&second, &list), -EPROTO, "another version does not take it over");
	/* All numbers that it has had belong to somebody else now. */
	for (int i = 0; i < FDS; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	engine_close(&second);
	for (int i = 0; i < FDS; i++)
		closed += fcntl(fds[i], F_GETFD) < 0;
	CHECK_EQ(closed, 0, "it closes no descriptor twice");
	for (int i = 0; i < FDS; i++)
		close(fds[i]);
	CHECK_EQ(lowest_free(), before, "and leaves none open");
	CHECK_EQ(engine_stop(&engine), 0, "the first one stops");
	engine_close(&engine);
	mapping_list_free(&list);
}

static void test_other_layout(void)
{
	other_layout(IPV4, IPV4);
	other_layout(IPV6, IPV6);
	other_layout(IPV4 | IPV6, IPV6);
}

int main(void)
{
	run("ip link set lo up");
	run("ip address add fd00::2/128 dev lo nodad");
	if (iface_open("lo", &lo))
		return EXIT_FAILURE;
	RUN(test_start_and_stop);
	RUN(test_other_layout);
	return check_exit();
}
