/* SPDX-License-Identifier: GPL-2.0-only */
/* What BPF instructions do to numbers: for the tests that execute or follow programs. */
#ifndef BPF_INSN_H
#define BPF_INSN_H

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <stdbool.h>

/** insn_size - bytes that a load or store accesses */
static inline int insn_size(const struct bpf_insn *insn)
{
	switch (BPF_SIZE(insn->code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	default:
		return 8;
	}
}

static inline __u64 insn_swap_bytes(__u64 value, int bits, bool to_big)
{
	if (bits == 16)
		return to_big ? htons(value) : (__u16)value;
	if (bits == 32)
		return to_big ? htonl(value) : (__u32)value;
	return to_big ? __builtin_bswap64(value) : value;
}

/**
 * insn_alu - the result of an ALU instruction
 * Return: whether it is one that is known here; @result is set if so.
 */
static inline bool insn_alu(const struct bpf_insn *insn, __u64 dst, __u64 src, __u64 *result)
{
	bool wide = BPF_CLASS(insn->code) == BPF_ALU64;

	if (BPF_OP(insn->code) == BPF_END) {
		*result = insn_swap_bytes(dst, insn->imm, BPF_SRC(insn->code) == BPF_TO_BE);
		return true;
	}
	if (!wide) {
		dst = (__u32)dst;
		src = (__u32)src;
	}
	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		dst += src;
		break;
	case BPF_SUB:
		dst -= src;
		break;
	case BPF_MUL:
		dst *= src;
		break;
	case BPF_DIV:
		dst = src ? dst / src : 0;
		break;
	case BPF_MOD:
		dst = src ? dst % src : dst;
		break;
	case BPF_OR:
		dst |= src;
		break;
	case BPF_AND:
		dst &= src;
		break;
	case BPF_XOR:
		dst ^= src;
		break;
	case BPF_LSH:
		dst <<= src & (wide ? 63 : 31);
		break;
	case BPF_RSH:
		dst >>= src & (wide ? 63 : 31);
		break;
	case BPF_ARSH:
		dst = wide ? (__u64)((__s64)dst >> (src & 63)) : (__u32)((__s32)dst >> (src & 31));
		break;
	case BPF_NEG:
		dst = -dst;
		break;
	case BPF_MOV:
		dst = src;
		break;
	default:
		return false;
	}
	*result = wide ? dst : (__u32)dst;
	return true;
}

/**
 * insn_jump - whether a jump instruction jumps
 * Return: whether it is one that is known here; @taken is set if so.
 */
static inline bool insn_jump(const struct bpf_insn *insn, __u64 dst, __u64 src, bool *taken)
{
	bool wide = BPF_CLASS(insn->code) == BPF_JMP;
	__s64 sdst = wide ? (__s64)dst : (__s32)dst, ssrc = wide ? (__s64)src : (__s32)src;

	if (!wide) {
		dst = (__u32)dst;
		src = (__u32)src;
	}
	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		*taken = true;
		break;
	case BPF_JEQ:
		*taken = dst == src;
		break;
	case BPF_JNE:
		*taken = dst != src;
		break;
	case BPF_JGT:
		*taken = dst > src;
		break;
	case BPF_JGE:
		*taken = dst >= src;
		break;
	case BPF_JLT:
		*taken = dst < src;
		break;
	case BPF_JLE:
		*taken = dst <= src;
		break;
	case BPF_JSET:
		*taken = dst & src;
		break;
	case BPF_JSGT:
		*taken = sdst > ssrc;
		break;
	case BPF_JSGE:
		*taken = sdst >= ssrc;
		break;
	case BPF_JSLT:
		*taken = sdst < ssrc;
		break;
	case BPF_JSLE:
		*taken = sdst <= ssrc;
		break;
	default:
		return false;
	}
	return true;
}

#endif /* BPF_INSN_H */
