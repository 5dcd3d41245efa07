/* Fibers: a stack and a place to resume. Hand-written switch on x86-64 (a few nanoseconds), ucontext elsewhere; both
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
extern "C" void lg_fiber_swap(void **save, void *load);
__asm__(".text\n"
        ".globl lg_fiber_swap\n"
        ".type lg_fiber_swap, @function\n"
        "lg_fiber_swap:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size lg_fiber_swap, .-lg_fiber_swap\n");
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
    void **sp = reinterpret_cast<void **>(top);
    *--sp = NULL; /* keeps the stack aligned as after a call */
    *--sp = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++) *--sp = NULL;
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
static inline void lg_fiber_switch(lg_fiber *from, lg_fiber *to, bool last)
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
