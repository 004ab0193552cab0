/* Carries out a list of system calls, aarch64: long run(void *base, long first). The form is in call_list.py.
 *
 * It uses registers only, no stack: a child that shares its parent's memory walks on here while its parent returns.
 * So a zero that leads elsewhere is not written down: a child's would stand where its parent is about to read its pid.
 *
 * Build: aarch64-linux-gnu-as call_list_aarch64.S -o x.o && aarch64-linux-gnu-objcopy -O binary -j .text x.o x.bin
 */
        .text
        .macro  argument register, offset, bit
        ldr     \register, [x20, #\offset]
        tbz     x21, #\bit, 1f
        add     \register, \register, x19       /* a place in the list's own memory */
1:      tbz     x21, #(\bit + 1), 2f
        ldrsw   \register, [\register]          /* what stands there: an earlier result, a descriptor */
2:
        .endm

run:    stp     x19, x20, [sp, #-32]!
        str     x21, [sp, #16]
        mov     x19, x0
        add     x20, x0, x1

next:   ldr     x21, [x20]
        argument x0, 8, 16
        argument x1, 16, 18
        argument x2, 24, 20
        argument x3, 32, 22
        argument x4, 40, 24
        argument x5, 48, 26
        and     x8, x21, #0xffff
        mov     x9, #0xfffa
        cmp     x8, x9
        b.hs    special
        svc     #0
        cbnz    x0, keep
        ubfx    x10, x21, #40, #12              /* zero: to where that leads, if anywhere, and not a word here */
        cbnz    x10, there
keep:   str     x0, [x20, #56]
        cmn     x0, #4095
        b.hs    failed
step:   add     x20, x20, #64
        b       next

zeroed: ubfx    x10, x21, #40, #12
        cbz     x10, step
there:  add     x20, x19, x10, lsl #6
        b       next

failed: neg     x0, x0
        lsr     x10, x21, #52                   /* one of the errors that do not matter? */
        cbz     x10, fatal
        add     x10, x19, x10, lsl #6
        mov     x11, #8
1:      ldr     x12, [x10], #8
        cmp     x0, x12
        b.eq    step
        subs    x11, x11, #1
        b.ne    1b
fatal:  ubfx    x10, x21, #28, #12
        cbz     x10, step
        add     x10, x19, x10, lsl #6
        sub     x11, x20, x19
        str     x11, [x10, #56]                 /* where it goes on is told where it failed */
        mov     x20, x10
        b       next

special: b.eq   enter                           /* 0xfffa */
        mov     x9, #0xfffc
        cmp     x8, x9
        b.lo    compare                         /* 0xfffb */
        b.eq    relocate                        /* 0xfffc */
        mov     x9, #0xfffe
        cmp     x8, x9
        b.lo    zeroed                          /* 0xfffd: nothing to do, as if the result were zero */
        b.hi    end                             /* 0xffff */
        str     w0, [x1]                        /* 0xfffe: store 32 bits */
        b       step
relocate: cbz   x1, step                        /* add to so many words */
        ldr     x9, [x0]
        add     x9, x9, x2
        str     x9, [x0], #8
        sub     x1, x1, #1
        b       relocate

enter:  mov     x19, x0                         /* another list: its memory, and where in it */
        add     x20, x0, x1
        b       next

compare: cbz    x2, zeroed                      /* so many bytes: the same is zero, none are the same */
        ldrb    w9, [x0], #1
        ldrb    w10, [x1], #1
        sub     x2, x2, #1
        cmp     w9, w10
        b.eq    compare
        b       step

end:    ldr     x21, [sp, #16]
        ldp     x19, x20, [sp], #32
        ret
