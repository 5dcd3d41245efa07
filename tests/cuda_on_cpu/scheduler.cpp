/* CUDA on the CPU: runs the threads of blocks and clusters as fibers, and what kernels call. */
#include "fiber.h"
#include "machine.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <signal.h>

using namespace lg_emu;

lg_emu_place lg_emu_here;
board lg_emu::the_device;

namespace {

enum wait_kind { RUN, AT_BARRIER, AT_CLUSTER, AT_WARP, LEFT };

struct thread_record {
    lg_fiber fiber;
    wait_kind wait;
    const char *file; /* where it waits */
    int line;
    unsigned mask;
    unsigned exchanges; /* warp operations so far: their parity selects the slot */
    uint3 id;
};

struct block_record {
    std::vector<thread_record> threads;
    std::vector<uint64_t> slots; /* [2][threads] values of warp operations */
    unsigned char *shared;
    uint3 index;
    bool left; /* all of its threads have: its shared memory is no more */
};

struct machine {
    std::vector<block_record> blocks; /* of the cluster that runs */
    std::vector<unsigned> sequence, block_sequence;
    lg_fiber scheduler;
    block_record *block;              /* the running thread's */
    unsigned count, current, cluster; /* threads a block, running thread, blocks a cluster */
    const std::function<void()> *run;
    size_t shared;
    lg_emu_order order;
    uint64_t random;
    uint64_t launches;
    ~machine()
    {
        for (block_record &b : blocks)
            for (thread_record &t : b.threads) free(t.fiber.stack);
    }
};
machine the;

} // namespace

void lg_emu::violation(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "cuda on cpu: kernel %s: ", the_device.kernel ? the_device.kernel : "(none)");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

namespace {

uint64_t next_random()
{
    the.random ^= the.random << 13;
    the.random ^= the.random >> 7;
    the.random ^= the.random << 17;
    return the.random;
}

void fill_sequence(std::vector<unsigned> &s, unsigned n)
{
    s.resize(n);
    for (unsigned i = 0; i < n; i++) s[i] = the.order == LG_EMU_REVERSE ? n - 1 - i : i;
    if (the.order != LG_EMU_RANDOM) return;
    for (unsigned i = n; i > 1; i--) {
        const unsigned k = static_cast<unsigned>(next_random() % i), t = s[i - 1];
        s[i - 1] = s[k];
        s[k] = t;
    }
}

/* Back to the scheduler; returns when the thread is resumed. */
inline __attribute__((always_inline)) void pause(wait_kind wait, const char *file, int line, unsigned mask)
{
    thread_record &t = the.block->threads[the.current];
    t.wait = wait;
    t.file = file;
    t.line = line;
    t.mask = mask;
    lg_fiber_switch(&t.fiber, &the.scheduler, wait == LEFT);
}

void thread_main()
{
    lg_fiber_entered(&the.scheduler);
    (*the.run)();
    pause(LEFT, "", 0, 0);
    abort(); /* a thread that left is never resumed */
}

inline __attribute__((always_inline)) void resume(block_record &block, unsigned t)
{
    the.block = &block;
    the.current = t;
    lg_emu_here.block = block.index;
    lg_emu_here.thread = block.threads[t].id;
    lg_fiber_switch(&the.scheduler, &block.threads[t].fiber, false);
}

/* Releases the lanes of a warp that all wait for each other. */
bool release_warp(block_record &block, unsigned first)
{
    const unsigned lanes = the.count - first < 32 ? the.count - first : 32;
    bool released = false;
    for (unsigned l = 0; l < lanes; l++) {
        thread_record &t = block.threads[first + l];
        if (t.wait != AT_WARP) continue;
        bool all = true;
        for (unsigned k = 0; k < lanes; k++) {
            const thread_record &o = block.threads[first + k];
            if (!(t.mask >> k & 1)) continue;
            if (o.wait == LEFT || o.wait == AT_BARRIER || o.wait == AT_CLUSTER)
                violation("%s:%d: lane %u waits for lane %u, which %s", t.file, t.line, l, k,
                          o.wait == LEFT ? "has left" : "is at a barrier");
            if (o.wait != AT_WARP) all = false;
            else if (o.line != t.line || o.mask != t.mask || o.exchanges != t.exchanges)
                violation("%s:%d: lanes %u and %u of a warp meet in different operations", t.file, t.line, l, k);
        }
        if (!all) continue;
        const unsigned mask = t.mask;
        for (unsigned k = 0; k < lanes; k++)
            if (mask >> k & 1) block.threads[first + k].wait = RUN;
        released = true;
    }
    return released;
}

/* After every thread of a block has run as far as it can. True when it goes on, false when all have left or wait for
 * the cluster. */
bool release_block(block_record &block)
{
    bool released = false;
    for (unsigned w = 0; w < the.count; w += 32) released |= release_warp(block, w);
    if (released) return true;
    const thread_record *waiting = nullptr, *left = nullptr;
    for (unsigned i = 0; i < the.count; i++) {
        const thread_record &t = block.threads[i];
        if (t.wait == LEFT) left = &t;
        else if (!waiting) waiting = &t;
        else if (waiting->line != t.line || waiting->file != t.file)
            violation("threads wait at different barriers, %s:%d and %s:%d", waiting->file, waiting->line, t.file,
                      t.line);
    }
    if (!waiting) return false;
    if (left)
        violation("%s:%d: threads wait at a barrier that others left without reaching", waiting->file, waiting->line);
    if (waiting->wait == AT_CLUSTER) return false;
    for (unsigned i = 0; i < the.count; i++) block.threads[i].wait = RUN;
    return true;
}

/* Runs each warp, lane by lane, until it waits at a block barrier: warps drift as far apart as barriers allow. */
void run_by_warps(block_record &block)
{
    const unsigned warps = (the.count + 31) / 32;
    for (unsigned k = 0; k < warps; k++) {
        const unsigned first = 32 * (the.order == LG_EMU_REVERSE ? warps - 1 - k : k);
        const unsigned lanes = the.count - first < 32 ? the.count - first : 32;
        do {
            for (unsigned l = 0; l < lanes; l++) {
                const unsigned t = first + (the.order == LG_EMU_REVERSE ? lanes - 1 - l : l);
                if (block.threads[t].wait == RUN) resume(block, t);
            }
        } while (release_warp(block, first));
    }
}

/* Runs every thread that can run once, in a random order: lanes and warps mixed. */
void run_mixed(block_record &block)
{
    fill_sequence(the.sequence, the.count);
    for (unsigned i : the.sequence)
        if (block.threads[i].wait == RUN) resume(block, i);
}

/* Shared memory exists from a block's start to its end: garbage at first, and sentinels behind it. */
void start_block(block_record &block, const lg_emu_kernel &k)
{
    memset(block.shared, GARBAGE, the.shared);
    memset(block.shared + the.shared, SENTINEL_BYTE, SLACK);
    block.left = false;
    if (block.threads.size() < the.count) block.threads.resize(the.count);
    block.slots.assign(2 * the.count, 0);
    for (unsigned i = 0; i < the.count; i++) {
        thread_record &t = block.threads[i];
        t.id = {i % k.block.x, i / k.block.x % k.block.y, i / (k.block.x * k.block.y)};
        t.wait = RUN;
        t.exchanges = 0;
        lg_fiber_start(&t.fiber, thread_main);
    }
}

/* Runs a block until it waits for the cluster or has left. */
void run_block(block_record &block)
{
    do {
        if (the.order == LG_EMU_RANDOM) run_mixed(block);
        else run_by_warps(block);
    } while (release_block(block));
    if (block.threads[0].wait != LEFT || block.left) return;
    block.left = true;
    memset(block.shared, GARBAGE, the.shared); /* what others read or write there now is caught */
}

/* After every block has run as far as it can. True when the cluster goes on, false when all have left. */
bool release_cluster()
{
    const thread_record *waiting = nullptr;
    bool left = false;
    for (unsigned b = 0; b < the.cluster; b++) {
        const thread_record &t = the.blocks[b].threads[0];
        if (t.wait == LEFT) left = true;
        else if (!waiting) waiting = &t;
        else if (waiting->line != t.line || waiting->file != t.file)
            violation("blocks of a cluster wait at different barriers, %s:%d and %s:%d", waiting->file, waiting->line,
                      t.file, t.line);
    }
    if (!waiting) return false;
    if (left)
        violation("%s:%d: blocks wait at a barrier of the cluster that others left without reaching", waiting->file,
                  waiting->line);
    for (unsigned b = 0; b < the.cluster; b++)
        for (unsigned i = 0; i < the.count; i++) the.blocks[b].threads[i].wait = RUN;
    return true;
}

/* One after the other, each as far as it can, so that blocks too drift as far apart as barriers allow. A block's shared
 * memory comes into being when it first runs: what others wrote into it before is lost. */
void run_cluster(const lg_emu_kernel &k, unsigned x, unsigned y, unsigned z)
{
    bool started = false;
    if (the.blocks.size() < the.cluster) the.blocks.resize(the.cluster);
    for (unsigned b = 0; b < the.cluster; b++) {
        the.blocks[b].index = {x + b, y, z};
        the.blocks[b].shared = static_cast<unsigned char *>(malloc(the.shared + SLACK)); /* aligned to 16 bytes */
    }
    do {
        fill_sequence(the.block_sequence, the.cluster);
        for (unsigned b : the.block_sequence) {
            if (!started) start_block(the.blocks[b], k);
            run_block(the.blocks[b]);
        }
        started = true;
    } while (release_cluster());
    for (unsigned b = 0; b < the.cluster; b++) {
        const unsigned char *shared = the.blocks[b].shared;
        for (size_t i = 0; i < the.shared; i++)
            if (shared[i] != GARBAGE) violation("wrote into the shared memory of a block that had left");
        for (size_t i = the.shared; i < the.shared + SLACK; i++)
            if (shared[i] != SENTINEL_BYTE) violation("wrote behind its shared memory");
        free(the.blocks[b].shared);
    }
}

void check_launch(const lg_emu_kernel &k)
{
    const size_t threads = static_cast<size_t>(k.block.x) * k.block.y * k.block.z;
    if (threads < 1 || threads > 1024 || k.block.z > 64) violation("%zu threads a block", threads);
    if (k.grid.x < 1 || k.grid.x > 0x7fffffffu || k.grid.y < 1 || k.grid.y > 65535 || k.grid.z < 1 || k.grid.z > 65535)
        violation("grid %u x %u x %u", k.grid.x, k.grid.y, k.grid.z);
    if (k.cluster < 1 || k.cluster > 8 || k.grid.x % k.cluster != 0)
        violation("clusters of %u blocks in a grid of %u", k.cluster, k.grid.x);
    if (k.cluster > 1 && the_device.major < 9) violation("clusters on compute capability %d", the_device.major);
    const auto allowed = the_device.allowed.find(k.address);
    const size_t limit = allowed == the_device.allowed.end() ? static_cast<size_t>(SHARED_DEFAULT)
                                                             : static_cast<size_t>(allowed->second);
    if (k.shared > limit) violation("%zu bytes of shared memory, %zu allowed", k.shared, limit);
}

} // namespace

void lg_emu::run_kernel(const lg_emu_kernel &k)
{
    the_device.kernel = k.name;
    check_launch(k);
    the.launches++;
    the.run = &k.run;
    the.count = k.block.x * k.block.y * k.block.z;
    the.cluster = k.cluster;
    the.shared = k.shared;
    lg_emu_here.block_dim = k.block;
    lg_emu_here.grid_dim = k.grid;
    std::vector<unsigned> clusters;
    fill_sequence(clusters, k.grid.x / k.cluster);
    for (unsigned z = 0; z < k.grid.z; z++)
        for (unsigned y = 0; y < k.grid.y; y++)
            for (unsigned x : clusters) run_cluster(k, x * k.cluster, y, z);
    the_device.kernel = nullptr;
}

/* ---- what kernels call ------------------------------------------------------------------------------------------ */

unsigned char *lg_emu_shared_memory()
{
    return the.block->shared;
}

unsigned char *lg_emu_map_shared(unsigned char *memory, unsigned rank)
{
    const ptrdiff_t offset = memory - the.block->shared;
    if (rank >= the.cluster || offset < 0 || static_cast<size_t>(offset) > the.shared)
        violation("no block %u in a cluster of %u, or no shared memory at %td", rank, the.cluster, offset);
    return the.blocks[rank].shared + offset;
}

unsigned lg_emu_cluster_rank()
{
    return lg_emu_here.block.x % the.cluster;
}

void lg_emu_synccluster(const char *file, int line)
{
    pause(AT_CLUSTER, file, line, 0);
}

void lg_emu_syncthreads(const char *file, int line)
{
    pause(AT_BARRIER, file, line, 0);
}

static unsigned live_mask(unsigned mask)
{
    const unsigned lanes = the.count - (the.current & ~31u);
    return lanes < 32 ? mask & ((1u << lanes) - 1) : mask;
}

void lg_emu_syncwarp(unsigned mask, const char *file, int line)
{
    the.block->threads[the.current].exchanges++;
    pause(AT_WARP, file, line, live_mask(mask));
}

uint64_t lg_emu_exchange(unsigned mask, uint64_t value, unsigned source, const char *file, int line)
{
    thread_record &t = the.block->threads[the.current];
    const unsigned self = the.current, first = self & ~31u;
    uint64_t *slots = the.block->slots.data() + (t.exchanges++ & 1 ? the.count : 0);
    slots[self] = value;
    pause(AT_WARP, file, line, live_mask(mask));
    return source < 32 && first + source < the.count ? slots[first + source] : value;
}

unsigned lg_emu_ballot(unsigned mask, int predicate, const char *file, int line)
{
    thread_record &t = the.block->threads[the.current];
    const unsigned first = the.current & ~31u;
    uint64_t *slots = the.block->slots.data() + (t.exchanges++ & 1 ? the.count : 0);
    slots[the.current] = predicate != 0;
    pause(AT_WARP, file, line, live_mask(mask));
    unsigned bits = 0;
    for (unsigned l = 0; l < 32 && first + l < the.count; l++)
        if ((mask >> l & 1) && slots[first + l]) bits |= 1u << l;
    return bits;
}

unsigned lg_emu_lane()
{
    return the.current & 31u;
}

/* ---- control ---------------------------------------------------------------------------------------------------- */

#ifndef LG_EMU_ASAN
static void on_fault(int number)
{
    if (the_device.kernel) violation("reads or writes where there is no memory");
    signal(number, SIG_DFL); /* the harness itself: the fault comes again and ends the process */
}
#endif

void lg_emu_catch_faults(void)
{
#ifndef LG_EMU_ASAN
    static unsigned char stack[65536]; /* the fiber's own may be what is broken */
    stack_t other = {};
    other.ss_sp = stack;
    other.ss_size = sizeof stack;
    struct sigaction action = {};
    action.sa_handler = on_fault;
    action.sa_flags = SA_ONSTACK;
    if (sigaltstack(&other, NULL) || sigaction(SIGSEGV, &action, NULL) || sigaction(SIGBUS, &action, NULL)) abort();
#endif
}

void lg_emu_set_order(lg_emu_order order, uint64_t seed)
{
    the.order = order;
    the.random = seed * 2 + 1;
}

void lg_emu_set_capability(int major)
{
    the_device.major = major;
}

uint64_t lg_emu_launches(void)
{
    return the.launches;
}
