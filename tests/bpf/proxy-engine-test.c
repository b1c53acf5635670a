// SPDX-License-Identifier: GPL-2.0-only
/* A datapath that is opened and closed leaves nothing open, and closes nothing that is not its own.
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

static void serve_one(struct mapping_list *list)
{
	struct mapping_error error;

	if (mapping_list_add(list, "127.0.0.2:80=127.0.0.1:8080/tcp", 0, &error) ||
	    mapping_list_finish(list, &error))
		abort();
}

static void test_start_and_stop(void)
{
	struct mapping_list list = { 0 };
	int before = lowest_free();
	struct engine engine;

	serve_one(&list);
	engine_init(&engine, &opt, &lo);
	CHECK_EQ(engine_start(&engine, &list), 0, "a datapath starts");
	CHECK_EQ(engine_stop(&engine), 0, "and stops");
	engine_close(&engine);
	CHECK_EQ(lowest_free(), before, "and leaves no descriptor open");
	mapping_list_free(&list);
}

/* A datapath of another version is left alone, and its descriptors are closed once. */
static void test_other_layout(void)
{
	struct mapping_list list = { 0 };
	struct engine engine, second;
	int before, fds[64], closed = 0;

	serve_one(&list);
	engine_init(&engine, &opt, &lo);
	CHECK_EQ(engine_start(&engine, &list), 0, "a datapath starts");
	engine.paths[0].maps.state->layout++;
	before = lowest_free();
	engine_init(&second, &opt, &lo);
	CHECK_EQ(engine_start(&second, &list), -EPROTO, "another version does not take it over");
	/* All numbers that it has had belong to somebody else now. */
	for (int i = 0; i < 64; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	engine_close(&second);
	for (int i = 0; i < 64; i++)
		closed += fcntl(fds[i], F_GETFD) < 0;
	CHECK_EQ(closed, 0, "it closes no descriptor twice");
	for (int i = 0; i < 64; i++)
		close(fds[i]);
	CHECK_EQ(lowest_free(), before, "and leaves none open");
	CHECK_EQ(engine_stop(&engine), 0, "the first one stops");
	engine_close(&engine);
	mapping_list_free(&list);
}

int main(void)
{
	run("ip link set lo up");
	if (iface_open("lo", &lo))
		return EXIT_FAILURE;
	RUN(test_start_and_stop);
	RUN(test_other_layout);
	return check_exit();
}
