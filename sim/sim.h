/* SPDX-License-Identifier: MIT */
/*
 * sim: a simulated machine whose translation caches are as adversarial as the manuals allow, and
 * an oracle that judges every step of the page-table code that runs on it.
 *
 * Hardware MAY keep any translation, and any part of a walk, that was reachable at any moment
 * since the last invalidation that covers it. Real machines rarely do, so code that forgets an
 * invalidation works for years. This machine keeps the whole set of what each CPU may hold and
 * fails a run as soon as any member of the set could make an access go wrong.
 *
 * It knows nothing of any page-table library: it sees physical memory, the registers that matter,
 * stores to tables, invalidation instructions, and accesses. docs/SIMULATOR.md shows how to put
 * one's own code on it.
 *
 *	struct sim_config config;
 *	sim_config_init(&config, SIM_X86_64);
 *	config.cpus = 4;
 *	struct sim *sim = sim_create(&config);
 *	...
 *	sim_entry_write(sim, cpu, slot, entry, 8);
 *	sim_x86_invlpg(sim, cpu, va);
 *	sim_access(sim, cpu, va, SIM_READ, SIM_SUPERVISOR);
 *	if (sim_error(sim) != SIM_OK)
 *		sim_report(sim, stderr);
 *
 * The first error is kept; after it the machine goes on but reports nothing more.
 * One machine is used by one host thread at a time; several machines live side by side.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sim;

enum sim_arch {
	SIM_X86_64,        /* 4- and 5-level paging */
	SIM_X86_PAE,       /* PAE paging */
	SIM_X86_TWO_LEVEL, /* 32-bit paging */
	SIM_ARM64,         /* VMSAv8-64 stage 1, EL1&0 */
	SIM_RISCV,         /* Sv39, Sv48, Sv57 */
	SIM_FAKE,          /* no machine: Kelp's format whose encoding differs at every level */
};

/*
 * The registers that decide how a CPU translates and what it permits. They are given once in the
 * config; those marked "live" may be changed per CPU at any time through sim_registers().
 */
struct sim_registers {
	unsigned levels;        /* x86_64: 4 or 5; riscv: 3, 4 or 5 */
	unsigned physical_bits; /* width of a physical address the walker accepts */

	/* x86, Intel SDM volume 3A sections 2.5 and 4.1.3 */
	bool nxe;               /* EFER.NXE */
	bool pse;               /* CR4.PSE: 4 MiB leaves in two-level tables */
	bool pse36;             /* their frames reach 40 bits */
	bool gigabyte_leaves;
	bool pcide;             /* CR4.PCIDE; fixed */
	bool pge;               /* CR4.PGE; changed by sim_x86_set_pge() only */
	bool wp, smep, smap;    /* live: CR0.WP, CR4.SMEP, CR4.SMAP */
	bool ac;                /* live: EFLAGS.AC */
	bool pke, pks;          /* live: CR4.PKE, CR4.PKS */
	uint32_t pkru, pkrs;    /* live */
	uint64_t pat;           /* IA32_PAT */
	uint64_t encryption_mask; /* the C-bit or shared bit; not an address bit */

	/* arm64, Arm ARM DDI 0487 section D8 */
	unsigned granule_shift; /* 12, 14, 16 */
	unsigned t0sz, t1sz;
	bool ds;                /* TCR_EL1.DS: 52-bit with 4 KiB and 16 KiB granules */
	bool lpa;               /* FEAT_LPA: 52-bit output addresses with the 64 KiB granule */
	bool ha, hd;            /* TCR_EL1.HA, HD */
	unsigned bbm_level;     /* ID_AA64MMFR2_EL1.BBM */
	bool pan, wxn;          /* live: PSTATE.PAN, SCTLR_EL1.WXN */
	uint64_t mair;

	/* riscv, privileged architecture 1.13 chapter "Supervisor-Level ISA" */
	bool svnapot, svpbmt, svvptc, svinval;
	bool adue;              /* menvcfg.ADUE: hardware updates A and D (Svadu), else faults */
	bool sum, mxr;          /* live: sstatus.SUM, MXR */

	/* fake: also ha (A and D by hardware), svvptc (invalid entries are not cached) and
	 * bbm_level, with the meanings they have above */
	bool fake_high_half, fake_hierarchical;
	bool fake_root_in_registers; /* as PAE's PDPTEs: loaded by sim_fake_write_root() */
};

/* What the embedder promises or wants judged besides what is always wrong. */
struct sim_policy {
	/*
	 * A fault from a cached translation that is narrower than the tables is an error. Usually
	 * software tolerates it: it re-reads the tables and returns.
	 */
	bool no_spurious_faults;
	/* A non-atomic store over an entry in which hardware MAY just have set the dirty bit is an
	 * error even if it did not. Without it only bits that were really lost are. */
	bool judge_dirty_window;
	/* A dirty bit that was cleared must be flushed, or a later store goes unrecorded. */
	bool judge_dirty_flush;
	/* arm64: the CPU that invalidated must run an ISB before it relies on it. */
	bool strict_isb;
	/*
	 * x86: INVLPG drops all that is cached of the large leaf that mapped the address before,
	 * although a table stands there now. Processors do so; the SDM (4.10.4.2) does not promise
	 * it and asks for one INVLPG per page.
	 */
	bool invlpg_reaches_former_leaf;
	/*
	 * An invalidation of one address of a group (contiguous hint, NAPOT) drops what is cached
	 * of the whole group. Else, as the manuals allow, each entry may be cached by itself, from
	 * any entry of the group that bears the mark.
	 */
	bool invalidate_reaches_group;
	/* Mappings of one frame with different memory types are the embedder's intention. */
	bool allow_type_aliases;
};

/* Hardware that does not do what its manual says. */
struct sim_faulty {
	/* x86: with CR4.PCIDE set, INVLPG leaves global entries (Intel erratum RPL042 and kin). */
	bool invlpg_keeps_globals;
	/* arm64: a TLBI is only effective when issued again after its DSB (Cortex-A76 1286807). */
	bool tlbi_needs_repeating;
};

struct sim_config {
	enum sim_arch arch;
	unsigned cpus;          /* 1 to 4096 */
	unsigned devices;       /* agents that walk tables but obey no CPU's invalidation */
	bool devices_snoop;     /* arm64: broadcast TLBI reaches them (SMMU with DVM) */
	uint64_t memory;        /* bytes of physical memory, at most 64 TiB */
	uint64_t seed;
	struct sim_registers registers;
	struct sim_policy policy;
	struct sim_faulty faulty;
	size_t trace_events;    /* how many events the trace keeps; 0: 4096 */
	unsigned run_id;        /* printed with a verdict: what replays the run */
};

/* Sensible values for an architecture: one CPU, 1 TiB, everything modern switched on. */
void sim_config_init(struct sim_config *config, enum sim_arch arch);
/* NULL when the configuration contradicts itself (a line on stderr says how) or memory is out. */
struct sim *sim_create(const struct sim_config *config);
void sim_destroy(struct sim *sim);
const struct sim_config *sim_config(const struct sim *sim);
struct sim_registers *sim_registers(struct sim *sim, unsigned cpu);

/* ---- physical memory --------------------------------------------------------------------- */

/* Host memory behind a physical address, contiguous within its aligned 64 KiB. */
void *sim_pointer(struct sim *sim, uint64_t pa);
/* The reverse. False when the pointer is not into this machine's memory. */
bool sim_physical(const struct sim *sim, const void *pointer, uint64_t *pa);
/* Host bytes that back the memory touched so far. */
uint64_t sim_memory_touched(const struct sim *sim);

/*
 * A page allocator for tables and frames, for who has none. Pages come in scrambled order, never
 * two neighbours in a row, zeroed. `limit`: highest address it may touch.
 */
bool sim_page_take(struct sim *sim, uint64_t size, uint64_t limit, uint64_t *pa);
/*
 * Tells that a page is no longer a table. Judged: no CPU may be able to walk it any more, nor
 * software be inside a read section that began while it was linked. It may be taken again.
 */
void sim_page_free(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t size);
/* The embedder's own allocator gave the page out again: it is not freed any more. */
void sim_page_used(struct sim *sim, uint64_t pa, uint64_t size);
/* Tells that a frame gets a new owner. Judged: no CPU may hold a translation to it that the
 * tables no longer contain. */
void sim_frame_reuse(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t size);

/* ---- entries ----------------------------------------------------------------------------- */

/* Software's reads and writes of table entries; width is 4 or 8. Every write to memory that may
 * be a table must come through one of these (or through sim_store). */
uint64_t sim_entry_read(struct sim *sim, unsigned cpu, uint64_t pa, unsigned width);
void sim_entry_write(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t value, unsigned width);
/* Atomic compare and swap; *expected becomes what is there. */
bool sim_entry_swap(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t *expected,
		    uint64_t desired, unsigned width);
/* `count` entries from `pa` on: value, value + step, ... Cheap while the page is no live table. */
void sim_entry_fill(struct sim *sim, unsigned cpu, uint64_t pa, unsigned count, uint64_t value,
		    uint64_t step, unsigned width);
/* A software walker's read section: sim_page_free() of a page that was linked when it began is
 * an error. Sections nest per CPU. */
void sim_reader_enter(struct sim *sim, unsigned cpu);
void sim_reader_exit(struct sim *sim, unsigned cpu);
/* True while any CPU is in a read section that began before `since` (a sim_now() value). */
bool sim_reader_active(const struct sim *sim, uint64_t since);

/* ---- accesses ---------------------------------------------------------------------------- */

enum sim_access { SIM_READ, SIM_WRITE, SIM_FETCH };
enum sim_privilege { SIM_SUPERVISOR, SIM_USER };

enum sim_fault {
	SIM_FAULT_NONE,
	SIM_FAULT_ADDRESS,     /* not canonical, or outside both halves */
	SIM_FAULT_NOT_PRESENT, /* translation fault */
	SIM_FAULT_RESERVED,    /* a reserved bit or encoding */
	SIM_FAULT_SIZE,        /* arm64 address size fault */
	SIM_FAULT_ACCESS_FLAG, /* arm64 AF clear; riscv A or D clear without Svadu */
	SIM_FAULT_PERMISSION,
	SIM_FAULT_KEY,         /* x86 protection key */
};

enum sim_type { /* memory types, as far as an architecture tells them apart */
	SIM_TYPE_NORMAL, SIM_TYPE_WRITE_THROUGH, SIM_TYPE_WRITE_COMBINE, SIM_TYPE_DEVICE,
	SIM_TYPE_DEVICE_STRICT, SIM_TYPE_WRITE_PROTECT, SIM_TYPE_UNCACHED, SIM_TYPE_TAGGED,
	SIM_TYPE_RESERVED,
};

struct sim_result {
	enum sim_fault fault;
	uint8_t level;   /* of the entry that faulted or translated; 0 holds the smallest leaves */
	uint8_t shift;   /* log2 of the leaf */
	uint8_t type;    /* enum sim_type */
	bool global;
	bool dirty;      /* as the leaf stood before the access */
	uint64_t pa;     /* where the address leads, offset included */
	uint64_t entry;  /* the leaf */
	uint64_t slot;   /* its physical address */
};

/* An access, judged: accessed and dirty bits are set, every translation the CPU may hold is
 * compared with what the tables say now. */
struct sim_result sim_access(struct sim *sim, unsigned cpu, uint64_t va, enum sim_access access,
			     enum sim_privilege privilege);
/* The same with data, at most 8 bytes, within one page. */
struct sim_result sim_load(struct sim *sim, unsigned cpu, uint64_t va, unsigned size,
			   enum sim_privilege privilege, uint64_t *value);
struct sim_result sim_store(struct sim *sim, unsigned cpu, uint64_t va, unsigned size,
			    enum sim_privilege privilege, uint64_t value);
/* What the tables say now. Sets nothing, judges nothing. */
struct sim_result sim_translate(struct sim *sim, unsigned cpu, uint64_t va,
				enum sim_access access, enum sim_privilege privilege);
/*
 * Judges an address on one CPU without an access: every translation it may hold must lead to
 * `pa` for this kind of access, whatever the tables say. For what must hold at every instant.
 */
void sim_expect(struct sim *sim, unsigned cpu, uint64_t va, enum sim_access access,
		enum sim_privilege privilege, uint64_t pa);
/*
 * Judges an address on every CPU and device at a moment when all flushes are done: nothing may be
 * held of it but what the tables say now. The same frame is not enough, it must be the same size,
 * type, rights and globality; only accessed and dirty may differ. What is held in another size
 * does no harm to an access, and is still a multi-hit for the TLB and a trap for the next change,
 * whose flush looks at the tables.
 */
void sim_expect_settled(struct sim *sim, uint64_t va);
/* sim_expect(), after every write to a live table, on every CPU, until removed. At most 64. */
int sim_watch(struct sim *sim, uint64_t va, enum sim_access access, enum sim_privilege privilege,
	      uint64_t pa);
void sim_unwatch(struct sim *sim, int watch);

/* ---- intent -------------------------------------------------------------------------------- */

/* From now on no mapping may give `access` to the frames; an access that does is an error. The
 * declaration itself is judged as sim_frame_reuse() would for that access. */
void sim_frame_forbid(struct sim *sim, uint64_t pa, uint64_t size, enum sim_access access);
void sim_frame_permit(struct sim *sim, uint64_t pa, uint64_t size, enum sim_access access);
/* Addresses first to last must translate alike under every root a CPU runs on. At most 8. */
void sim_share_range(struct sim *sim, uint64_t first, uint64_t last);

/* ---- instructions: x86 ----------------------------------------------------------------------
 * Intel SDM volume 3A section 4.10.4, AMD APM volume 2 section 5.5. */

#define SIM_X86_CR3_NOFLUSH (UINT64_C(1) << 63)
void sim_x86_write_cr3(struct sim *sim, unsigned cpu, uint64_t cr3);
void sim_x86_invlpg(struct sim *sim, unsigned cpu, uint64_t va);
/* type 0: address, 1: context, 2: all with globals, 3: all without */
void sim_x86_invpcid(struct sim *sim, unsigned cpu, unsigned type, unsigned pcid, uint64_t va);
void sim_x86_set_pge(struct sim *sim, unsigned cpu, bool pge);

/* ---- instructions: arm64 -------------------------------------------------------------------
 * Arm ARM DDI 0487 sections D8.16, D8.17 and C5.5. */

enum sim_tlbi {
	SIM_TLBI_VMALLE1,
	SIM_TLBI_ASIDE1,
	SIM_TLBI_VAE1,
	SIM_TLBI_VALE1,  /* last level only */
	SIM_TLBI_VAAE1,  /* any ASID */
	SIM_TLBI_VAALE1, /* any ASID, last level only */
	SIM_TLBI_RVAE1,  /* FEAT_TLBIRANGE */
	SIM_TLBI_RVALE1,
};
/* half 0 or 1: TTBR0_EL1 or TTBR1_EL1. The ASID is that of TTBR0 (TCR_EL1.A1 = 0). */
void sim_arm64_write_ttbr(struct sim *sim, unsigned cpu, unsigned half, uint64_t root,
			  unsigned asid);
/* `operand` is the register, as the instruction takes it: VA[55:12] in bits 43:0, TTL in 47:44,
 * ASID in 63:48. `inner_shareable`: the broadcast form. Effective when a DSB completes. */
void sim_arm64_tlbi(struct sim *sim, unsigned cpu, enum sim_tlbi op, uint64_t operand,
		    bool inner_shareable);
void sim_arm64_dsb(struct sim *sim, unsigned cpu);
void sim_arm64_isb(struct sim *sim, unsigned cpu);

/* ---- instructions: riscv -------------------------------------------------------------------
 * Privileged architecture 1.13 sections "Supervisor Memory-Management Fence" and "Svinval". */

void sim_riscv_write_satp(struct sim *sim, unsigned cpu, uint64_t root, unsigned asid);
#define SIM_RISCV_ALL_ASIDS UINT32_MAX
/* has_va false: rs1 = x0. asid SIM_RISCV_ALL_ASIDS: rs2 = x0. */
void sim_riscv_sfence_vma(struct sim *sim, unsigned cpu, bool has_va, uint64_t va, uint32_t asid);
void sim_riscv_sinval_vma(struct sim *sim, unsigned cpu, bool has_va, uint64_t va, uint32_t asid);
void sim_riscv_sfence_w_inval(struct sim *sim, unsigned cpu);
void sim_riscv_sfence_inval_ir(struct sim *sim, unsigned cpu);
/* FENCE: this hart's earlier stores are seen by all walkers. */
void sim_riscv_fence(struct sim *sim, unsigned cpu);

/* ---- the machine that is none, and devices ----------------------------------------------- */

void sim_fake_write_root(struct sim *sim, unsigned cpu, uint64_t root, unsigned asid);
void sim_fake_invalidate_page(struct sim *sim, unsigned cpu, uint64_t va);
void sim_fake_invalidate_leaf(struct sim *sim, unsigned cpu, uint64_t va); /* no walk caches */
void sim_fake_invalidate_all(struct sim *sim, unsigned cpu);

/* Devices are numbered behind the CPUs: device 0 is agent sim_config()->cpus. A device walks the
 * tables it was given (half: as for TTBR) and is told about changes by these alone. */
void sim_device_attach(struct sim *sim, unsigned device, unsigned half, uint64_t root,
		       unsigned asid);
void sim_device_invalidate_page(struct sim *sim, unsigned device, uint64_t va);
void sim_device_invalidate_all(struct sim *sim, unsigned device);

/* ---- verdicts ---------------------------------------------------------------------------- */

enum sim_error {
	SIM_OK = 0,
	/* What a stale translation is diagnosed as, by what would have removed it. */
	SIM_MISSING_LOCAL_FLUSH,   /* the CPU that wrote never invalidated its own copy */
	SIM_MISSING_REMOTE_FLUSH,  /* another CPU was not told */
	SIM_FLUSH_BEFORE_WRITE,    /* it was invalidated, and cached again before the write */
	SIM_WRONG_ASID,            /* invalidated under another ASID or PCID */
	SIM_GLOBAL_NOT_FLUSHED,    /* global; what was done leaves global entries */
	SIM_WRONG_ADDRESS,         /* invalidated at another address */
	SIM_LAST_LEVEL_ONLY,       /* a table pointer changed; only last levels were invalidated */
	SIM_STALE_WALK_CACHE,      /* a table pointer in a paging-structure cache */
	SIM_ASID_REUSED,           /* left by another address space that had the same tag */
	SIM_MISSING_DSB,           /* invalidated, and never completed */
	SIM_MISSING_BARRIER,       /* the store was not visible to walkers when it was relied on */
	SIM_MISSING_ISB,
	SIM_MISSING_FENCE,         /* riscv: made valid, the invalid entry may still be cached */
	SIM_ROOT_NOT_RELOADED,     /* PAE: the root's entries live in registers */
	SIM_DEVICE_NOT_TOLD,
	SIM_HARDWARE_FAULTY,       /* the manual says gone; this faulty machine keeps it */
	/* Judged elsewhere than at an access. */
	SIM_TABLE_FREED,           /* freed or reused while a walk may reach it */
	SIM_TABLE_LINKED,          /* freed while the tables still point to it */
	SIM_FREED_UNDER_READER,    /* freed while a software walker may stand in it */
	SIM_WALK_OF_FREED_TABLE,   /* software touched a table page that is freed */
	SIM_FRAME_REUSED,          /* a frame got a new owner while it is reachable */
	SIM_BREAK_BEFORE_MAKE,
	SIM_DIRTY_LOST,            /* a store overwrote the dirty bit that hardware set */
	SIM_DIRTY_UNFLUSHED,       /* cleared without flush: stores go unrecorded */
	SIM_SPURIOUS_FAULT,        /* only with policy.no_spurious_faults, or when expected */
	SIM_NOT_EXPECTED,          /* the tables themselves contradict sim_expect or sim_watch */
	SIM_TYPE_ALIAS,            /* two live mappings of a frame with different memory types */
	SIM_FORBIDDEN_FRAME,       /* a mapping gives what sim_frame_forbid() took */
	SIM_ROOT_NOT_PROPAGATED,   /* a shared range differs between roots */
	SIM_MALFORMED_TABLES,      /* a leaf in a group contradicts its neighbours */
	SIM_ERRORS,
};

struct sim_verdict {
	enum sim_error error;
	uint64_t when;        /* step */
	unsigned cpu;         /* on which the access, the free or the write happened */
	uint64_t va;
	int access;           /* enum sim_access, or -1 */
	uint64_t slot;        /* of the stale entry */
	unsigned level;
	uint64_t stale;       /* the entry that may still be held */
	uint64_t current;     /* what the slot holds now */
	uint64_t cached_from; /* the entry may have been cached from this step on */
	uint64_t replaced_at; /* step of the write that made it stale; 0: still current */
	unsigned writer;      /* CPU of that write */
	unsigned holder;      /* CPU or device that may hold it */
	/* The walk that may have cached it, root first: slots, values, and when each slot lost the
	 * value (0: it still has it). */
	unsigned depth;
	uint64_t path_slot[5], path_value[5], path_until[5];
	struct sim_result expected; /* what the tables say */
	struct sim_result found;    /* what the held translation gives */
	char missing[256];    /* which invalidation is missing and who should have issued it */
};

enum sim_error sim_error(const struct sim *sim);
const struct sim_verdict *sim_verdict(const struct sim *sim);
const char *sim_error_name(enum sim_error error); /* "SIM_WRONG_ASID" */
const char *sim_error_text(enum sim_error error); /* one sentence */
/* The verdict in words, with the part of the trace that concerns it. */
void sim_report(const struct sim *sim, FILE *file);
/* Forgets the error, so that a run can go on. */
void sim_clear_error(struct sim *sim);
/* Called at the first error; may longjmp. */
void sim_on_error(struct sim *sim, void (*hook)(void *context, struct sim *sim), void *context);

/* Steps so far: writes, invalidations, switches and accesses. */
uint64_t sim_steps(const struct sim *sim);
/* The clock of verdicts and traces. */
uint64_t sim_now(const struct sim *sim);
/* The whole trace as a timeline, one line per event, one column per CPU up to eight. */
void sim_trace_print(const struct sim *sim, FILE *file);
/* A line of the embedder's own in the trace. The text is copied (at most 23 characters). */
void sim_trace_note(struct sim *sim, unsigned cpu, const char *text);

/* Pseudo-random numbers from the machine's seed. */
uint64_t sim_random(struct sim *sim);

#endif
