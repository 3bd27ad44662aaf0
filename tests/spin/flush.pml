/* SPDX-License-Identifier: MIT */
/*
 * The gather: src/flush.c, INV-1.1. One CPU unlinks a table and commits; the others walk: through
 * the entry above, or through the pointer that their paging-structure cache kept. A page that went
 * back to the port is somebody else's at once. CPUs take interrupts between instructions;
 * their hardware walks at any time.
 *
 * Checked: no CPU walks a page that was given back; no CPU uses a translation that is gone after
 * the commit; every shootdown is answered (deadlock).
 *
 * Broken variants: GIVE_FIRST (tables go back before the shootdown), NO_WAIT (for answers),
 * LAST_LEVEL (walk caches are not dropped), LOCAL_ONLY, FLUSH_FIRST (shootdown, then the entry),
 * ACK_FIRST (the answer before the invalidation), NO_IRQ (a CPU that waits takes no interrupts,
 * while another one shoots at it).
 */
#ifndef CPUS
#define CPUS 3
#endif
#ifndef STEPS
#define STEPS 2
#endif
#ifdef NO_IRQ
#define EDITORS 2
#else
#ifndef EDITORS
#define EDITORS 1
#endif
#endif

/* Of each editor's range: the entry above, the table, the leaf. */
bool linked[EDITORS] = true;
bool given[EDITORS];
bool over[EDITORS]; /* the commit has returned */
/* Of each CPU and range. */
bool walk_cache[CPUS * EDITORS];
bool tlb[CPUS * EDITORS];
byte request[CPUS * EDITORS]; /* 1: asked */
bool waits_masked[CPUS];

#define AT(cpu, range) ((cpu) * EDITORS + (range))

/* One instruction. */
inline invalidate(cpu, range)
{
	atomic {
		tlb[AT(cpu, range)] = false;
#ifndef LAST_LEVEL
		walk_cache[AT(cpu, range)] = false
#endif
	}
}

/* The handler; the CPU does nothing else meanwhile. */
inline handle(cpu, range)
{
#ifdef ACK_FIRST
	request[AT(cpu, range)] = 0;
	invalidate(cpu, range)
#else
	invalidate(cpu, range);
	request[AT(cpu, range)] = 0
#endif
}

/* One instruction that touches the range. */
inline touch(cpu, range)
{
	atomic {
		if
		:: tlb[AT(cpu, range)] -> assert(!over[range])
		:: !tlb[AT(cpu, range)] && walk_cache[AT(cpu, range)] ->
			assert(!given[range]);
			tlb[AT(cpu, range)] = true
		:: !tlb[AT(cpu, range)] && !walk_cache[AT(cpu, range)] && linked[range] ->
			assert(!given[range]);
			walk_cache[AT(cpu, range)] = true;
			/* It may fault, or be forgotten at once. */
			if
			:: tlb[AT(cpu, range)] = true
			:: skip
			fi
		:: else /* it faults */
		fi
	}
}

/* The hardware walks when it likes, in the midst of a handler too. */
proctype speculation(byte me)
{
end:	do
	:: atomic { walk_cache[AT(me, 0)] -> assert(!given[0]); tlb[AT(me, 0)] = true }
	:: atomic { linked[0] -> assert(!given[0]); walk_cache[AT(me, 0)] = true }
	od
}

/* Interrupts that wait for this CPU, one after the other. */
inline interrupts(cpu)
{
	r = 0;
	do
	:: r == EDITORS -> break
	:: r < EDITORS ->
		if
		:: request[AT(cpu, r)] == 1 -> handle(cpu, r)
		:: else
		fi;
		r++
	od
}

inline ask_all(cpu)
{
	c = 0;
	do
	:: c == CPUS -> break
	:: c < CPUS ->
		if
		:: c != cpu -> request[AT(c, cpu)] = 1
		:: else
		fi;
		c++
	od
}

#ifdef NO_IRQ
#define MEANWHILE(cpu) skip
#else
#define MEANWHILE(cpu) interrupts(cpu)
#endif

inline await_all(cpu)
{
	c = 0;
	do
	:: c == CPUS -> break
	:: c < CPUS ->
		if
		:: c == cpu || request[AT(c, cpu)] == 0 -> c++
#ifndef NO_IRQ
		:: c != cpu && request[AT(c, cpu)] == 1 ->
			/* It waits, or takes what comes. */
			if
			:: request[AT(c, cpu)] == 0
			:: EDITORS > 1 && request[AT(cpu, 1 - cpu)] == 1 -> MEANWHILE(cpu)
			fi
#else
		:: c != cpu && request[AT(c, cpu)] == 1 -> request[AT(c, cpu)] == 0
#endif
		fi
	od
}

inline shoot(cpu)
{
#ifdef LOCAL_ONLY
	skip
#else
	ask_all(cpu);
#ifndef NO_WAIT
	await_all(cpu)
#endif
#endif
}

proctype cpu(byte me)
{
	byte n, r, c;

	do
	:: n == STEPS -> break
	:: n < STEPS -> n++;
		if
		:: touch(me, 0)
		:: EDITORS > 1 -> touch(me, EDITORS - 1)
		fi;
		interrupts(me)
	od;
	/* An editor: CPUs 0 to EDITORS - 1. */
	if
	:: me < EDITORS ->
#ifdef FLUSH_FIRST
		shoot(me);
		invalidate(me, me);
		linked[me] = false;
#else
		linked[me] = false;
		invalidate(me, me);
#ifdef GIVE_FIRST
		given[me] = true;
#endif
		shoot(me);
#endif
		given[me] = true;
		over[me] = true
	:: else
	fi;
	/* It goes on: touches, and answers. */
end:	do
	:: touch(me, 0)
	:: EDITORS > 1 -> touch(me, EDITORS - 1)
	:: request[AT(me, 0)] == 1 -> handle(me, 0)
	:: EDITORS > 1 && request[AT(me, EDITORS - 1)] == 1 -> handle(me, EDITORS - 1)
	od
}

init {
	byte i;

	atomic {
		i = 0;
		do
		:: i == CPUS -> break
		:: i < CPUS -> run cpu(i); run speculation(i); i++
		od
	}
}
