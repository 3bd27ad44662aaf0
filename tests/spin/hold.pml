/* SPDX-License-Identifier: MIT */
/*
 * Holds beside a remover: src/hold.c, hold_page() and kelp_hotplug_offline(), with the store
 * buffers of TSO: a store waits in its process's buffer and reaches memory at any later time, in
 * order. What a process has in its buffer it alone writes, so it keeps that in locals and reads
 * the rest from memory. -DSC leaves the buffers out.
 *
 * Checked: who holds finds a descriptor that is sane (INV-2.1). Not checked: that a wait ends when
 * the holders are gone; the remover here may give up at any look (tests/explore/hold_hotplug.c has
 * cases where it does not).
 *
 * Broken variants: NO_WAIT, LOOK_FIRST (flag read, counted after), HELD_FIRST (added up in the
 * wrong order), ONE_PHASE (the other one is not looked at), NO_FENCE (in the reader: invisible
 * under SC), REMOVER_NO_FENCE (the same). BARRIER: readers have no fence, the remover makes each
 * execute one. MIGRATE: readers release on another CPU.
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef HOLDS
#define HOLDS 1 /* of each reader */
#endif
#ifndef CYCLES
#define CYCLES 2 /* offline and online again */
#endif

#define CPUS (2 * READERS) /* a reader's own, and one it may be moved to */
#define REMOVER READERS

#define ACTIVE 0
#define PHASE 1
#define DESCRIPTOR 2
#define HELD(cpu, p) (3 + 4 * (cpu) + (p))
#define RELEASED(cpu, p) (5 + 4 * (cpu) + (p))

#define SANE 1
#define POISON 0

byte memory[3 + 4 * CPUS];

#ifdef SC
#define STORE(who, where, what) memory[where] = what
#define FENCE(who) skip
#else
chan buffer[READERS + 1] = [4] of { byte, byte };
#define STORE(who, where, what) buffer[who]!where, what
#define FENCE(who) empty(buffer[who])

/* The hardware. */
proctype drain(byte who)
{
	byte where, what;

end:	do
	:: atomic { buffer[who]?where, what -> memory[where] = what }
	od
}
#endif

proctype reader(byte me)
{
	byte held[2], released[2], n, p, cpu;
	bool is_active;

	do
	:: n == HOLDS -> break
	:: n < HOLDS ->
		n++;
#ifdef LOOK_FIRST
		is_active = memory[ACTIVE];
#endif
		p = memory[PHASE];
		held[p]++;
		STORE(me, HELD(me, p), held[p]);
#if !defined(NO_FENCE) && !defined(BARRIER)
		FENCE(me);
#endif
#ifndef LOOK_FIRST
		is_active = memory[ACTIVE];
#endif
		if
		:: is_active ->
			/* INV-2.1, at the beginning and at the end. */
			assert(memory[DESCRIPTOR] == SANE);
			assert(memory[DESCRIPTOR] == SANE)
		:: else
		fi;
		cpu = me;
#ifdef MIGRATE
		/* The switch from one CPU to another is a full fence. */
		FENCE(me);
		cpu = me + READERS;
#endif
		released[p]++;
		STORE(me, RELEASED(cpu, p), released[p])
	od;
	FENCE(me)
}

byte sum[2]; /* the remover's: released, held */
byte c;

inline add_released(p)
{
	sum[0] = 0;
	c = 0;
	do
	:: c == CPUS -> break
	:: c < CPUS -> sum[0] = sum[0] + memory[RELEASED(c, p)]; c++
	od
}

inline add_held(p)
{
	sum[1] = 0;
	c = 0;
	do
	:: c == CPUS -> break
	:: c < CPUS -> sum[1] = sum[1] + memory[HELD(c, p)]; c++
	od
}

#ifdef HELD_FIRST
#define ADD_UP(p) add_held(p); add_released(p)
#else
#define ADD_UP(p) add_released(p); add_held(p)
#endif

/* Looks until the sums agree, or gives up. */
inline drained(p, gave_up)
{
	do
	:: ADD_UP(p);
		if
		:: sum[0] == sum[1] -> break
		:: else ->
			if
			:: gave_up = true; break
			:: skip /* look again */
			fi
		fi
	od
}

proctype remover()
{
	byte n, phase, b;
	bool gave_up;

	do
	:: n == CYCLES -> break
	:: n < CYCLES ->
		n++;
		gave_up = false;
		STORE(REMOVER, ACTIVE, 0);
#ifndef REMOVER_NO_FENCE
		FENCE(REMOVER);
#endif
#ifdef BARRIER
		b = 0;
		do
		:: b == READERS -> break
		:: b < READERS -> FENCE(b); b++
		od;
#endif
#ifndef NO_WAIT
#ifndef ONE_PHASE
		drained(1 - phase, gave_up);
#endif
		if
		:: !gave_up ->
			ADD_UP(phase);
			if
			:: sum[0] == sum[1]
			:: else ->
				phase = 1 - phase;
				STORE(REMOVER, PHASE, phase);
				drained(1 - phase, gave_up)
			fi
		:: else
		fi;
#endif
		if
		:: gave_up
		:: else ->
			STORE(REMOVER, DESCRIPTOR, POISON);
			/* Online again: initialised, then active. */
			STORE(REMOVER, DESCRIPTOR, SANE)
		fi;
		STORE(REMOVER, ACTIVE, 1)
	od;
	FENCE(REMOVER)
}

init {
	byte i;

	atomic {
		memory[ACTIVE] = 1;
		memory[DESCRIPTOR] = SANE;
		i = 0;
		do
		:: i == READERS -> break
		:: i < READERS ->
			run reader(i);
#ifndef SC
			run drain(i);
#endif
			i++
		od;
#ifndef SC
		run drain(REMOVER);
#endif
		run remover()
	}
}
