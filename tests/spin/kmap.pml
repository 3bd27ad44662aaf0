/* SPDX-License-Identifier: MIT */
/*
 * Global maps: src/kmap.c, INV-3.8. Slots with counts (0 none, 1 in need of a flush, n: n - 1
 * users), reclaimed once per wrap with one flush; whoever finds no slot sleeps. Each user maps a
 * frame, reads through its CPU's TLB, which is filled at any time and keeps what it saw until it is
 * told, and unmaps.
 *
 * Checked: a read reaches the frame that was mapped; a map of one frame by two shares a slot;
 * nobody sleeps for ever (deadlock).
 *
 * Broken variants: NO_FLUSH (a wrap reuses without a flush), COUNT_TO_ZERO (unmapping frees the
 * slot at once), FLUSH_FIRST (flushes, then takes the entries out), SLEEP_UNLOCKED (looks, lets
 * the lock go, then goes to sleep: the wake is missed).
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef USERS
#define USERS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NOBODY 255

byte entry[SLOTS];         /* frame + 1; 0: not mapped */
byte frame[SLOTS];
byte count[SLOTS];
byte tlb[USERS * SLOTS];   /* each user is a CPU */
byte last = SLOTS - 1;
byte sleepers;
byte lock = NOBODY;
byte woken[USERS];
bool asleep[USERS];

inline take_lock(me)
{
	atomic { lock == NOBODY -> lock = me }
}

inline flush_unused()
{
	/* INV-3.8: every CPU has dropped it before a slot is none. One after the other. */
	f = 0;
	do
	:: f == USERS * SLOTS -> break
	:: f < USERS * SLOTS ->
		if
		:: count[f % SLOTS] == 1 -> tlb[f] = 0
		:: else
		fi;
		f++
	od
}

inline drop_entries()
{
	i = 0;
	do
	:: i == SLOTS -> break
	:: i < SLOTS ->
		if
		:: count[i] == 1 -> entry[i] = 0
		:: else
		fi;
		i++
	od
}

inline clear_counts()
{
	i = 0;
	do
	:: i == SLOTS -> break
	:: i < SLOTS ->
		if
		:: count[i] == 1 && entry[i] == 0 -> count[i] = 0
		:: else
		fi;
		i++
	od
}

inline reclaim()
{
#ifdef FLUSH_FIRST
	flush_unused();
	drop_entries();
#else
	drop_entries();
#ifndef NO_FLUSH
	flush_unused();
#endif
#endif
	clear_counts()
}

/* slot = SLOTS: there is none. */
inline find_free()
{
	slot = SLOTS;
	step = 0;
	do
	:: step == 2 * SLOTS || slot != SLOTS -> break
	:: else ->
		step++;
		last = (last + 1) % SLOTS;
		if
		:: last == 0 -> reclaim()
		:: else
		fi;
		if
		:: count[last] == 0 -> slot = last
		:: else
		fi
	od
}

inline find_mapped(want)
{
	slot = SLOTS;
	i = 0;
	do
	:: i == SLOTS -> break
	:: i < SLOTS ->
		if
		:: count[i] > 0 && frame[i] == want -> slot = i; break
		:: else -> i++
		fi
	od
}

inline map(me, want)
{
	take_lock(me);
	do
	:: find_mapped(want);
		if
		:: slot < SLOTS -> count[slot] = count[slot] + 1; break
		:: else ->
			find_free();
			if
			:: slot < SLOTS ->
				frame[slot] = want;
				entry[slot] = want + 1;
				count[slot] = 2;
				break
			:: else ->
#ifdef SLEEP_UNLOCKED
				lock = NOBODY;
				sleepers++;
				asleep[me] = true;
#else
				atomic { sleepers++; asleep[me] = true; lock = NOBODY };
#endif
				!asleep[me];
				sleepers--;
				take_lock(me)
			fi
		fi
	od;
	lock = NOBODY
}

inline unmap(me)
{
	take_lock(me);
#ifdef COUNT_TO_ZERO
	if
	:: count[slot] == 2 -> count[slot] = 0; entry[slot] = 0
	:: else -> count[slot] = count[slot] - 1
	fi;
	wake = sleepers > 0;
#else
	count[slot] = count[slot] - 1;
	wake = count[slot] == 1 && sleepers > 0;
#endif
	lock = NOBODY;
	if
	:: wake ->
		atomic {
			i = 0;
			do
			:: i == USERS -> break
			:: i < USERS -> asleep[i] = false; i++
			od
		}
	:: else
	fi
}

proctype user(byte me)
{
	byte slot, i, f, step, n, want;
	bool wake;

	do
	:: n == ROUNDS -> break
	:: n < ROUNDS ->
		n++;
		/* Three frames, two slots. */
		if
		:: want = me
		:: want = 0
		fi;
		map(me, want);
		/* One access: the walk and the filling of the TLB are one. */
		atomic {
			if
			:: tlb[me * SLOTS + slot] == 0 -> tlb[me * SLOTS + slot] = entry[slot]
			:: else
			fi;
			assert(tlb[me * SLOTS + slot] == want + 1)
		};
		unmap(me)
	od
}

/* The hardware: whatever is mapped may be cached, asked for or not. */
proctype speculation(byte me)
{
end:	do
	:: atomic { entry[0] != 0 && tlb[me * SLOTS] == 0 -> tlb[me * SLOTS] = entry[0] }
	od
}

init {
	byte u;

	atomic {
		u = 0;
		do
		:: u == USERS -> break
		:: u < USERS -> run user(u); run speculation(u); u++
		od
	}
}
