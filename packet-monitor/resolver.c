// SPDX-License-Identifier: GPL-2.0-only
#include "resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ENTRIES = 8192, NAME_LEN = 40 };

enum state { FREE, WANTED, KNOWN, NAMELESS };

/* What is asked: a host if @port is 0, else a service. */
struct question {
	__u64 addr[2];
	__u32 family; /* PM_KIND_IPV4 or PM_KIND_IPV6 */
	__u16 port;
	__u16 proto;
};

struct entry {
	struct question question;
	enum state state;
	char name[NAME_LEN];
};

/* Never freed: the thread may be waiting for a name server when the tool ends. */
struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t work;
	unsigned int used; /* entries; no more than half of them, so that searches are short */
	struct entry entries[ENTRIES];
	unsigned int queue[ENTRIES]; /* of WANTED entries */
	unsigned int head, tail;
};

static bool resolver_look_up(const struct question *question, char name[NAME_LEN])
{
	struct sockaddr_in ip4 = { .sin_family = AF_INET, .sin_port = htons(question->port) };
	struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6 };
	char host[NI_MAXHOST];

	if (question->port)
		return !getnameinfo((struct sockaddr *)&ip4, sizeof(ip4), NULL, 0, name, NAME_LEN,
				    question->proto == IPPROTO_UDP ? NI_DGRAM : 0) &&
		       (name[0] < '0' || name[0] > '9');
	if (question->family == PM_KIND_IPV4) {
		ip4.sin_addr.s_addr = (__u32)question->addr[0];
		if (getnameinfo((struct sockaddr *)&ip4, sizeof(ip4), host, sizeof(host), NULL, 0,
				NI_NAMEREQD))
			return false;
	} else {
		memcpy(&ip6.sin6_addr, question->addr, sizeof(ip6.sin6_addr));
		if (getnameinfo((struct sockaddr *)&ip6, sizeof(ip6), host, sizeof(host), NULL, 0,
				NI_NAMEREQD))
			return false;
	}
	/* Whoever controls the zone chooses the name: nothing in it may control the terminal. */
	for (char *c = host; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	snprintf(name, NAME_LEN, "%.*s", NAME_LEN - 1, host);
	return true;
}

static void *resolve(void *arg)
{
	struct resolver *resolver = arg;

	pthread_mutex_lock(&resolver->lock);
	for (;;) {
		struct question question;
		char name[NAME_LEN] = "";
		struct entry *entry;
		bool found;

		while (resolver->head == resolver->tail)
			pthread_cond_wait(&resolver->work, &resolver->lock);
		entry = &resolver->entries[resolver->queue[resolver->head++ % ENTRIES]];
		question = entry->question;
		pthread_mutex_unlock(&resolver->lock);
		found = resolver_look_up(&question, name);
		pthread_mutex_lock(&resolver->lock);
		memcpy(entry->name, name, sizeof(name));
		entry->state = found ? KNOWN : NAMELESS;
	}
	return NULL;
}

struct resolver *resolver_open(void)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	pthread_t thread;

	if (!resolver)
		return NULL;
	pthread_mutex_init(&resolver->lock, NULL);
	pthread_cond_init(&resolver->work, NULL);
	if (pthread_create(&thread, NULL, resolve, resolver)) {
		free(resolver);
		return NULL;
	}
	pthread_detach(thread);
	return resolver;
}

/* The entry of @question, a free one if there is none yet. */
static struct entry *find(struct resolver *resolver, const struct question *question)
{
	const __u32 *words = (const __u32 *)question;
	__u32 hash = 0;

	for (size_t i = 0; i < sizeof(*question) / sizeof(*words); i++)
		hash = (hash ^ words[i]) * 0x9e3779b1U ^ hash >> 15;
	for (unsigned int at = hash % ENTRIES;; at = (at + 1) % ENTRIES) {
		struct entry *entry = &resolver->entries[at];

		if (entry->state == FREE || !memcmp(&entry->question, question, sizeof(*question)))
			return entry;
	}
}

static bool ask(struct resolver *resolver, const struct question *question, char *name, size_t size)
{
	struct entry *entry;
	bool known;

	pthread_mutex_lock(&resolver->lock);
	entry = find(resolver, question);
	known = entry->state == KNOWN;
	if (known)
		snprintf(name, size, "%s", entry->name);
	if (entry->state == FREE && resolver->used < ENTRIES / 2) {
		entry->question = *question;
		entry->state = WANTED;
		resolver->used++;
		resolver->queue[resolver->tail++ % ENTRIES] =
			(unsigned int)(entry - resolver->entries);
		pthread_cond_signal(&resolver->work);
	}
	pthread_mutex_unlock(&resolver->lock);
	return known;
}

bool resolver_host(struct resolver *resolver, const struct pm_key *key, bool destination,
		   char *name, size_t size)
{
	struct question question = { .family = pm_key_kind(key) & PM_KIND_FAMILY };

	if (question.family == PM_KIND_IPV4)
		question.addr[0] = (__u32)(key->addr[0] >> (destination ? 32 : 0));
	else if (question.family == PM_KIND_IPV6)
		memcpy(question.addr, &key->addr[destination ? 2 : 0], sizeof(question.addr));
	else
		return false;
	return ask(resolver, &question, name, size);
}

bool resolver_service(struct resolver *resolver, const struct pm_key *key, bool destination,
		      char *name, size_t size)
{
	struct question question = { .port = destination ? pm_key_dport(key) : pm_key_sport(key),
				     .proto = pm_key_proto(key) };

	return question.port && ask(resolver, &question, name, size);
}
