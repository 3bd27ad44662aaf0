/* SPDX-License-Identifier: MIT */
/*
 * snapshot: the machine's memory to a disk, and back into the machine that it is resumed on.
 *
 * WHAT IT PROMISES
 *  - INV-5.5 An image with any bit flipped, cut short, put in another order, replayed, sealed with
 *    another key or of another kernel is refused before one frame has changed: load() does nothing
 *    until verify() has authenticated every record.
 *  - INV-5.6 Power may be lost at any write, torn and reordered writes included: the next boot
 *    finds the complete image or nothing to resume. An image is resumed at most once: consume()
 *    makes the disk say so before control passes.
 *  - What is saved is streamed from where it lies, so more than half of memory may be in use.
 *  - Output is the same for the same memory but for the random bytes (image id, keys, nonces),
 *    however many workers there are.
 *
 * SAVING. The embedder has a moment from which on memory does not change, but for frames that it
 * knows: the freeze. Other CPUs are parked or run workers, devices write no memory, interrupts are
 * off or touch known frames only.
 *
 *	kelp_snapshot_plan(&config, &counts)          how much, how large
 *	kelp_snapshot_begin(&writer, &config, ...)    checks all, makes the old image void; I/O
 *	... save the CPU's registers where the resumed kernel finds them ...
 *	kelp_snapshot_freeze(&writer)                 copies the HOT frames aside; cannot fail
 *	kelp_snapshot_write(&writer, n)               on each CPU that shall work, n = 0, 1, ...
 *	kelp_snapshot_commit(&writer, &totals)        when all have returned; power may go now
 *
 * What running code itself changes after the freeze (its stack, a driver's rings, the console) is
 * HOT or NO_SAVE: HOT frames are copied to safe frames by freeze() and saved from there, so the
 * image has them as they were at that moment. The config's memory, struct kelp_snapshot_writer
 * and whatever the hooks write are among them.
 *
 * RESUMING, in a kernel that has just booted:
 *
 *	kelp_snapshot_open(&reader, &config)          is there an image, whole and for this machine?
 *	kelp_snapshot_maps(&reader, memory, size)     bitmaps, as large as reader.map_size says
 *	kelp_snapshot_verify(&reader, n)              on each CPU: the whole image, nothing changes
 *	kelp_snapshot_claim(&reader)                  takes the frames' homes where they are free
 *	kelp_snapshot_place(&reader, list, capacity)  safe frames for the others
 *	kelp_snapshot_load(&reader, n)                on each CPU
 *	kelp_snapshot_consume(&reader)                from now on there is nothing to resume
 *	... copy reader.relocation[] home on transitional tables, jump ...
 *
 * Whatever is used while memory is overwritten (tables, code, stack, the list) is allocated after
 * claim(): all free homes are taken then, so what the allocator still has is nobody's home
 * (INV-5.3; kelp_snapshot_is_home() tells). kelp_snapshot_close() gives all of it back after an
 * error or a change of mind, scrubbed.
 *
 * SECRETS. An image holds every secret of the machine. It is sealed with a key made for it alone,
 * which lies in its header, sealed with the embedder's key; consume() and discard() destroy that
 * header. Frames of class SECRET are saved like others, or the attempt is refused
 * (KELP_SNAPSHOT_REFUSE_SECRET). What is left of the work is the resumed machine's to scrub: its
 * writer's `secret`, should that have been saved with the rest, and, in frames that were free, the
 * kernel's that loaded it: its config.buffer and the safe frames hold deciphered memory.
 *
 * REPLAY. Within an area an older image is never taken for the newer one. Whoever can put the whole
 * disk back to an earlier state can only be told by something that is not on the disk: give a
 * counter that cannot be turned back as config.generation.
 *
 * PHASE. plan, begin and open: threads may run. Locking: none, one writer or reader per area at a
 * time; write(), verify() and load() run on any number of CPUs at once, each with a number of its
 * own. Memory: the caller's; nothing is allocated.
 */
#ifndef KELP_SNAPSHOT_H
#define KELP_SNAPSHOT_H

#include <kelp/copywin.h>
#include <kelp/directmap.h>
#include <kelp/image.h>
#include <kelp/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what the embedder provides ---------------------------------------------------------- */

enum kelp_snapshot_class {
	KELP_SNAPSHOT_NONE = 0,    /* no memory there */
	KELP_SNAPSHOT_SAVE = 1,
	KELP_SNAPSHOT_HOT = 2,     /* saved as it is at the freeze; changes afterwards */
	KELP_SNAPSHOT_SECRET = 3,  /* saved, or the attempt refused: by policy */
	KELP_SNAPSHOT_FREE = 4,    /* nobody's; its contents after resume are unspecified */
	KELP_SNAPSHOT_NO_SAVE = 5, /* somebody's, who wants it forgotten */
	KELP_SNAPSHOT_DEVICE = 6,  /* never read */
};
#define KELP_SNAPSHOT_CLASSES 7

enum kelp_snapshot_home {
	KELP_SNAPSHOT_HOME_TAKEN,   /* it was free and is the caller's now */
	KELP_SNAPSHOT_HOME_IN_USE,
	KELP_SNAPSHOT_HOME_MISSING, /* no memory there: the image is refused */
};

/*
 * The machine's frames. view and view_writable are asked first: a pointer to the frame, and in
 * *frames (in: wanted, out: at least 1) how many lie behind it in a row; NULL: it cannot be
 * reached so. Then read and write move one frame through a window; their errors end the attempt.
 * kelp_snapshot_reach_hooks() fills these four from a direct map and a copy window.
 */
struct kelp_snapshot_memory {
	void *context;
	unsigned page_shift;
	uint64_t frame_limit; /* above every number that classify may know */

	/*
	 * The class of a frame, and how many from it on have the same, at least 1. The answers do
	 * not change from begin() on. Called by one CPU at a time.
	 */
	enum kelp_snapshot_class (*classify)(void *context, kelp_pfn_t first, uint64_t *frames);

	/* The next four are called on all workers at once, with a context of their own. */
	void *reach_context;
	const void *(*view)(void *reach, kelp_pfn_t first, uint64_t *frames);
	void *(*view_writable)(void *reach, kelp_pfn_t first, uint64_t *frames);
	enum kelp_status (*read)(void *reach, unsigned worker, kelp_pfn_t frame, void *buffer);
	enum kelp_status (*write)(void *reach, unsigned worker, kelp_pfn_t frame,
				  const void *buffer);

	/* Takes one certain frame if it is free. For the reader. */
	enum kelp_snapshot_home (*claim)(void *context, kelp_pfn_t frame);
	/* Gives any free frame, NO_SAVE from then on. For HOT frames, and the reader. */
	bool (*take)(void *context, kelp_pfn_t *frame);
	/* Takes a claimed or taken frame back. */
	void (*give)(void *context, kelp_pfn_t frame);
};

/*
 * The area of the disk. Offsets and sizes in bytes, multiples of KELP_IMAGE_BLOCK. flush returns
 * when all that was written before is permanent. False: it failed.
 *
 * start begins an access and returns, finish waits for its end; `slot` (below
 * KELP_SNAPSHOT_SLOTS) tells them apart. The buffer is left alone in between. NULL: read and write
 * are called. Accesses that are under way at once never overlap.
 */
#define KELP_SNAPSHOT_SLOTS 4u
struct kelp_snapshot_disk {
	void *context;
	uint64_t size;
	bool (*read)(void *context, uint64_t offset, void *buffer, size_t size);
	bool (*write)(void *context, uint64_t offset, const void *buffer, size_t size);
	bool (*flush)(void *context);
	bool (*start)(void *context, unsigned slot, bool write, uint64_t offset, void *buffer,
		      size_t size);
	bool (*finish)(void *context, unsigned slot);
};

/* Compression of blocks. port/codecs/lz4.c is one. */
struct kelp_snapshot_codec {
	void *context;
	uint32_t id;      /* enum kelp_image_codec, in the image */
	size_t workspace; /* bytes per worker */
	/* Bytes written to `to`; 0: it does not fit into `room`. */
	size_t (*compress)(void *context, void *workspace, void *to, size_t room,
			   const void *from, size_t size);
	/* True when exactly `size` bytes came out. `from` may be anything. */
	bool (*expand)(void *context, void *to, size_t size, const void *from, size_t from_size);
};

/*
 * Authenticated encryption in place: a 32-byte key, a 12-byte nonce, a 16-byte tag. open
 * compares tags in constant time. port/codecs/bearssl.c is one.
 */
struct kelp_snapshot_cipher {
	void *context;
	uint32_t id; /* enum kelp_image_cipher, in the image */
	void (*seal)(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		     size_t aad_size, void *data, size_t size, uint8_t *tag);
	bool (*open)(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		     size_t aad_size, void *data, size_t size, const uint8_t *tag);
	/*
	 * As open, but leaves all but the first `clear` bytes of the data as they are: what
	 * verifies an image need not decipher it. NULL: open is called.
	 */
	bool (*check)(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		      size_t aad_size, void *data, size_t size, size_t clear, const uint8_t *tag);
};

/* Where an attempt is, at every record. */
struct kelp_snapshot_progress {
	uint64_t frames, frames_total;
	uint64_t bytes; /* on the disk so far */
};

/* kelp_snapshot_config.flags. */
#define KELP_SNAPSHOT_REFUSE_SECRET (UINT32_C(1) << 0) /* writer: SECRET frames end the attempt */
#define KELP_SNAPSHOT_ANY_CPU_COUNT (UINT32_C(1) << 1) /* reader: the resume path copes with it */

/* For the writer and the reader alike. All of it outlives them. */
struct kelp_snapshot_config {
	const struct kelp_port *port; /* panic, for a caller's bugs */
	const struct kelp_snapshot_disk *disk;
	const struct kelp_snapshot_memory *memory;
	const struct kelp_snapshot_codec *codec; /* NULL: nothing is compressed */
	const struct kelp_snapshot_cipher *cipher;
	/* Fills with unpredictable bytes. False: it cannot. */
	bool (*random)(void *context, void *buffer, size_t size);
	void *random_context;
	const uint8_t *key; /* KELP_IMAGE_KEY bytes */
	struct kelp_snapshot_identity identity;
	/* Writer: of this image. Reader: the lowest that is acceptable. See REPLAY. */
	uint64_t generation;
	uint32_t flags;
	uint32_t workers;      /* at most; 0: one */
	uint32_t chunk_frames; /* frames per record, of the writer; 0: 256 KiB of them */
	uint32_t io_size;      /* bytes per access to the disk; 0: 1 MiB */
	/* For HOT frames; may be NULL when there are none. As many as plan() counts. */
	struct kelp_snapshot_relocation *hot;
	uint32_t hot_capacity;
	/* kelp_snapshot_memory_size() bytes, aligned to KELP_IMAGE_BLOCK, in NO_SAVE frames. */
	void *buffer;
	size_t buffer_size;
	/* False cancels. One call at a time, on any worker. May be NULL. */
	bool (*progress)(void *context, const struct kelp_snapshot_progress *progress);
	void *progress_context;
	/* Called while a worker waits for another; NULL: it spins. */
	void (*relax)(void *context);
	void *relax_context;
};

/* Contents of `to` lie in `from`. Lists are in ascending order of `to`. */
struct kelp_snapshot_relocation {
	kelp_pfn_t from;
	kelp_pfn_t to;
};

/*
 * Bytes of config->buffer, for writing and for reading. Of the config it looks at workers,
 * chunk_frames, io_size, codec, and memory->page_shift. A reader's image may have larger chunks
 * than its config: open() says NO_MEMORY then, and reader.header.chunk_frames which.
 */
size_t kelp_snapshot_memory_size(const struct kelp_snapshot_config *config);

/* ---- saving ------------------------------------------------------------------------------ */

struct kelp_snapshot_counts {
	uint64_t of_class[KELP_SNAPSHOT_CLASSES]; /* frames */
	uint64_t frames;                          /* that will be saved */
	uint64_t bytes_at_most;                   /* of the area, should nothing compress */
};

/* Counts; changes nothing. Errors: SECRET. */
enum kelp_status kelp_snapshot_plan(const struct kelp_snapshot_config *config,
				    struct kelp_snapshot_counts *counts) KELP_WARN_UNUSED;

/* What the reader and the writer share; private. */
struct kelp_snapshot_stream {
	uint8_t *buffer[KELP_SNAPSHOT_SLOTS];
	bool busy[KELP_SNAPSHOT_SLOTS];
	unsigned slot;        /* in use */
	size_t io_size;
	size_t fill;          /* writer: bytes in it; reader: bytes consumed of it */
	size_t have;          /* reader: bytes in it */
	uint64_t offset;      /* of the slot's first byte in the area */
	uint64_t next;        /* reader: where the next access begins */
	uint64_t end;         /* reader: of the image, rounded up to blocks */
};
struct kelp_snapshot_store {
	struct kelp_image_state state; /* the one that holds */
	bool found;                    /* there is one */
	bool other_key;                /* an image of another key is complete here */
	bool settled;                  /* no block of the area says COMPLETE */
	bool unreadable;               /* the disk failed to read one of them */
};

/* The caller provides the memory; the members are private, but for reading `header`. */
struct kelp_snapshot_writer {
	struct kelp_snapshot_config config;
	struct kelp_image_header header;
	struct kelp_image_secret secret;
	struct kelp_image_totals totals;
	struct kelp_snapshot_store store;
	struct kelp_snapshot_stream stream;
	uint8_t *worker_memory;
	size_t worker_size;
	uint32_t hot_count;
	uint64_t next_frame;  /* the frame that is to be classified next */
	uint64_t run_end;     /* frames below it have the class `run_class` */
	enum kelp_snapshot_class run_class;
	uint64_t taken;       /* frames given to workers so far */
	uint32_t phase;
	uint32_t lock;        /* of what is handed out to workers */
	uint32_t output;      /* lock: somebody appends */
	void *finished;       /* records that wait for their turn */
	uint32_t finished_count;
	uint32_t next_record;
	uint32_t turn;        /* the record that is appended next */
	uint32_t status;      /* enum kelp_status: the first failure */
	uint32_t cancelled;
};

/*
 * Checks all that can be checked, copies `payload` (at most KELP_IMAGE_PAYLOAD bytes; handed to
 * the reader) into the header, takes frames for the HOT ones, and makes the disk say that there is
 * nothing to resume. Errors: ARGUMENT, NO_MEMORY (buffer, hot_capacity, take), SECRET, NO_SPACE
 * (not even the header fits), NO_RANDOM, IO. After an error frames are given back; the image
 * that was on the disk is there or void.
 */
enum kelp_status kelp_snapshot_begin(struct kelp_snapshot_writer *writer,
				     const struct kelp_snapshot_config *config, const void *payload,
				     size_t payload_size) KELP_WARN_UNUSED;

/*
 * Copies the HOT frames aside. One CPU. Errors: those of the memory's read and write hooks; where
 * view and view_writable reach all of these frames there are none.
 */
enum kelp_status kelp_snapshot_freeze(struct kelp_snapshot_writer *writer) KELP_WARN_UNUSED;

/*
 * Writes records until none is left. Each CPU that takes part calls it once with a number of its
 * own below config.workers. After an error all of them return the same one: that of the hook that
 * failed, IO, NO_SPACE, CANCELLED; BUSY: classify has changed its mind since begin().
 */
enum kelp_status kelp_snapshot_write(struct kelp_snapshot_writer *writer,
				     unsigned worker) KELP_WARN_UNUSED;

/*
 * After every write() has returned: the trailer, a flush, and then the state block that makes the
 * image complete, and a flush. KELP_OK: it will be found by the next boot. Errors: the one of
 * write(); IO; NO_SPACE; CANCELLED; BUSY; NO_RANDOM. Then there is nothing to resume, IO of the
 * very last flush excepted: then nobody knows, and kelp_snapshot_discard() should be tried.
 */
enum kelp_status kelp_snapshot_commit(struct kelp_snapshot_writer *writer,
				      struct kelp_image_totals *totals) KELP_WARN_UNUSED;

/* Makes write() and commit() return CANCELLED soon. Any context, any CPU, any number of times. */
void kelp_snapshot_cancel(struct kelp_snapshot_writer *writer);

/*
 * The end of a writer that goes on living, after an error or after commit(): gives the frames back
 * and forgets the keys. No worker is at work.
 */
void kelp_snapshot_end(struct kelp_snapshot_writer *writer);

/* ---- resuming ---------------------------------------------------------------------------- */

/* The caller provides the memory; private but for the members of the first group, to be read. */
struct kelp_snapshot_reader {
	struct kelp_image_header header;
	struct kelp_image_totals totals;     /* after verify */
	const uint8_t *payload;              /* the embedder's, payload_size bytes */
	uint32_t payload_size;
	size_t map_size;                     /* bytes that maps() wants */
	uint64_t image_bytes;                /* of the area */
	uint64_t relocations;                /* after claim: how many frames have to move */
	struct kelp_snapshot_relocation *relocation; /* after place */

	struct kelp_snapshot_config config;
	struct kelp_image_secret secret;
	struct kelp_snapshot_store store;
	struct kelp_snapshot_stream stream;
	struct kelp_image_totals seen;
	uint8_t *worker_memory;
	size_t worker_size;
	uint32_t *home;       /* a bit per frame: it is in the image */
	uint32_t *away;       /* its home was not free */
	uint64_t placed;      /* safe frames taken */
	uint32_t phase;
	uint32_t lock;
	uint32_t next_record;
	uint32_t done;        /* records dealt with */
	uint32_t complete;    /* all of them, and the totals agree */
	uint32_t working;     /* workers inside */
	uint32_t status;
	uint32_t cancelled;
};

/*
 * Finds the image and decides whether it may be resumed here. Reads three blocks, writes nothing.
 * Errors: NO_IMAGE; DAMAGED, KEY, VERSION (format, codec, cipher, page size); REPLAYED;
 * OTHER_KERNEL, OTHER_MEMORY, OTHER_CPU, CPU_COUNT, in this order; ARGUMENT; NO_MEMORY
 * (config.buffer is too small for the image's chunks); UNSUPPORTED (maps beyond memory); IO.
 * After OTHER_*, CPU_COUNT, REPLAYED and NO_MEMORY `header` is that of the image, authenticated,
 * for a message.
 */
enum kelp_status kelp_snapshot_open(struct kelp_snapshot_reader *reader,
				    const struct kelp_snapshot_config *config) KELP_WARN_UNUSED;

/* Hands over memory of map_size bytes, aligned to 8; contents do not matter. Error: NO_MEMORY. */
enum kelp_status kelp_snapshot_maps(struct kelp_snapshot_reader *reader, void *memory,
				    size_t size) KELP_WARN_UNUSED;

/*
 * Reads and authenticates every record and checks every table. Writes no frame. Workers as with
 * kelp_snapshot_write(): what each returns is the verdict on the whole. Errors: DAMAGED, IO,
 * CANCELLED.
 */
enum kelp_status kelp_snapshot_verify(struct kelp_snapshot_reader *reader,
				      unsigned worker) KELP_WARN_UNUSED;

/*
 * Takes every frame of the image whose home is free, and counts the others in
 * reader->relocations. Errors: OTHER_MEMORY (a frame of the image does not exist here); then all
 * are given back.
 */
enum kelp_status kelp_snapshot_claim(struct kelp_snapshot_reader *reader) KELP_WARN_UNUSED;

/*
 * Takes a safe frame for each frame that cannot go home yet and fills `list`, which stays the
 * caller's and is reader->relocation from now on. Errors: NO_MEMORY (capacity below
 * reader->relocations, or the take hook); then those taken are given back.
 */
enum kelp_status kelp_snapshot_place(struct kelp_snapshot_reader *reader,
				     struct kelp_snapshot_relocation *list,
				     uint64_t capacity) KELP_WARN_UNUSED;

/*
 * Reads the image once more, authenticates each record again, and writes its frames: to their
 * homes, or to the safe frames. Workers and errors as with verify(), and those of the memory's
 * write hook. Frames that are in use have not changed after an error.
 */
enum kelp_status kelp_snapshot_load(struct kelp_snapshot_reader *reader,
				    unsigned worker) KELP_WARN_UNUSED;

/*
 * Makes the disk say that the image was used, in both state blocks, and destroys its header. After
 * KELP_OK control may pass; after an error (IO, NO_RANDOM) it must not.
 */
enum kelp_status kelp_snapshot_consume(struct kelp_snapshot_reader *reader) KELP_WARN_UNUSED;

/* verify() and load() return CANCELLED soon. Any context. */
void kelp_snapshot_reader_cancel(struct kelp_snapshot_reader *reader);

/* Is it a frame of the image? After verify(). */
bool kelp_snapshot_is_home(const struct kelp_snapshot_reader *reader, kelp_pfn_t frame);

/* Scrubs and gives back every frame that was claimed and placed, and forgets the keys. */
void kelp_snapshot_close(struct kelp_snapshot_reader *reader);

/*
 * Whatever is in the area, there is nothing to resume afterwards. Of the config: port, disk,
 * cipher, key, random, buffer (at least KELP_IMAGE_BLOCK bytes). Errors: IO, NO_RANDOM, ARGUMENT.
 */
enum kelp_status kelp_snapshot_discard(const struct kelp_snapshot_config *config) KELP_WARN_UNUSED;

/* For tools: a frame of the image; `page` is NULL when it is uniform. */
typedef enum kelp_status kelp_snapshot_visitor_t(void *context, kelp_pfn_t frame,
						 const void *page, bool uniform, uint64_t word);

/*
 * Hands every frame of the image to `visit`, in ascending order: its page, or, when it is uniform,
 * NULL and its word. After verify() or instead of it; one worker. Errors: as verify(), and what
 * `visit` answers.
 */
enum kelp_status kelp_snapshot_each(struct kelp_snapshot_reader *reader,
				    kelp_snapshot_visitor_t *visit, void *context) KELP_WARN_UNUSED;

/* ---- the shipped way to frames ----------------------------------------------------------- */

/*
 * Through the direct map where it has the frame at this moment, through the copy window where it
 * does not: frames that are absent, secret or unmapped by debug page allocation stay as they are.
 * A worker's number is its CPU's in the window; its interrupts are off.
 */
struct kelp_snapshot_reach {
	const struct kelp_directmap *directmap; /* may be NULL */
	struct kelp_copywin *window;
};

/* Sets reach_context, view, view_writable, read and write; `reach` lives as long as they do. */
void kelp_snapshot_reach_hooks(struct kelp_snapshot_reach *reach,
			       struct kelp_snapshot_memory *memory);

#ifdef __cplusplus
}
#endif

#endif
