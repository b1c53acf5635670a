// SPDX-License-Identifier: GPL-2.0-only
/*
 * From terms to instructions, once for each family of flows. So a term that a family cannot match
 * leaves no instruction behind there, and most others leave one comparison.
 *
 * Terms are conditional jumps. Where a jump leads is known once the operator behind its term is:
 * until then, all jumps with one meaning form a list, each with the number of the next in its
 * offset. A term that is true runs off its end; the operator turns its last jump over if it has to
 * run off its end when it is false.
 */
#include "filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * The registers. Three are filled when the filter begins: the key's meta; its first address word,
 * in which IPv4 has both ends; and the key itself, which is NULL where the family is known to be
 * IPv4.
 */
enum {
	REG_WORK = BPF_REG_0,
	REG_META = BPF_REG_1,  /* the upper half only, once the terms begin */
	REG_SRC = BPF_REG_2,   /* the last word of the source */
	REG_DST = BPF_REG_3,   /* IPv4 */
	REG_KEY = BPF_REG_3,   /* IPv6 */
	REG_SPORT = BPF_REG_4, /* NO_PORT where there is none, or where it is not known */
	REG_DPORT = BPF_REG_5, /* not IP: the EtherType */
};

/* Where the parts of the upper half of a key's meta are. */
enum { META_PROTO = 0, META_KIND = 8, META_VLAN = 16 };

enum { NO_PORT = 0x10000 };

enum {
	JUMP_EQ = BPF_JMP32 | BPF_JEQ,
	JUMP_NE = BPF_JMP32 | BPF_JNE,
	JUMP_GT = BPF_JMP32 | BPF_JGT,
	JUMP_LT = BPF_JMP32 | BPF_JLT,
	JUMP = BPF_JMP | BPF_JA,
};

enum { NOWHERE = -1, PROTO_ANY = -1 };

/* Two IPv6 addresses are 4 words each, which are loaded, masked and compared: no term is longer. */
enum { CODE_MAX = FILTER_TERMS_MAX * (24 + 8 + 4) + 128 };

struct code {
	int family; /* PM_KIND_*: what the flows are that the instructions are for */
	int proto;  /* IPPROTO_*, or PROTO_ANY: not known */
	int count;
	struct bpf_insn insns[CODE_MAX];
};

/* A part of the expression: its value if that is known, else its instructions from @start on. */
struct part {
	enum { PART_FALSE, PART_TRUE, PART_CODE } is;
	int start;
	int jumps[2]; /* lists of the jumps that are taken if it is false, true; newest first */
	bool falls;   /* its value when the instructions run off their end */
};

static void emit(struct code *code, int opcode, int dst, int src, int off, __s32 imm)
{
	code->insns[code->count++] = (struct bpf_insn){ .code = (__u8)opcode,
							.dst_reg = (__u8)dst & 0xf,
							.src_reg = (__u8)src & 0xf,
							.off = (__s16)off,
							.imm = imm };
}

/* 32 bits of @reg, as most operations below. */
static void emit_op(struct code *code, int op, int reg, __s32 value)
{
	emit(code, BPF_ALU | op | BPF_K, reg, 0, 0, value);
}

static void emit_copy(struct code *code, int reg, int from)
{
	emit(code, BPF_ALU | BPF_MOV | BPF_X, reg, from, 0, 0);
}

/* @reg: the upper half of @from */
static void emit_upper(struct code *code, int reg, int from)
{
	if (reg != from)
		emit(code, BPF_ALU64 | BPF_MOV | BPF_X, reg, from, 0, 0);
	emit(code, BPF_ALU64 | BPF_RSH | BPF_K, reg, 0, 0, 32);
}

/* Emit a jump to nowhere yet; Return: its list. */
static int emit_jump(struct code *code, int opcode, int reg, __s32 imm, int list)
{
	emit(code, opcode, reg, 0, list, imm);
	return code->count - 1;
}

/* Lead all jumps of a list to instruction @target. */
static void land(struct code *code, int list, int target)
{
	while (list != NOWHERE) {
		int next = code->insns[list].off;

		code->insns[list].off = (__s16)(target - list - 1);
		list = next;
	}
}

/* Return: the list of the jumps of both. @newer: its jumps stand behind those of @older */
static int join_lists(struct code *code, int newer, int older)
{
	int last = newer;

	if (newer == NOWHERE)
		return older;
	while (code->insns[last].off != NOWHERE)
		last = code->insns[last].off;
	code->insns[last].off = (__s16)older;
	return newer;
}

static struct part part_known(const struct code *code, bool value)
{
	return (struct part){ .is = value ? PART_TRUE : PART_FALSE, .start = code->count };
}

static struct part part_not(struct part part)
{
	int list = part.jumps[true];

	if (part.is != PART_CODE) {
		part.is = part.is == PART_TRUE ? PART_FALSE : PART_TRUE;
		return part;
	}
	part.jumps[true] = part.jumps[false];
	part.jumps[false] = list;
	part.falls = !part.falls;
	return part;
}

/* Turn over the last instruction of a part that runs off its end with the wrong value. */
static void turn(struct code *code, struct part *part, int last)
{
	static const __u8 opposite[16] = {
		[BPF_JEQ >> 4] = BPF_JNE, [BPF_JNE >> 4] = BPF_JEQ, [BPF_JGT >> 4] = BPF_JLE,
		[BPF_JLE >> 4] = BPF_JGT, [BPF_JLT >> 4] = BPF_JGE, [BPF_JGE >> 4] = BPF_JLT,
	};
	struct bpf_insn *insn = &code->insns[last];

	/* It jumps if the part has the other value, and is the newest that does. */
	part->jumps[!part->falls] = insn->off;
	insn->code = BPF_JMP32 | opposite[insn->code >> 4];
	insn->off = (__s16)part->jumps[part->falls];
	part->jumps[part->falls] = last;
	part->falls = !part->falls;
}

/* @b: follows directly on @a */
static struct part part_or(struct code *code, struct part a, struct part b)
{
	if (a.is == PART_TRUE || b.is == PART_TRUE) {
		code->count = a.start;
		return part_known(code, true);
	}
	if (a.is == PART_FALSE)
		return b;
	if (b.is == PART_FALSE)
		return a;
	if (a.falls)
		turn(code, &a, b.start - 1);
	land(code, a.jumps[false], b.start);
	b.jumps[true] = join_lists(code, b.jumps[true], a.jumps[true]);
	b.start = a.start;
	return b;
}

static struct part part_and(struct code *code, struct part a, struct part b)
{
	return part_not(part_or(code, part_not(a), part_not(b)));
}

/* Whether @reg is @low to @high. @start: where the instructions that fill it begin */
static struct part in_range(struct code *code, int start, int reg, __u32 low, __u32 high)
{
	struct part part = { .is = PART_CODE, .start = start, .jumps = { NOWHERE, NOWHERE } };
	int *jumps = &part.jumps[false];

	if (low && low < high)
		*jumps = emit_jump(code, JUMP_LT, reg, (__s32)low, *jumps);
	*jumps = emit_jump(code, low < high ? JUMP_GT : JUMP_NE, reg, (__s32)high, *jumps);
	part.falls = true;
	return part;
}

/* Whether the bits of meta that @mask leaves of those from bit @shift on are @low to @high. */
static struct part meta_in_range(struct code *code, int shift, __s32 mask, __u32 low, __u32 high)
{
	int start = code->count;

	emit_copy(code, REG_WORK, REG_META);
	emit_op(code, shift ? BPF_RSH : BPF_AND, REG_WORK, shift ?: mask);
	return in_range(code, start, REG_WORK, low, high);
}

static struct part compile_proto(struct code *code, __u8 proto)
{
	if (code->proto != PROTO_ANY)
		return part_known(code, code->proto == proto);
	return meta_in_range(code, META_PROTO, 0xff, proto, proto);
}

static void load_word(struct code *code, int reg, int word)
{
	emit(code, BPF_LDX | BPF_MEM | BPF_W, reg, REG_KEY,
	     (int)offsetof(struct pm_key, addr) + word * 4, 0);
}

/* Have word @i of one end's address in a register, which @term may be about to change. */
static int word_register(struct code *code, const struct filter_term *term, bool dst, int i)
{
	bool ipv6 = code->family == PM_KIND_IPV6;
	int reg = dst ? REG_DST : REG_SRC;

	if (ipv6 && (dst || i < 3)) {
		load_word(code, REG_WORK, i + (dst ? 4 : 0));
		return REG_WORK;
	}
	if (term->mask[i] == ~0U)
		return reg;
	emit_copy(code, REG_WORK, reg);
	return REG_WORK;
}

/* One end's address. The last word comes first: it differs most often. */
static struct part compile_words(struct code *code, const struct filter_term *term, bool dst)
{
	struct part part = part_known(code, true);

	for (int i = code->family == PM_KIND_IPV6 ? 3 : 0; i >= 0; i--) {
		int start = code->count, reg;

		if (!term->mask[i])
			continue;
		reg = word_register(code, term, dst, i);
		if (term->mask[i] != ~0U)
			emit_op(code, BPF_AND, reg, (__s32)term->mask[i]);
		part = part_and(code, part,
				in_range(code, start, reg, term->addr[i], term->addr[i]));
	}
	return part;
}

static struct part compile_end(struct code *code, const struct filter_term *term, bool dst)
{
	if (term->kind == FILTER_ADDRESS)
		return compile_words(code, term, dst);
	return in_range(code, code->count, dst ? REG_DPORT : REG_SPORT, term->low, term->high);
}

/* What is asked of one end, of either or of both. */
static struct part compile_ends(struct code *code, const struct filter_term *term)
{
	struct part src, dst;

	if (!(term->ends & FILTER_DST))
		return compile_end(code, term, false);
	if (!(term->ends & FILTER_SRC))
		return compile_end(code, term, true);
	src = compile_end(code, term, false);
	dst = compile_end(code, term, true);
	return term->ends & FILTER_BOTH ? part_and(code, src, dst) : part_or(code, src, dst);
}

static bool proto_has_ports(int proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static struct part compile_port(struct code *code, const struct filter_term *term)
{
	struct part proto = term->proto ? compile_proto(code, term->proto)
					: part_known(code, code->proto == PROTO_ANY ||
								   proto_has_ports(code->proto));

	return part_and(code, proto, compile_ends(code, term));
}

static struct part compile_term(struct code *code, const struct filter_term *term)
{
	if (!(term->families & 1 << code->family))
		return part_known(code, false);
	switch (term->kind) {
	case FILTER_ETHERTYPE:
		return in_range(code, code->count, REG_DPORT, term->low, term->low);
	case FILTER_PROTO:
		return compile_proto(code, (__u8)term->low);
	case FILTER_ADDRESS:
		return compile_ends(code, term);
	case FILTER_PORT:
		return compile_port(code, term);
	case FILTER_VLAN:
		return meta_in_range(code, META_VLAN, 0xffff, term->low, term->high);
	default:
		return part_known(code, true);
	}
}

static struct part compile_terms(struct code *code, const struct filter *filter)
{
	/* What the terms so far have left: one for each open parenthesis at most, and some options.
	 */
	struct part stack[FILTER_DEPTH_MAX + 8] = { 0 };
	int depth = 0;

	for (int i = 0; i < filter->count; i++) {
		switch (filter->terms[i].kind) {
		case FILTER_NOT:
			stack[depth - 1] = part_not(stack[depth - 1]);
			break;
		case FILTER_AND:
			depth--;
			stack[depth - 1] = part_and(code, stack[depth - 1], stack[depth]);
			break;
		case FILTER_OR:
			depth--;
			stack[depth - 1] = part_or(code, stack[depth - 1], stack[depth]);
			break;
		default:
			stack[depth++] = compile_term(code, &filter->terms[i]);
		}
	}
	return stack[0];
}

static bool uses(const struct filter *filter, enum filter_kind kind, int family)
{
	for (int i = 0; i < filter->count; i++)
		if (filter->terms[i].kind == kind && filter->terms[i].families & 1 << family)
			return true;
	return false;
}

/* Fill the registers that the terms read. @never: a list of jumps, to which more is added */
static void load_registers(struct code *code, const struct filter *filter, int *never)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	bool port = uses(filter, FILTER_PORT, code->family), addr;
	int found = NOWHERE;

	if (port) {
		emit_copy(code, REG_SPORT, REG_META);
		emit_op(code, BPF_RSH, REG_SPORT, 16);
	}
	if (port || code->family == PM_KIND_OTHER) {
		emit_copy(code, REG_DPORT, REG_META);
		emit_op(code, BPF_AND, REG_DPORT, 0xffff);
	}
	emit_upper(code, REG_META, REG_META);
	if (port) {
		emit_copy(code, REG_WORK, REG_META);
		emit_op(code, BPF_AND, REG_WORK, PM_KIND_FRAGMENT << META_KIND | 0xff);
		for (int i = 0; i < 3; i++)
			found = emit_jump(code, JUMP_EQ, REG_WORK, protos[i], found);
		emit_op(code, BPF_MOV, REG_SPORT, NO_PORT);
		emit_op(code, BPF_MOV, REG_DPORT, NO_PORT);
		land(code, found, code->count);
	}
	addr = uses(filter, FILTER_ADDRESS, code->family);
	if (addr && code->family == PM_KIND_IPV4) {
		emit_upper(code, REG_DST, REG_SRC);
	} else if (addr) {
		/* A global function has to check its pointer. */
		*never = emit_jump(code, BPF_JMP | BPF_JEQ, REG_KEY, 0, *never);
		load_word(code, REG_SRC, 3);
	}
}

/* All for flows of one family. @jumps: the lists of jumps with the value, to which more is added */
static void compile_family(struct code *code, const struct filter *filter, int family, int jumps[2])
{
	int start = code->count, never = jumps[false];
	struct part part;

	code->family = family;
	load_registers(code, filter, &never);
	part = compile_terms(code, filter);
	if (part.is == PART_CODE) {
		jumps[false] = never;
		for (int value = 0; value < 2; value++)
			jumps[value] = join_lists(code, part.jumps[value], jumps[value]);
	} else {
		code->count = start;
		part.falls = part.is == PART_TRUE;
	}
	jumps[part.falls] = emit_jump(code, JUMP, 0, 0, jumps[part.falls]);
}

static void compile(struct code *code, const struct filter *filter)
{
	int jumps[2] = { NOWHERE, NOWHERE }, ipv6, other;

	code->count = 0;
	code->proto = PROTO_ANY;
	emit_upper(code, REG_WORK, REG_META);
	emit_op(code, BPF_AND, REG_WORK, PM_KIND_FAMILY << META_KIND);
	ipv6 = emit_jump(code, JUMP_EQ, REG_WORK, PM_KIND_IPV6 << META_KIND, NOWHERE);
	other = emit_jump(code, JUMP_NE, REG_WORK, PM_KIND_IPV4 << META_KIND, NOWHERE);
	compile_family(code, filter, PM_KIND_IPV4, jumps);
	land(code, ipv6, code->count);
	compile_family(code, filter, PM_KIND_IPV6, jumps);
	land(code, other, code->count);
	compile_family(code, filter, PM_KIND_OTHER, jumps);
	/* The verifier refuses what nothing leads to. */
	for (int value = 0; value < 2; value++) {
		if (jumps[value] == NOWHERE)
			continue;
		land(code, jumps[value], code->count);
		emit_op(code, BPF_MOV, REG_WORK, value);
		if (!value && jumps[true] != NOWHERE)
			emit(code, JUMP, 0, 0, 1, 0);
	}
}

/* Whether no flow can match, whatever its addresses and ports. */
static bool matches_nothing(struct code *code, const struct filter *filter)
{
	bool never = true;

	for (int i = 0; i < 3 * 256 && never; i++) {
		code->count = 0;
		code->family = i / 256;
		code->proto = i % 256;
		never = compile_terms(code, filter).is == PART_FALSE;
	}
	return never;
}

int filter_check(const struct filter *filter)
{
	struct code *code = malloc(sizeof(*code));
	int err = 0;

	if (!code)
		return -ENOMEM;
	if (filter->count) {
		compile(code, filter);
		if (code->count > PM_FILTER_ROOM)
			err = -E2BIG;
		else if (matches_nothing(code, filter))
			err = -EINVAL;
	}
	free(code);
	return err;
}

int filter_compile(const struct filter *filter, void *elf, size_t size)
{
	const struct bpf_insn place = { .code = BPF_ALU64 | BPF_MOV | BPF_K,
					.imm = PM_FILTER_PLACE };
	struct bpf_insn *insns = elf, *end = insns + size / sizeof(*insns);
	struct code *code = malloc(sizeof(*code));
	int room, err = -ENOENT;

	if (!code)
		return -ENOMEM;
	compile(code, filter);
	for (; insns < end && code->count <= PM_FILTER_ROOM; insns += room ?: 1) {
		room = 0;
		while (insns + room < end && !memcmp(insns + room, &place, sizeof(place)))
			room++;
		if (room < PM_FILTER_ROOM)
			continue;
		/* The jump before the place leads over what is left of it. */
		insns[-1].off = (__s16)(room - code->count);
		memcpy(insns + room - code->count, code->insns,
		       (size_t)code->count * sizeof(*insns));
		err = 0;
	}
	if (code->count > PM_FILTER_ROOM)
		err = -E2BIG;
	free(code);
	return err;
}

int filter_push(struct filter *filter, const struct filter_term *term)
{
	if (filter->count == FILTER_TERMS_MAX)
		return -E2BIG;
	filter->terms[filter->count++] = *term;
	return 0;
}

int filter_join(struct filter *filter, const struct filter *other, enum filter_kind op)
{
	bool both = filter->count && other->count;
	int err = 0;

	for (int i = 0; i < other->count && !err; i++)
		err = filter_push(filter, &other->terms[i]);
	if (!err && both)
		err = filter_push(filter, &(struct filter_term){ .kind = (__u8)op });
	return err;
}

int filter_add_family(struct filter *filter, enum pm_kind family)
{
	struct filter one = {
		.count = 1, .terms = { { .kind = FILTER_FAMILY, .families = (__u8)(1 << family) } }
	};

	return filter_join(filter, &one, FILTER_OR);
}
