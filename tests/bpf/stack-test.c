// SPDX-License-Identifier: GPL-2.0-only
/*
 * No program reads a byte of its stack that some path to there has not written, and none uses more
 * stack in a chain of calls than there is.
 *
 * Kernels before 6.3, and stable ones of before the middle of 2024, refuse a program that does.
 * Later ones let it pass, so loading it there shows nothing. This test does what the verifier
 * of 5.15 does, as far as the stack goes: it follows every path through a program, with what is
 * known on it of constants and of pointers to the stack. A byte is read by a load, by a helper
 * function, and by a global function, which is taken to read all that its arguments point to.
 *
 * The verifier knows more, and here states are joined where they become too many. So this test may
 * refuse a program that the verifier accepts; what it accepts, the verifier accepts.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf-insn.h"
#include "check.h"
#include "packet-monitor.h"
#include "packet-monitor.skel.h"
#include "proxy.h"
#include "proxy.skel.h"
#include "proxy6.skel.h"

enum {
	STACK_BYTES = 512,
	WORDS = STACK_BYTES / 8,
	FRAMES = 8,
	REGS = 11,
	STATES_MAX = 256, /* of one instruction, reached by the same calls; more are joined */
	STEPS_MAX = 50 * 1000 * 1000,
};

/* LOST: a pointer to the stack on one path and something else on another. */
enum kind { UNKNOWN, CONSTANT, STACK, LOST };

/* What is known of a byte of stack, from less to more. */
enum byte { UNWRITTEN, WRITTEN, ZERO };

/* What is known of a register, or of 8 bytes of stack that hold one. */
struct stack_value {
	__u8 kind;
	__u8 frame;   /* STACK: whose */
	__u8 varying; /* STACK: an unknown number has been added */
	__s64 number; /* CONSTANT: the number, or a map's descriptor; STACK: an index of written[]
		       */
};

struct stack_frame {
	struct stack_value regs[REGS];
	struct stack_value words[WORDS];
	__u8 bytes[STACK_BYTES]; /* enum byte */
	int entry;		 /* the first instruction of the function */
	int back;		 /* the one behind the call */
};

struct state {
	int pc;
	int depth; /* the frame that runs */
	struct stack_frame frames[FRAMES];
};

struct states {
	struct state **list;
	size_t count, room;
};

struct program {
	const char *name;
	const struct bpf_insn *insns;
	int count;
	const struct btf *btf; /* NULL: no global functions, no lines */
	const struct bpf_func_info *funcs;
	__u32 func_count;
	const struct bpf_line_info *lines;
	__u32 line_count;
	__s64 *used; /* bytes of stack that the function which begins here uses */
	__u16 *live; /* a bit for each register that may be read before it is written */
	bool *target;
	struct states *visits; /* those in which each instruction has been reached */
	struct states todo;
	size_t steps, joins;
	__s64 deepest;	     /* bytes of stack in a chain of calls */
	unsigned int guilty; /* reads of unwritten stack */
	bool *told;
	bool quiet;
};

static struct stack_value constant(__s64 number)
{
	return (struct stack_value){ .kind = CONSTANT, .number = number };
}

/* The line of the source that instruction @pc comes from. */
static const char *source(const struct program *p, int pc)
{
	const struct bpf_line_info *line = NULL;
	static char text[256];

	for (__u32 i = 0; i < p->line_count && (int)p->lines[i].insn_off <= pc; i++)
		line = &p->lines[i];
	if (!line)
		return "?";
	snprintf(text, sizeof(text), "%s:%u", btf__name_by_offset(p->btf, line->file_name_off),
		 line->line_col >> 10);
	return text;
}

static void __attribute__((noreturn)) give_up(const struct program *p, int pc, const char *why)
{
	printf("FAIL %s: instruction %d (code %#x, imm %d, %s): %s\n", p->name, pc,
	       p->insns[pc].code, p->insns[pc].imm, source(p, pc), why);
	exit(EXIT_FAILURE);
}

/* --- instructions --------------------------------------------------------------------------- */

static bool is_jump(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32;
}

static bool is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL);
}

static bool is_exit(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_EXIT);
}

static bool is_always(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA);
}

static bool is_wide(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW);
}

static bool is_store(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_ST || BPF_CLASS(insn->code) == BPF_STX;
}

static bool is_atomic(const struct bpf_insn *insn)
{
	return is_store(insn) && BPF_MODE(insn->code) == BPF_ATOMIC;
}

static bool reads_source(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_LDX || BPF_CLASS(insn->code) == BPF_STX ||
	       (BPF_CLASS(insn->code) != BPF_ST && BPF_SRC(insn->code) == BPF_X);
}

/* Registers 1 to 5, and 0 if @zero. */
static __u16 scratch(bool zero)
{
	return (__u16)(zero ? 0x3f : 0x3e);
}

/* The registers that are live before @insn if those of @after are live behind it. */
static __u16 live_before(const struct bpf_insn *insn, __u16 after)
{
	__u16 dst = (__u16)(1 << insn->dst_reg), src = (__u16)(1 << insn->src_reg);

	if (is_exit(insn))
		return 1;
	if (is_call(insn))
		return (after & ~scratch(true)) | scratch(false);
	if (is_always(insn))
		return after;
	if (is_wide(insn))
		return after & ~dst;
	if (BPF_CLASS(insn->code) == BPF_LDX || BPF_OP(insn->code) == BPF_MOV)
		if (!is_store(insn) && !is_jump(insn))
			after &= ~dst;
	if (is_store(insn) || is_jump(insn) ||
	    (BPF_CLASS(insn->code) != BPF_LDX && BPF_OP(insn->code) != BPF_MOV))
		after |= dst;
	if (is_atomic(insn))
		after |= 1;
	return reads_source(insn) ? after | src : after;
}

static void find_live(struct program *p)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (int pc = p->count - 1; pc >= 0; pc--) {
			const struct bpf_insn *insn = &p->insns[pc];
			int next = pc + 1 + (is_wide(insn) ? 1 : 0);
			__u16 after = 0, before;

			if (!is_exit(insn) && !is_always(insn) && next < p->count)
				after = p->live[next];
			if (is_jump(insn) && !is_call(insn) && !is_exit(insn)) {
				after |= p->live[pc + 1 + insn->off];
				p->target[pc + 1 + insn->off] = true;
			}
			before = live_before(insn, after);
			changed |= before != p->live[pc];
			p->live[pc] = before;
		}
	}
}

/* --- states --------------------------------------------------------------------------------- */

static size_t state_size(const struct state *state)
{
	return offsetof(struct state, frames[state->depth + 1]);
}

static struct state *state_copy(const struct state *state)
{
	struct state *copy = malloc(state_size(state));

	if (!copy)
		abort();
	return memcpy(copy, state, state_size(state));
}

static void states_add(struct states *states, const struct state *state)
{
	if (states->count == states->room) {
		states->room = states->room * 2 + 64;
		states->list = reallocarray(states->list, states->room, sizeof(struct state *));
		if (!states->list)
			abort();
	}
	states->list[states->count++] = state_copy(state);
}

static bool same_value(const struct stack_value *a, const struct stack_value *b)
{
	return a->kind == b->kind &&
	       (a->kind == UNKNOWN || a->kind == LOST ||
		(a->number == b->number && a->frame == b->frame && a->varying == b->varying));
}

/* The value of which both are cases. */
static struct stack_value join_values(const struct stack_value *a, const struct stack_value *b)
{
	if (same_value(a, b))
		return *a;
	if (a->kind == STACK && b->kind == STACK && a->frame == b->frame)
		return (struct stack_value){ .kind = STACK, .frame = a->frame, .varying = 1 };
	if (a->kind <= CONSTANT && b->kind <= CONSTANT)
		return (struct stack_value){ .kind = UNKNOWN };
	return (struct stack_value){ .kind = LOST };
}

/* Of frame @f, registers that matter. */
static bool is_live(const struct program *p, const struct state *state, int f, int reg)
{
	int at = f == state->depth ? state->pc : state->frames[f + 1].back;

	if (reg == 10)
		return false; /* always the same */
	return p->live[at] >> reg & 1 && (f == state->depth || reg > 5);
}

static bool same_calls(const struct state *a, const struct state *b)
{
	if (a->depth != b->depth)
		return false;
	for (int f = 1; f <= a->depth; f++)
		if (a->frames[f].back != b->frames[f].back)
			return false;
	return true;
}

/* Let @old be what @old and @new have in common. Return: whether that is @old as it was. */
static bool join(const struct program *p, struct state *old, const struct state *new)
{
	bool same = true;

	for (int f = 0; f <= old->depth; f++) {
		struct stack_frame *a = &old->frames[f];
		const struct stack_frame *b = &new->frames[f];

		for (int i = 0; i < REGS + WORDS; i++) {
			struct stack_value *x = i < REGS ? &a->regs[i] : &a->words[i - REGS];
			const struct stack_value *y = i < REGS ? &b->regs[i] : &b->words[i - REGS];
			struct stack_value both = join_values(x, y);

			if (i < REGS && !is_live(p, old, f, i))
				continue;
			same &= same_value(&both, x);
			*x = both;
		}
		for (int i = 0; i < STACK_BYTES; i++) {
			same &= a->bytes[i] <= b->bytes[i];
			if (a->bytes[i] > b->bytes[i])
				a->bytes[i] = b->bytes[i];
		}
	}
	return same;
}

/* Whether all that can happen from @state on has been followed; if not, it is noted. */
static bool been_here(struct program *p, struct state *state)
{
	struct states *visits = &p->visits[state->pc];
	struct state *last = NULL;
	int same = 0;

	for (size_t i = 0; i < visits->count; i++) {
		static struct state copy;

		if (!same_calls(visits->list[i], state))
			continue;
		last = visits->list[i];
		same++;
		memcpy(&copy, last, state_size(last));
		if (join(p, &copy, state))
			return true;
	}
	if (same < STATES_MAX) {
		states_add(visits, state);
		return false;
	}
	p->joins++;
	join(p, last, state);
	memcpy(state, last, state_size(last));
	return false;
}

/* --- the stack ------------------------------------------------------------------------------ */

static void tell(struct program *p, int pc, const char *what, int byte)
{
	p->guilty++;
	if (p->told[pc] || p->quiet)
		return;
	p->told[pc] = true;
	printf("  %s: %s: instruction %d reads %s (offset %d)\n", p->name, source(p, pc), pc, what,
	       byte - STACK_BYTES);
}

/* The function of @frame uses its stack from byte @from on. */
static void use_stack(struct program *p, const struct stack_frame *frame, __s64 from)
{
	__s64 *used = &p->used[frame->entry];

	if (*used < STACK_BYTES - from)
		*used = STACK_BYTES - from;
}

static void read_stack(struct program *p, struct state *state, const struct stack_value *at,
		       __s64 off, const struct stack_value *size)
{
	__u8 *bytes = state->frames[at->frame].bytes;
	__s64 from = at->number + off;

	if (at->kind == LOST)
		give_up(p, state->pc, "a pointer that may or may not be to the stack");
	if (at->kind != STACK)
		return;
	if (at->varying || size->kind != CONSTANT) {
		tell(p, state->pc, "stack at a place or of a length that is not known",
		     STACK_BYTES);
		return;
	}
	if (from < 0 || size->number < 0 || from + size->number > STACK_BYTES)
		give_up(p, state->pc, "reads outside of the stack");
	use_stack(p, &state->frames[at->frame], from);
	for (__s64 i = from; i < from + size->number; i++) {
		if (bytes[i] == UNWRITTEN) {
			tell(p, state->pc, "unwritten stack", (int)i);
			bytes[i] = WRITTEN; /* said once */
		}
	}
}

static void write_stack(struct program *p, struct state *state, const struct stack_value *at,
			__s64 off, __s64 size, const struct stack_value *value)
{
	struct stack_frame *frame = &state->frames[at->frame];
	__s64 from = at->number + off;
	bool zero = value && value->kind == CONSTANT && !value->number;

	if (at->kind == LOST)
		give_up(p, state->pc, "a pointer that may or may not be to the stack");
	if (at->kind != STACK)
		return;
	if (at->varying) {
		for (int i = 0; i < WORDS; i++)
			frame->words[i].kind = frame->words[i].kind == STACK ? LOST : UNKNOWN;
		return;
	}
	if (from < 0 || size < 0 || from + size > STACK_BYTES)
		give_up(p, state->pc, "writes outside of the stack");
	use_stack(p, frame, from);
	for (__s64 i = from; i < from + size; i++) {
		frame->bytes[i] = zero ? ZERO : WRITTEN;
		frame->words[i / 8].kind = UNKNOWN;
	}
	if (size == 8 && from % 8 == 0 && value)
		frame->words[from / 8] = *value;
}

/* What @size bytes of stack hold; they may be read. */
static struct stack_value load_stack(const struct state *state, const struct stack_value *at,
				     __s64 off, __s64 size)
{
	const struct stack_frame *frame = &state->frames[at->frame];
	__s64 from = at->number + off, i;

	if (at->kind != STACK || at->varying)
		return (struct stack_value){ .kind = UNKNOWN };
	if (size == 8 && from % 8 == 0 && frame->words[from / 8].kind != UNKNOWN)
		return frame->words[from / 8];
	for (i = from; i < from + size && frame->bytes[i] == ZERO; i++)
		;
	if (i == from + size)
		return constant(0);
	return (struct stack_value){ .kind = UNKNOWN };
}

/* --- calls ---------------------------------------------------------------------------------- */

static struct stack_value map_size(const struct program *p, const struct state *state, bool key)
{
	const struct stack_value *map = &state->frames[state->depth].regs[1];
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (map->kind != CONSTANT || bpf_obj_get_info_by_fd((int)map->number, &info, &len))
		give_up(p, state->pc, "an unknown map");
	return constant(key ? info.key_size : info.value_size);
}

static void stack_call_helper(struct program *p, struct state *state, const struct bpf_insn *insn)
{
	struct stack_value *r = state->frames[state->depth].regs, size;

	switch (insn->imm) {
	case BPF_FUNC_map_update_elem:
		size = map_size(p, state, false);
		read_stack(p, state, &r[3], 0, &size);
		/* fallthrough */
	case BPF_FUNC_map_lookup_elem:
	case BPF_FUNC_map_delete_elem:
		size = map_size(p, state, true);
		read_stack(p, state, &r[2], 0, &size);
		break;
	case BPF_FUNC_skb_load_bytes:
		if (r[3].kind == STACK && r[4].kind != CONSTANT)
			give_up(p, state->pc, "a length that is not known");
		write_stack(p, state, &r[3], 0, r[4].number, NULL);
		break;
	case BPF_FUNC_skb_store_bytes:
		read_stack(p, state, &r[3], 0, &r[4]);
		break;
	case BPF_FUNC_csum_diff:
		read_stack(p, state, &r[1], 0, &r[2]);
		read_stack(p, state, &r[3], 0, &r[4]);
		break;
	case BPF_FUNC_skc_lookup_tcp:
	case BPF_FUNC_sk_lookup_tcp:
	case BPF_FUNC_sk_lookup_udp:
	case BPF_FUNC_fib_lookup:
	case BPF_FUNC_redirect_neigh:
		read_stack(p, state, &r[2], 0, &r[3]);
		break;
	case BPF_FUNC_check_mtu:
		size = constant(sizeof(__u32));
		read_stack(p, state, &r[3], 0, &size);
		break;
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_ktime_get_coarse_ns:
	case BPF_FUNC_jiffies64:
	case BPF_FUNC_get_prandom_u32:
	case BPF_FUNC_get_smp_processor_id:
	case BPF_FUNC_l3_csum_replace:
	case BPF_FUNC_l4_csum_replace:
	case BPF_FUNC_csum_update:
	case BPF_FUNC_skb_change_head:
	case BPF_FUNC_skb_change_tail:
	case BPF_FUNC_skb_adjust_room:
	case BPF_FUNC_skb_pull_data:
	case BPF_FUNC_clone_redirect:
	case BPF_FUNC_redirect:
	case BPF_FUNC_sk_fullsock:
	case BPF_FUNC_sk_release:
	case BPF_FUNC_spin_lock:
	case BPF_FUNC_spin_unlock:
		break;
	default:
		give_up(p, state->pc, "a helper function that is not known here");
	}
}

/* The type of the global function at instruction @pc, or NULL if it is a static one. */
static const struct btf_type *global_function(const struct program *p, int pc)
{
	for (__u32 i = 0; i < p->func_count; i++) {
		const struct btf_type *func = btf__type_by_id(p->btf, p->funcs[i].type_id);

		if ((int)p->funcs[i].insn_off == pc)
			return btf_vlen(func) == BTF_FUNC_GLOBAL
				       ? btf__type_by_id(p->btf, func->type)
				       : NULL;
	}
	return NULL;
}

/* The verifier follows a global function once for all of its calls, each of which must suit it. */
static void call_global(struct program *p, struct state *state, const struct btf_type *type)
{
	struct stack_value *r = state->frames[state->depth].regs;

	for (int i = 0; i < btf_vlen(type); i++) {
		__u32 id = btf_params(type)[i].type;
		const struct btf_type *param = btf__type_by_id(p->btf, id);
		struct stack_value size;

		while (btf_is_mod(param) || btf_is_typedef(param))
			param = btf__type_by_id(p->btf, param->type);
		if (!btf_is_ptr(param))
			continue;
		size = constant(btf__resolve_size(p->btf, param->type));
		read_stack(p, state, &r[i + 1], 0, &size);
		write_stack(p, state, &r[i + 1], 0, size.number, NULL);
	}
}

static void enter(struct state *state, int pc, int back)
{
	struct stack_frame *frame = &state->frames[++state->depth];

	memset(frame, 0, sizeof(*frame));
	frame->entry = pc;
	frame->back = back;
	for (int i = 1; state->depth && i <= 5; i++)
		frame->regs[i] = state->frames[state->depth - 1].regs[i];
	frame->regs[10] = (struct stack_value){ .kind = STACK,
						.frame = (__u8)state->depth,
						.number = STACK_BYTES };
	state->pc = pc;
}

static void after_call(struct state *state)
{
	struct stack_value *r = state->frames[state->depth].regs;

	for (int i = 0; i <= 5; i++)
		r[i].kind = UNKNOWN;
}

static void stack_call(struct program *p, struct state *state, const struct bpf_insn *insn)
{
	int back = state->pc + 1, callee = back + insn->imm;
	const struct btf_type *global;

	if (insn->src_reg == BPF_PSEUDO_CALL) {
		global = global_function(p, callee);
		if (!global) {
			if (state->depth + 1 == FRAMES)
				give_up(p, state->pc, "calls nested too deeply");
			enter(state, callee, back);
			return;
		}
		call_global(p, state, global);
	} else {
		stack_call_helper(p, state, insn);
	}
	after_call(state);
	state->pc = back;
}

/* Return: false at the end of the path. */
static bool leave(struct state *state)
{
	struct stack_value result = state->frames[state->depth].regs[0];

	if (!state->depth)
		return false;
	state->pc = state->frames[state->depth--].back;
	after_call(state);
	state->frames[state->depth].regs[0] = result;
	return true;
}

/* --- steps ---------------------------------------------------------------------------------- */

static void compute(struct stack_value *dst, const struct bpf_insn *insn,
		    const struct stack_value *src)
{
	bool wide = BPF_CLASS(insn->code) == BPF_ALU64;
	__u64 result;

	if (BPF_OP(insn->code) == BPF_MOV && wide) {
		*dst = *src;
	} else if (dst->kind == STACK && wide && BPF_OP(insn->code) == BPF_ADD) {
		dst->number += src->number;
		dst->varying |= src->kind != CONSTANT;
	} else if (dst->kind == STACK && wide && BPF_OP(insn->code) == BPF_SUB) {
		dst->number -= src->number;
		dst->varying |= src->kind != CONSTANT;
	} else if (src->kind == STACK && wide && BPF_OP(insn->code) == BPF_ADD) {
		struct stack_value sum = *src;

		sum.number += dst->number;
		sum.varying |= dst->kind != CONSTANT;
		*dst = sum;
	} else if (src->kind == CONSTANT &&
		   (dst->kind == CONSTANT || BPF_OP(insn->code) == BPF_MOV) &&
		   insn_alu(insn, (__u64)dst->number, (__u64)src->number, &result)) {
		*dst = constant((__s64)result);
	} else {
		dst->kind = dst->kind == LOST ? LOST : UNKNOWN;
	}
	if (dst->kind == STACK && dst->varying)
		dst->number = 0;
}

/* Go where the jump goes; if that is two ways, one is left for later. */
static void branch(struct program *p, struct state *state, const struct bpf_insn *insn,
		   const struct stack_value *src)
{
	struct stack_value *dst = &state->frames[state->depth].regs[insn->dst_reg];
	int there = state->pc + 1 + insn->off;
	bool taken, null = insn->code == (BPF_JMP | BPF_JEQ | BPF_K) && !insn->imm,
		    not_null = insn->code == (BPF_JMP | BPF_JNE | BPF_K) && !insn->imm;

	state->pc++;
	if (is_always(insn)) {
		state->pc = there;
	} else if (dst->kind == CONSTANT && src->kind == CONSTANT &&
		   insn_jump(insn, (__u64)dst->number, (__u64)src->number, &taken)) {
		state->pc = taken ? there : state->pc;
	} else {
		struct stack_value before = *dst;
		int here = state->pc;

		/* Nothing is known of a pointer to the stack: to the older verifier it may be NULL.
		 */
		if (null && before.kind == UNKNOWN)
			*dst = constant(0);
		state->pc = there;
		states_add(&p->todo, state);
		*dst = not_null && before.kind == UNKNOWN ? constant(0) : before;
		state->pc = here;
	}
}

/* Return: false at the end of the path. */
static bool stack_step(struct program *p, struct state *state)
{
	const struct bpf_insn *insn = &p->insns[state->pc];
	struct stack_value *r = state->frames[state->depth].regs, *dst = &r[insn->dst_reg];
	struct stack_value imm = constant(insn->imm), size = constant(insn_size(insn));
	struct stack_value src = reads_source(insn) ? r[insn->src_reg] : imm;

	if (p->steps++ == STEPS_MAX)
		give_up(p, state->pc, "too many paths");
	switch (BPF_CLASS(insn->code)) {
	case BPF_JMP:
	case BPF_JMP32:
		if (is_exit(insn))
			return leave(state);
		if (is_call(insn))
			stack_call(p, state, insn);
		else
			branch(p, state, insn, &src);
		return true;
	case BPF_ALU:
	case BPF_ALU64:
		compute(dst, insn, &src);
		break;
	case BPF_LDX:
		read_stack(p, state, &src, insn->off, &size);
		*dst = load_stack(state, &src, insn->off, size.number);
		break;
	case BPF_ST:
	case BPF_STX:
		if (is_atomic(insn)) {
			read_stack(p, state, dst, insn->off, &size);
			write_stack(p, state, dst, insn->off, size.number, NULL);
			if (insn->imm == BPF_CMPXCHG)
				r[0].kind = UNKNOWN;
			else if (insn->imm & BPF_FETCH)
				r[insn->src_reg].kind = UNKNOWN;
		} else {
			write_stack(p, state, dst, insn->off, size.number,
				    BPF_CLASS(insn->code) == BPF_STX ? &src : NULL);
		}
		break;
	case BPF_LD:
		if (!is_wide(insn))
			give_up(p, state->pc, "an instruction that is not known here");
		*dst = (struct stack_value){ .kind = UNKNOWN };
		if (insn->src_reg == BPF_PSEUDO_MAP_FD)
			*dst = imm;
		else if (!insn->src_reg)
			*dst = constant((__s64)((__u32)imm.number | (__u64)insn[1].imm << 32));
		state->pc++; /* it takes the place of two */
		break;
	}
	state->pc++;
	return true;
}

/* Follow all paths from @entry, of whose arguments nothing is known. */
static void stack_follow(struct program *p, int entry)
{
	static struct state state;

	state.depth = -1;
	enter(&state, entry, -1);
	states_add(&p->todo, &state);
	while (p->todo.count) {
		struct state *next = p->todo.list[--p->todo.count];

		memcpy(&state, next, state_size(next));
		free(next);
		do {
			if (p->target[state.pc] && been_here(p, &state))
				break;
		} while (stack_step(p, &state));
	}
}

/*
 * Return: the bytes of stack that the longest chain of calls uses. Verifiers before 6.7 take those
 * of a function for a multiple of 32, later ones for a multiple of 16.
 */
static __s64 deepest(const struct program *p)
{
	__s64 *deep = calloc((size_t)p->count, sizeof(*deep)), result; /* of each function */
	bool changed = true;

	if (!deep)
		abort();
	while (changed) {
		__u32 next = 0;
		int entry = 0;

		changed = false;
		for (int pc = 0; pc < p->count; pc++) {
			const struct bpf_insn *insn = &p->insns[pc];
			__s64 used;

			if (next < p->func_count && (int)p->funcs[next].insn_off == pc)
				entry = (int)p->funcs[next++].insn_off;
			used = p->used[entry] ? (p->used[entry] + 31) / 32 * 32 : 32;
			if (is_call(insn) && insn->src_reg == BPF_PSEUDO_CALL)
				used += deep[pc + 1 + insn->imm];
			changed |= deep[entry] < used;
			if (deep[entry] < used)
				deep[entry] = used;
		}
	}
	result = deep[0];
	free(deep);
	return result;
}

/* Return: the number of reads of stack that some path has not written. */
static unsigned int examine(struct program *p)
{
	p->used = calloc((size_t)p->count, sizeof(*p->used));
	p->live = calloc((size_t)p->count + 1, sizeof(*p->live));
	p->target = calloc((size_t)p->count + 1, sizeof(*p->target));
	p->told = calloc((size_t)p->count, sizeof(*p->told));
	p->visits = calloc((size_t)p->count, sizeof(*p->visits));
	if (!p->used || !p->live || !p->target || !p->told || !p->visits)
		abort();
	find_live(p);
	stack_follow(p, 0);
	for (__u32 i = 0; i < p->func_count; i++)
		if (p->funcs[i].insn_off && global_function(p, (int)p->funcs[i].insn_off))
			stack_follow(p, (int)p->funcs[i].insn_off);
	if (p->btf)
		p->deepest = deepest(p);
	for (int pc = 0; pc < p->count; pc++) {
		for (size_t i = 0; i < p->visits[pc].count; i++)
			free(p->visits[pc].list[i]);
		free(p->visits[pc].list);
	}
	free(p->used);
	free(p->live);
	free(p->target);
	free(p->told);
	free(p->visits);
	free(p->todo.list);
	return p->guilty;
}

/* --- the programs --------------------------------------------------------------------------- */

static const struct btf *object_btf;

/* libbpf is about to load @prog: its functions are in one piece, and its maps are known. */
static int on_load(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long cookie)
{
	struct program p = {
		.name = bpf_program__name(prog),
		.insns = bpf_program__insns(prog),
		.count = (int)bpf_program__insn_cnt(prog),
		.btf = object_btf,
		.funcs = opts->func_info,
		.func_count = opts->func_info_cnt,
		.lines = opts->line_info,
		.line_count = opts->line_info_cnt,
	};
	unsigned int guilty = examine(&p);

	(void)cookie;
	CHECK(p.func_count && p.line_count, "%s: its functions and lines are known", p.name);
	CHECK_EQ(guilty, 0, "%s: no stack is read that is not written (%zu steps, %zu joins)",
		 p.name, p.steps, p.joins);
	CHECK(p.deepest <= STACK_BYTES,
	      "%s: %lld bytes of stack in a chain of calls, of %d at most", p.name,
	      (long long)p.deepest, STACK_BYTES);
	return 0;
}

static void examine_object(struct bpf_object *obj)
{
	struct bpf_program *prog = NULL;
	struct bpf_map *map = NULL;
	int err;

	object_btf = bpf_object__btf(obj);
	while ((map = bpf_object__next_map(obj, map)))
		if (bpf_map__max_entries(map) > 1)
			bpf_map__set_max_entries(map, 64);
	while ((prog = bpf_object__next_program(obj, prog)))
		bpf_program__set_autoload(prog, true);
	err = bpf_object__load(obj);
	CHECK_EQ(err, 0, "%s loads", bpf_object__name(obj));
}

/* What the test itself is tried on. */
/* Versions of clang-format disagree on braces in macros. */
/* clang-format off */
#define MOV(dst, number)                                                                           \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (number)             \
	}
#define COPY(dst, src)                                                                             \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src)            \
	}
#define ADD(dst, number)                                                                           \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (dst), .imm = (number)             \
	}
#define ADD_REG(dst, src)                                                                          \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = (dst), .src_reg = (src)            \
	}
#define SUB_REG(dst, src)                                                                          \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_SUB | BPF_X, .dst_reg = (dst), .src_reg = (src)            \
	}
#define IF_0(reg, jump)                                                                            \
	{                                                                                          \
		.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (reg), .off = (jump)                 \
	}
#define PUT(size, at, src)                                                                         \
	{                                                                                          \
		.code = BPF_STX | BPF_MEM | (size), .dst_reg = 10, .src_reg = (src), .off = (at)   \
	}
#define GET(size, dst, at)                                                                         \
	{                                                                                          \
		.code = BPF_LDX | BPF_MEM | (size), .dst_reg = (dst), .src_reg = 10, .off = (at)   \
	}
#define HELPER(number)                                                                             \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .imm = (number)                                        \
	}
#define FUNCTION(jump)                                                                             \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = (jump)              \
	}
#define END                                                                                        \
	{                                                                                          \
		.code = BPF_JMP | BPF_EXIT                                                         \
	}
/* clang-format on */

/* Hand 16 bytes of stack, of which the first @start are left out, to a helper. */
#define STORE_FROM(start)                                                                          \
	COPY(3, 10), ADD(3, -32), ADD_REG(3, start), MOV(4, 16), SUB_REG(4, start),                \
		HELPER(BPF_FUNC_skb_store_bytes), END

static const struct control {
	const char *name;
	unsigned int guilty;
	struct bpf_insn insns[24];
} controls[] = {
	{ "8 of 16 bytes, filled and left out behind two branches on a pointer",
	  8,
	  { COPY(1, 10), PUT(BPF_DW, -24, 1), MOV(5, 8), IF_0(1, 1), MOV(5, 0), IF_0(1, 1),
	    PUT(BPF_DW, -32, 1), STORE_FROM(5) } },
	{ "the same behind one",
	  0,
	  { COPY(1, 10), PUT(BPF_DW, -24, 1), MOV(5, 8), IF_0(1, 2), PUT(BPF_DW, -32, 1), MOV(5, 0),
	    STORE_FROM(5) } },
	{ "a byte that is not there when a 4-byte flag is 1",
	  1,
	  { MOV(2, 1), IF_0(1, 2), MOV(2, 0), PUT(BPF_B, -1, 2), PUT(BPF_W, -8, 2),
	    GET(BPF_W, 2, -8), IF_0(2, 1), END, GET(BPF_B, 0, -1), END } },
	{ "a byte that is not there when a 4-byte flag is 0",
	  0,
	  { MOV(2, 0), IF_0(1, 2), MOV(2, 1), PUT(BPF_B, -1, 2), PUT(BPF_W, -8, 2),
	    GET(BPF_W, 2, -8), IF_0(2, 1), GET(BPF_B, 0, -1), END } },
	{ "a function that reads its caller's stack",
	  4,
	  { PUT(BPF_W, -8, 1),
	    COPY(1, 10),
	    ADD(1, -8),
	    FUNCTION(1),
	    END,
	    { .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1 },
	    END } },
	{ "a function that fills it",
	  0,
	  { COPY(1, 10),
	    ADD(1, -8),
	    FUNCTION(2),
	    GET(BPF_DW, 0, -8),
	    END,
	    { .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1 },
	    END } },
};

static void try_controls(void)
{
	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		struct program p = {
			.name = controls[i].name,
			.insns = controls[i].insns,
			.count = sizeof(controls[i].insns) / sizeof(controls[i].insns[0]),
			.quiet = true,
		};

		CHECK_EQ(examine(&p), controls[i].guilty, "%s: %u bytes are found", p.name,
			 controls[i].guilty);
	}
}

int main(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = on_load);
	struct packet_monitor *monitor;
	struct proxy *proxy;
	struct proxy6 *proxy6;

	if (libbpf_register_prog_handler("tc", BPF_PROG_TYPE_SCHED_CLS, 0, &opts) < 0)
		return EXIT_FAILURE;
	try_controls();
	monitor = packet_monitor__open();
	proxy = proxy__open();
	proxy6 = proxy6__open();
	if (!monitor || !proxy || !proxy6)
		return EXIT_FAILURE;
	examine_object(monitor->obj);
	examine_object(proxy->obj);
	examine_object(proxy6->obj);
	packet_monitor__destroy(monitor);
	proxy__destroy(proxy);
	proxy6__destroy(proxy6);
	return check_exit();
}
