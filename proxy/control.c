// SPDX-License-Identifier: GPL-2.0-only
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "output.h"
#include "owner.h"
#include "refusal.h"
#include "status.h"

/*
 * A request is "VERB", "VERB ARGUMENT", or either with a "!" behind VERB for --kill. The answer is
 * empty, or says why it was not done.
 */
#define VERB_ADD "add"
#define VERB_DELETE "delete"
#define VERB_FLUSH "flush-flows"

/* Replace or append the mappings of @added. */
static int control_merge(struct mapping_list *list, const struct mapping_list *added)
{
	size_t before = list->count;
	int err = 0;

	for (size_t i = 0; i < added->count && !err; i++) {
		const struct mapping *mapping = &added->entries[i];
		/* What has been appended is not sorted, and is not looked at. */
		struct mapping_list sorted = { .entries = list->entries, .count = before };
		struct mapping *old = mapping_list_find(&sorted, &mapping->from);

		if (old)
			*old = *mapping;
		else
			err = mapping_list_append(list, mapping);
	}
	return err;
}

static int control_add(struct mapping_list *list, const char *text, struct mapping_error *error)
{
	struct mapping_list added = { 0 };
	int err = mapping_list_add(&added, text, 0, error);

	if (!err) {
		err = control_merge(list, &added);
		if (err)
			snprintf(error->text, sizeof(error->text), "%s", strerror(-err));
	}
	mapping_list_free(&added);
	return err;
}

/* Take a mapping from the list; with @kill, also the flows of one that has been deleted before. */
static int control_delete(struct engine *engine, struct mapping_list *list, const char *text,
			  bool kill, struct mapping_error *error)
{
	struct mapping name = { 0 };
	bool found = false;
	size_t kept = 0;
	int err = mapping_parse_name(text, &name, error);

	if (err)
		return err;
	if (kill)
		found = !engine_kill_deleted(engine, &name);
	for (size_t i = 0; i < list->count; i++)
		if (!mapping_named(&list->entries[i], &name))
			list->entries[kept++] = list->entries[i];
	if (kept == list->count && !found) {
		snprintf(error->text, sizeof(error->text), "there is no mapping %s", text);
		return -ENOENT;
	}
	list->count = kept;
	return 0;
}

static int control_change(struct engine *engine, bool adding, const char *arg, bool kill,
			  struct mapping_error *error)
{
	struct mapping_list list = { 0 };
	int err = engine_mappings(engine, &list);

	if (err)
		snprintf(error->text, sizeof(error->text), "%s", strerror(-err));
	else
		err = adding ? control_add(&list, arg, error)
			     : control_delete(engine, &list, arg, kill, error);
	if (!err)
		err = mapping_list_finish(&list, error) ?: engine_serve(engine, &list, kill, error);
	mapping_list_free(&list);
	return err;
}

static int control_carry_out(struct engine *engine, char *request, struct mapping_error *error)
{
	char *arg = strchr(request, ' ');
	char *bang;

	if (arg)
		*arg++ = 0;
	bang = strchr(request, '!');
	if (bang)
		*bang = 0;
	if (arg && !strcmp(request, VERB_ADD))
		return control_change(engine, true, arg, bang, error);
	if (arg && !strcmp(request, VERB_DELETE))
		return control_change(engine, false, arg, bang, error);
	if (!strcmp(request, VERB_FLUSH)) {
		engine_flush(engine);
		return 0;
	}
	snprintf(error->text, sizeof(error->text), "the running proxy does not know '%s'", request);
	return -EINVAL;
}

void control_serve(struct engine *engine, const struct owner *owner)
{
	char request[OWNER_TEXT_MAX];
	struct mapping_error error;
	int fd = owner_accept(owner, request);

	if (fd >= 0)
		owner_answer(fd, control_carry_out(engine, request, &error) ? error.text : "");
}

static const char *control_verb_text(enum proxy_verb verb)
{
	switch (verb) {
	case PROXY_ADD:
		return VERB_ADD;
	case PROXY_DELETE:
		return VERB_DELETE;
	default:
		return VERB_FLUSH;
	}
}

/* --list and --status: look, and change nothing. */
static int control_look(const struct proxy_options *opt, const struct iface *iface)
{
	struct engine engine;
	struct status status = { 0 };
	int err, failed;

	engine_init(&engine, opt, iface);
	err = engine_open(&engine, false);
	if (!err || err == -ENOENT) {
		status_look(&status, &engine, !err);
		failed = opt->verb == PROXY_STATUS ? *status.reason : !status.translates;
		if (opt->verb == PROXY_STATUS)
			err = status_print(stdout, &status, &engine, opt->format == PROXY_JSONL);
		else if (!err)
			err = output_mappings(stdout, &engine, opt->format);
		else
			err = 0;
		err = err ?: log_flush();
		if (*status.reason)
			log_note("%s", status.reason);
		err = err ?: failed;
	}
	engine_close(&engine);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Nobody owns the datapath: do it ourselves, as its owner. */
static int control_as_owner(const struct proxy_options *opt, const struct iface *iface,
			    char *request)
{
	struct mapping_error error;
	struct engine engine;
	struct owner owner;
	pid_t holder;
	int err;

	loop_block_signals();
	err = owner_acquire(&owner, iface->ifindex, geteuid(), &holder);
	if (err) {
		log_refused(REFUSED_LOAD, err, "cannot become the owner of the datapath of %s",
			    iface->name);
		owner_release(&owner);
		return EXIT_FAILURE;
	}
	engine_init(&engine, opt, iface);
	err = engine_open(&engine, true);
	if (err == -ENOENT)
		log_note("no proxy serves %s, nor has one left its filters there (--keep)",
			 iface->name);
	if (!err) {
		err = control_carry_out(&engine, request, &error);
		if (err)
			log_note("%s", error.text);
		engine_finish(&engine);
	}
	engine_close(&engine);
	owner_release(&owner);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int control_verb(const struct proxy_options *opt, const struct iface *iface)
{
	char request[OWNER_TEXT_MAX], answer[OWNER_TEXT_MAX];
	const char *arg = opt->verb_arg;
	int err;

	if (opt->verb == PROXY_LIST || opt->verb == PROXY_STATUS)
		return control_look(opt, iface);
	/* options.c has made sure that it fits. */
	snprintf(request, sizeof(request), "%s%s%s%s", control_verb_text(opt->verb),
		 opt->kill ? "!" : "", arg ? " " : "", arg ?: "");
	err = owner_request(iface->ifindex, request, answer);
	if (err == -ECONNREFUSED)
		return control_as_owner(opt, iface, request);
	if (err == -ETIMEDOUT)
		log_note("the proxy that serves %s does not answer, so nothing has changed (is it "
			 "stopped?)",
			 iface->name);
	else if (err)
		log_refused(REFUSED_BY_ID, err, "cannot reach the proxy that serves %s",
			    iface->name);
	else if (*answer)
		log_note("%s", answer);
	return err || *answer ? EXIT_FAILURE : EXIT_SUCCESS;
}
