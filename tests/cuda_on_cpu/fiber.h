/* Fibers: a stack and a place to resume. Hand-written switch on x86-64, ucontext elsewhere; both
 * tell the address sanitizer which stack is in use. */
#ifndef LG_TESTS_FIBER_H
#define LG_TESTS_FIBER_H

#include "machine.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#ifdef LG_EMU_ASAN
#include <sanitizer/common_interface_defs.h>
enum { LG_FIBER_STACK = 256 * 1024 };
#else
enum { LG_FIBER_STACK = 64 * 1024 };
#endif

struct lg_fiber {
    void *stack;        /* NULL: the scheduler itself, on the program's stack */
    const void *bottom; /* for the sanitizer */
    size_t size;
    void *fake;
#if defined(__x86_64__)
    void *sp;
#else
    ucontext_t context;
#endif
};

#if defined(__x86_64__)
/* Keeps what a call would and goes on at `load`. Inline, with a jump in place of a return: a barrier is then one call and
 * one return of the kernel, which the processor predicts, where each return across a switch would be a miss. The 128
 * bytes below the stack pointer belong to the function around. */
static inline __attribute__((always_inline)) void lg_fiber_swap(void **save, void *load)
{
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rax\n\t"
                     "movq %%rsp, (%0)\n\t"
                     "movq %1, %%rsp\n\t"
                     "popq %%rax\n\t"
                     "popq %%rbp\n\t"
                     "leaq 128(%%rsp), %%rsp\n\t"
                     "jmp *%%rax\n"
                     "1:"
                     : "+D"(save), "+S"(load)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15", "memory", "cc");
}
#endif

/* Makes `f` start in entry() at its next switch. entry must never return. */
static inline void lg_fiber_start(lg_fiber *f, void (*entry)())
{
    if (!f->stack) f->stack = malloc(LG_FIBER_STACK);
    f->bottom = f->stack;
    f->size = LG_FIBER_STACK;
    f->fake = NULL;
#if defined(__x86_64__)
    uintptr_t top = (reinterpret_cast<uintptr_t>(f->stack) + LG_FIBER_STACK) & ~static_cast<uintptr_t>(15);
    void **sp = reinterpret_cast<void **>(top - 8 - 128); /* entry() finds the stack as after a call */
    *--sp = NULL;
    *--sp = reinterpret_cast<void *>(entry);
    f->sp = sp;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = LG_FIBER_STACK;
    f->context.uc_link = NULL;
    makecontext(&f->context, entry, 0);
#endif
}

/* Call first in entry(): learns the bounds of the stack that was left. */
static inline void lg_fiber_entered(lg_fiber *from)
{
#ifdef LG_EMU_ASAN
    __sanitizer_finish_switch_fiber(NULL, &from->bottom, &from->size);
#else
    (void)from;
#endif
}

/* last: `from` will not be resumed. */
static inline __attribute__((always_inline)) void lg_fiber_switch(lg_fiber *from, lg_fiber *to, bool last)
{
#ifdef LG_EMU_ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->bottom, to->size);
#else
    (void)last;
#endif
#if defined(__x86_64__)
    lg_fiber_swap(&from->sp, to->sp);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef LG_EMU_ASAN
    __sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif
}

#endif
