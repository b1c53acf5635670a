// SPDX-License-Identifier: GPL-2.0-only
/*
 * The language of pcap-filter(7), as far as it is about flows. "and" and "or" are of one rank there
 * and are taken from left to right; a word without a qualifier inherits those of the word before.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "filter-value.h"
#include "format.h"

enum { VID_MAX = 4095 };

enum word_class {
	WORD_TYPE,
	WORD_END,
	WORD_FAMILY,	/* may stand before host, net and proto */
	WORD_TRANSPORT, /* may stand before port and portrange */
	WORD_PROTO,
	WORD_VLAN,
	WORD_NOT,
	WORD_AND,
	WORD_OR,
};

static const struct keyword {
	const char *name;
	enum word_class class;
	struct filter_term term; /* what the word asks for; WORD_END: @ends */
	enum filter_type type;
} keywords[] = {
	{ "host", WORD_TYPE, .type = FILTER_TYPE_HOST },
	{ "net", WORD_TYPE, .type = FILTER_TYPE_NET },
	{ "port", WORD_TYPE, .type = FILTER_TYPE_PORT },
	{ "portrange", WORD_TYPE, .type = FILTER_TYPE_PORTRANGE },
	{ "proto", WORD_TYPE, .type = FILTER_TYPE_PROTO },
	{ "src", WORD_END, .term.ends = FILTER_SRC },
	{ "dst", WORD_END, .term.ends = FILTER_DST },
	{ "ip", WORD_FAMILY, .term = { FILTER_FAMILY, .families = FILTER_IPV4 } },
	{ "ip6", WORD_FAMILY, .term = { FILTER_FAMILY, .families = FILTER_IPV6 } },
	{ "arp", WORD_PROTO, .term = { FILTER_ETHERTYPE, FILTER_OTHER, .low = 0x0806 } },
	{ "rarp", WORD_PROTO, .term = { FILTER_ETHERTYPE, FILTER_OTHER, .low = 0x8035 } },
	{ "tcp", WORD_TRANSPORT, .term = { FILTER_PROTO, FILTER_IP, .low = IPPROTO_TCP } },
	{ "udp", WORD_TRANSPORT, .term = { FILTER_PROTO, FILTER_IP, .low = IPPROTO_UDP } },
	{ "sctp", WORD_TRANSPORT, .term = { FILTER_PROTO, FILTER_IP, .low = IPPROTO_SCTP } },
	{ "icmp", WORD_PROTO, .term = { FILTER_PROTO, FILTER_IPV4, .low = IPPROTO_ICMP } },
	{ "icmp6", WORD_PROTO, .term = { FILTER_PROTO, FILTER_IPV6, .low = IPPROTO_ICMPV6 } },
	{ "igmp", WORD_PROTO, .term = { FILTER_PROTO, FILTER_IPV4, .low = IPPROTO_IGMP } },
	{ .name = "vlan", .class = WORD_VLAN },
	{ .name = "not", .class = WORD_NOT },
	{ .name = "!", .class = WORD_NOT },
	{ .name = "and", .class = WORD_AND },
	{ .name = "&&", .class = WORD_AND },
	{ .name = "or", .class = WORD_OR },
	{ .name = "||", .class = WORD_OR },
};

struct qualifiers {
	const struct keyword *proto; /* NULL: none */
	__u8 ends;		     /* 0: any */
	enum filter_type type;
	bool loose; /* a network may have bits behind its length */
};

/* A word of the text; empty: the end of it. No word that we know is cut off. */
struct word {
	const char *start, *end; /* in the text */
	char text[64];
};

/* What is known in one pair of parentheses. */
struct level {
	struct word paren;
	struct qualifiers q;
	enum filter_kind op; /* to be put behind the next term; 0: none */
	bool negated;
};

struct parser {
	struct filter *filter;
	const char *text; /* NULL: it is one word, of which the place says nothing */
	struct word word; /* the one to look at */
	struct level levels[FILTER_DEPTH_MAX + 1];
	int depth;
	char *why; /* FILTER_WHY_MAX bytes */
};

/* Say what is wrong with a word, and where it is. Return: -EINVAL. */
static int __attribute__((format(printf, 3, 4)))
complain(const struct parser *p, const struct word *word, const char *fmt, ...)
{
	va_list args;
	int len = 0;

	if (!p->text)
		len = snprintf(p->why, FILTER_WHY_MAX, "'%s' ", word->text);
	else if (*word->text)
		len = snprintf(p->why, FILTER_WHY_MAX, "'%s' at character %d ", word->text,
			       (int)(word->start - p->text) + 1);
	else
		len = snprintf(p->why, FILTER_WHY_MAX, "at the end ");
	va_start(args, fmt);
	vsnprintf(p->why + len, (size_t)(FILTER_WHY_MAX - len), fmt, args);
	va_end(args);
	return -EINVAL;
}

static bool is_blank(char c)
{
	return c && strchr(" \t\r\n", c);
}

/* The word behind @word. */
static struct word behind(const struct word *word)
{
	const char *start = word->end;
	struct word found;
	size_t len;

	while (is_blank(*start))
		start++;
	if (!strncmp(start, "&&", 2) || !strncmp(start, "||", 2))
		len = 2;
	else if (*start && strchr("()!&|", *start))
		len = 1;
	else
		len = strcspn(start, " \t\r\n()!&|");
	found.start = start;
	found.end = start + len;
	snprintf(found.text, sizeof(found.text), "%.*s", (int)len, start);
	return found;
}

/* Go on to the next word. */
static void next_word(struct parser *p)
{
	p->word = behind(&p->word);
}

static bool is(const struct parser *p, const char *text)
{
	return !strcmp(p->word.text, text);
}

/* Return: what the word stands for if it is one of the language's, else NULL */
static const struct keyword *keyword_of(const struct word *word)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (!strcmp(word->text, keywords[i].name))
			return &keywords[i];
	return NULL;
}

static bool is_class(const struct word *word, enum word_class class)
{
	const struct keyword *keyword = keyword_of(word);

	return keyword && keyword->class == class;
}

static int push(const struct parser *p, const struct filter_term *term)
{
	if (filter_push(p->filter, term))
		return complain(p, &p->word, "is too much: %d terms are the most",
				FILTER_TERMS_MAX);
	return 0;
}

/* A network; it goes on to "mask" and what stands behind that. */
static int take_net(struct parser *p, struct filter_term *term, bool loose)
{
	struct word net = p->word, mask;

	if (filter_value_net(term, net.text))
		return complain(p, &net, "is no network (such as 10.0.0.0/8 or fd00::/8)");
	next_word(p);
	mask = p->word;
	if (!is(p, "mask")) {
		p->word = net;
	} else {
		next_word(p);
		if (term->families != FILTER_IPV4 || strchr(net.text, '/') ||
		    filter_value_dotted(p->word.text, strlen(p->word.text), (__u8 *)term->mask) !=
			    4)
			return complain(p, &mask,
					"needs a whole address before it, and a mask such "
					"as 255.0.0.0 behind it");
	}
	if (filter_value_has_more_bits(term) && !loose)
		return complain(p, &net, "has bits set behind the length of the network");
	for (int i = 0; i < 4; i++)
		term->addr[i] &= term->mask[i];
	return 0;
}

/* Set @term to what one word asks for that is no keyword. */
static int take_value(struct parser *p, const struct qualifiers *q, struct filter_term *term)
{
	enum filter_type type = q->type;
	const char *text = p->word.text;
	__u8 proto;

	*term = (struct filter_term){ .ends = q->ends ?: FILTER_SRC | FILTER_DST };
	if (type == FILTER_TYPE_ANY)
		type = strchr(text, '/') ? FILTER_TYPE_NET : FILTER_TYPE_HOST;
	switch (type) {
	case FILTER_TYPE_PORT:
	case FILTER_TYPE_PORTRANGE:
		term->kind = FILTER_PORT;
		term->families = FILTER_IP;
		term->proto = q->proto ? (__u8)q->proto->term.low : 0;
		if (type == FILTER_TYPE_PORTRANGE) {
			if (filter_value_portrange(term, text))
				return complain(p, &p->word,
						"is no range of ports (such as 6000-6008)");
		} else {
			if (filter_value_port(term, text, &term->low))
				return complain(p, &p->word,
						"is no port%s%s (0 to 65535, or a "
						"name in /etc/services)",
						q->proto ? " of " : "",
						q->proto ? q->proto->name : "");
			term->high = term->low;
		}
		return 0;
	case FILTER_TYPE_PROTO:
		term->kind = FILTER_PROTO;
		term->families = q->proto ? q->proto->term.families : FILTER_IP;
		if (format_proto_number(text + (*text == '\\'), &proto))
			return complain(p, &p->word,
					"is no protocol (a name such as tcp, or 0 to 255)");
		term->low = proto;
		return 0;
	case FILTER_TYPE_NET:
		term->kind = FILTER_ADDRESS;
		if (take_net(p, term, q->loose))
			return -EINVAL;
		break;
	default:
		term->kind = FILTER_ADDRESS;
		if (filter_value_host(term, text))
			return complain(p, &p->word,
					"is no IPv4 or IPv6 address, and host names "
					"are not looked up");
	}
	if (q->proto && !(q->proto->term.families & term->families))
		return complain(p, &p->word, "is no address of %s", q->proto->name);
	return 0;
}

/* "src", "dst", and both of them with "or" or "and" between. */
static void take_ends(struct parser *p, struct qualifiers *q)
{
	struct word word = p->word;
	const struct keyword *other;
	bool both;

	q->ends = keyword_of(&word)->term.ends;
	next_word(p);
	word = p->word;
	both = is_class(&p->word, WORD_AND);
	if (!both && !is_class(&p->word, WORD_OR))
		return;
	next_word(p);
	other = keyword_of(&p->word);
	if (other && other->class == WORD_END && other->term.ends != q->ends) {
		q->ends = FILTER_SRC | FILTER_DST | (both ? FILTER_BOTH : 0);
		next_word(p);
	} else {
		p->word = word;
	}
}

/* Whether the qualifiers go together. @word: the last of them */
static int check_qualifiers(const struct parser *p, const struct qualifiers *q,
			    const struct word *word)
{
	bool port = q->type == FILTER_TYPE_PORT || q->type == FILTER_TYPE_PORTRANGE;

	if (q->type == FILTER_TYPE_PROTO && q->ends)
		return complain(p, word, "does not go with src and dst");
	if (q->proto && q->proto->class != (port ? WORD_TRANSPORT : WORD_FAMILY))
		return complain(p, word, "does not go with '%s', but with %s", q->proto->name,
				port ? "tcp, udp and sctp" : "ip and ip6");
	return 0;
}

/* A term of a keyword alone, such as "tcp" or "vlan 5". The word behind it is the next one. */
static int take_keyword(struct parser *p, const struct keyword *keyword)
{
	struct filter_term term = keyword->term;
	int err;

	p->levels[p->depth].q = (struct qualifiers){ 0 };
	next_word(p);
	if (keyword->class != WORD_VLAN)
		return push(p, &term);
	term = (struct filter_term){ FILTER_VLAN, FILTER_IP | FILTER_OTHER, .low = 1,
				     .high = VID_MAX };
	if (*p->word.text < '0' || *p->word.text > '9')
		return push(p, &term);
	if (filter_value_number(p->word.text, VID_MAX, &term.low) || !term.low)
		return complain(p, &p->word, "is no VLAN ID (1 to %d)", VID_MAX);
	term.high = term.low;
	err = push(p, &term);
	next_word(p);
	return err;
}

static int open_level(struct parser *p)
{
	const struct qualifiers *q = &p->levels[p->depth].q;

	if (p->depth == FILTER_DEPTH_MAX)
		return complain(p, &p->word,
				"is too deep: %d parentheses in each other are the most",
				FILTER_DEPTH_MAX);
	p->levels[++p->depth] = (struct level){ .paren = p->word, .q = *q };
	next_word(p);
	return 0;
}

/* What a term's value is used for, now that the term is there. */
static int close_term(struct parser *p)
{
	struct level *level = &p->levels[p->depth];
	int err = 0;

	if (level->negated)
		err = push(p, &(struct filter_term){ .kind = FILTER_NOT });
	if (!err && level->op)
		err = push(p, &(struct filter_term){ .kind = (__u8)level->op });
	level->negated = false;
	level->op = 0;
	return err;
}

static int complain_missing(const struct parser *p)
{
	return complain(p, &p->word,
			*p->word.text ? "comes too early: a term such as tcp or port 80 is missing"
				      : "a term such as tcp or port 80 is missing");
}

/* A word without qualifiers; those of the word before it hold, if there are some. */
static int take_bare(struct parser *p, struct filter_term *term)
{
	const struct qualifiers *q = &p->levels[p->depth].q;
	const char *text = p->word.text;

	if (!*text || is(p, ")") || keyword_of(&p->word))
		return complain_missing(p);
	if (q->type != FILTER_TYPE_ANY || q->ends || strchr(text, '/') ||
	    !filter_value_host(&(struct filter_term){ 0 }, text))
		return take_value(p, q, term);
	if (!filter_value_net(&(struct filter_term){ 0 }, text))
		return complain(p, &p->word, "needs host, net, port or proto before it");
	return complain(p, &p->word,
			"is neither an address nor one of host, net, port, portrange, proto, src, "
			"dst, ip, ip6, tcp, udp, sctp, icmp, icmp6, igmp, arp, rarp, vlan, not, "
			"and, or");
}

/* "tcp src port" and the like, up to what they qualify; @keyword: the first of them */
static int take_qualifiers(struct parser *p, const struct keyword *keyword)
{
	struct qualifiers *q = &p->levels[p->depth].q;
	struct word last = p->word;

	*q = (struct qualifiers){ 0 };
	if (keyword->class >= WORD_FAMILY) {
		q->proto = keyword;
		next_word(p);
	}
	if (is_class(&p->word, WORD_END)) {
		last = p->word;
		take_ends(p, q);
	}
	if (is_class(&p->word, WORD_TYPE)) {
		last = p->word;
		q->type = keyword_of(&p->word)->type;
		next_word(p);
	}
	return check_qualifiers(p, q, &last);
}

/* Whether the word begins qualifiers: a protocol only does if there are more behind it. */
static bool is_qualifier(const struct parser *p, const struct keyword *keyword)
{
	struct word second = behind(&p->word);

	if (!keyword || keyword->class < WORD_FAMILY)
		return keyword;
	return keyword->class <= WORD_PROTO &&
	       (is_class(&second, WORD_TYPE) || is_class(&second, WORD_END));
}

/*
 * Read from where a term has to begin: up to its end, over a "not", or into parentheses.
 * @closed: set to whether the term is at its end
 */
static int take_term(struct parser *p, bool *closed)
{
	const struct keyword *keyword = keyword_of(&p->word);
	struct filter_term term;
	int err = 0;

	*closed = false;
	if (is_class(&p->word, WORD_NOT)) {
		p->levels[p->depth].negated ^= true;
		next_word(p);
		return 0;
	}
	if (is_qualifier(p, keyword)) {
		err = take_qualifiers(p, keyword);
		keyword = NULL;
	}
	if (!err && is(p, "("))
		return open_level(p);
	*closed = true;
	if (keyword && keyword->class <= WORD_VLAN)
		return take_keyword(p, keyword);
	err = err ?: take_bare(p, &term) ?: push(p, &term);
	next_word(p);
	return err;
}

/* Read what stands behind a term: an operator, or the end of the parentheses or of the text. */
static int take_operator(struct parser *p, bool *closed)
{
	struct level *level = &p->levels[p->depth];

	*closed = false;
	if (is_class(&p->word, WORD_AND) || is_class(&p->word, WORD_OR)) {
		level->op = is_class(&p->word, WORD_AND) ? FILTER_AND : FILTER_OR;
	} else if (is(p, ")")) {
		if (!p->depth)
			return complain(p, &p->word, "has no '('");
		p->depth--;
		*closed = true;
	} else {
		return complain(p, &p->word, "needs 'and' or 'or' before it");
	}
	next_word(p);
	return 0;
}

static int parse(struct parser *p)
{
	bool closed = false;
	int err = 0;

	next_word(p);
	while (!err) {
		if (!closed)
			err = take_term(p, &closed);
		else if (!*p->word.text)
			break;
		else
			err = take_operator(p, &closed);
		if (!err && closed)
			err = close_term(p);
	}
	if (!err && p->depth)
		return complain(p, &p->levels[p->depth].paren, "has no ')'");
	return err;
}

int filter_parse(struct filter *filter, const char *text, char why[FILTER_WHY_MAX])
{
	struct filter added = { 0 };
	struct parser p = { .filter = &added, .text = text, .word.end = text, .why = why };

	if (parse(&p))
		return -EINVAL;
	if (filter_join(filter, &added, FILTER_AND))
		return complain(&p, &p.word, "is too much: %d terms are the most",
				FILTER_TERMS_MAX);
	return 0;
}

bool filter_begins(const char *text)
{
	struct word start = { .end = text }, word = behind(&start);

	return keyword_of(&word) || *word.text == '(' ||
	       !filter_value_host(&(struct filter_term){ 0 }, word.text);
}

int filter_add(struct filter *filter, enum filter_type type, const char *text,
	       char why[FILTER_WHY_MAX])
{
	struct filter added = { .count = 1 };
	struct parser p = { .filter = &added, .word.end = text, .why = why };
	struct qualifiers q = { .type = type, .loose = true };

	next_word(&p);
	if (take_value(&p, &q, &added.terms[0]))
		return -EINVAL;
	next_word(&p);
	if (*p.word.text)
		return complain(&p, &p.word, "is too much: one value is enough");
	if (filter_join(filter, &added, FILTER_OR))
		return complain(&p, &p.word, "is too much: %d terms are the most",
				FILTER_TERMS_MAX);
	return 0;
}
