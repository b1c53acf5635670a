// SPDX-License-Identifier: GPL-2.0-only
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "put.h"

enum { PATIENCE_MS = 1000 };

static void writer_forget(struct writer_text *text)
{
	free(text->bytes);
	*text = (struct writer_text){ 0 };
}

static const char *writer_name(const struct writer *writer)
{
	return writer->path ?: "standard output";
}

/* Write what is read at once. Return: 0, or why writing failed. */
static int writer_push(struct writer *writer)
{
	struct writer_text *now = &writer->now;

	while (now->bytes) {
		ssize_t got =
			put_text(writer->watch.fd, now->bytes + now->done, now->len - now->done, 0);

		if (got < 0) {
			writer->err = (int)got;
			writer->dropped = 0;
			writer_forget(now);
			writer_forget(&writer->next);
			if (got != -EPIPE)
				log_err((int)got, "cannot write the report");
			return writer->err;
		}
		now->done += (size_t)got;
		writer->progress = got;
		if (now->done < now->len)
			return 0;
		writer_forget(now);
		*now = writer->next;
		writer->next = (struct writer_text){ 0 };
	}
	if (writer->dropped)
		log_note("%s is read again; %llu report%s dropped meanwhile", writer_name(writer),
			 writer->dropped, writer->dropped == 1 ? " was" : "s were");
	writer->dropped = 0;
	return 0;
}

static void writer_on_ready(void *arg)
{
	struct writer *writer = arg;
	int err = writer_push(writer);

	if (err || !writer->now.bytes)
		loop_remove(writer->loop, &writer->watch);
	if (err)
		loop_end(writer->loop, err);
}

/* Nobody may read it, and the loop must not be held up: a FIFO, a terminal, which is not wanted. */
static int writer_open_file(struct writer *writer)
{
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(writer->path, flags, 0666);
	struct stat status;

	if (fd < 0)
		return log_err(-errno, "cannot write %s", writer->path);
	writer->begun = !fstat(fd, &status) && status.st_size;
	return fd;
}

/* Anything else in its place, a device for example, would be gone. */
static int writer_check_regular(const char *path)
{
	struct stat status;

	if (lstat(path, &status) || S_ISREG(status.st_mode))
		return 0;
	log_note("cannot replace %s, as prom does: it is no regular file", path);
	return -EINVAL;
}

/* Make a file beside @path that nobody can have prepared. @name: set to its name */
static int writer_open_beside(const char *path, char name[PATH_MAX])
{
	unsigned long long nonce;
	int fd;

	if (getrandom(&nonce, sizeof(nonce), 0) < 0)
		return -errno;
	if (snprintf(name, PATH_MAX, "%s.%016llx.tmp", path, nonce) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

/* Find out whether there will be a file beside @path. Return: 0 or a negative errno, reported. */
static int writer_try_beside(const char *path)
{
	char name[PATH_MAX];
	int fd, err = writer_check_regular(path);

	if (err)
		return err;
	fd = writer_open_beside(path, name);
	if (fd < 0)
		return log_err(fd, "cannot write %s", path);
	close(fd);
	unlink(name);
	return 0;
}

/* Put the report into a file beside the old one, and that in its place. */
static int writer_replace(struct writer *writer, const struct writer_text *text)
{
	int fd, err = writer_check_regular(writer->path);
	char temporary[PATH_MAX];

	if (err)
		return err;
	fd = writer_open_beside(writer->path, temporary);
	if (fd < 0)
		return log_err(fd, "cannot write %s", writer->path);
	for (size_t done = 0; done < text->len && !err;) {
		ssize_t got = write(fd, text->bytes + done, text->len - done);

		if (got < 0)
			err = -errno;
		else
			done += (size_t)got;
	}
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(temporary, writer->path))
		err = -errno;
	if (!err)
		return 0;
	unlink(temporary);
	return log_err(err, "cannot write %s", writer->path);
}

int writer_open(struct writer *writer, struct loop *loop, const char *path, bool replace)
{
	*writer = (struct writer){
		.path = path,
		.replace = path && replace,
		.loop = loop,
		.watch = { .fd = STDOUT_FILENO,
			   .ready = writer_on_ready,
			   .arg = writer,
			   .write = true },
	};
	if (path && replace) {
		writer->watch.fd = -1;
		return writer_try_beside(path);
	}
	if (path)
		writer->watch.fd = writer_open_file(writer);
	return writer->watch.fd < 0 ? writer->watch.fd : 0;
}

void writer_reopen(struct writer *writer)
{
	int fd;

	if (!writer->path || writer->watch.fd < 0)
		return;
	fd = writer_open_file(writer);
	if (fd < 0)
		return;
	/* What has not been read belongs to the new one: no regular file keeps anything waiting. */
	if (writer->now.bytes)
		loop_remove(writer->loop, &writer->watch);
	close(writer->watch.fd);
	writer->watch.fd = fd;
	if (writer->now.bytes)
		loop_add(writer->loop, &writer->watch);
}

int writer_begin(struct writer *writer, bool last, FILE **out)
{
	if (writer->err)
		return writer->err;
	if (writer->now.bytes && !last) {
		writer->dropped++;
		return -EAGAIN;
	}
	writer->stream = open_memstream(&writer->next.bytes, &writer->next.len);
	if (!writer->stream)
		return log_err(-errno, "cannot write the report");
	*out = writer->stream;
	return 0;
}

int writer_end(struct writer *writer, int err)
{
	bool waiting = writer->now.bytes;

	if (fclose(writer->stream) && !err)
		err = log_err(-errno, "cannot write the report");
	writer->stream = NULL;
	if (!err && writer->replace)
		err = writer_replace(writer, &writer->next);
	if (err || writer->replace) {
		writer_forget(&writer->next);
		writer->err = err; /* no report after this one: it would be said once more */
		return err;
	}
	if (waiting)
		return 0;
	writer->now = writer->next;
	writer->next = (struct writer_text){ 0 };
	writer->begun = true;
	err = writer_push(writer);
	/* What cannot be waited for, such as a regular file, takes everything or fails. */
	if (!err && writer->now.bytes)
		err = loop_add(writer->loop, &writer->watch);
	return err;
}

static void writer_wait(struct writer *writer)
{
	struct pollfd fds[] = { { .fd = writer->watch.fd, .events = POLLOUT },
				{ .fd = writer->loop->signals.fd, .events = POLLIN } };

	while (writer->now.bytes && poll(fds, 2, PATIENCE_MS) > 0 && !fds[1].revents)
		if (writer_push(writer) || !writer->progress)
			break;
}

int writer_close(struct writer *writer)
{
	if (writer->now.bytes)
		writer_wait(writer);
	writer->dropped += !!writer->now.bytes + !!writer->next.bytes;
	if (writer->dropped)
		log_note("%s is not read: %llu report%s dropped", writer_name(writer),
			 writer->dropped, writer->dropped == 1 ? " is" : "s are");
	writer->dropped = 0;
	writer_forget(&writer->now);
	writer_forget(&writer->next);
	if (writer->path && writer->watch.fd >= 0)
		close(writer->watch.fd);
	writer->watch.fd = -1;
	return writer->err;
}
