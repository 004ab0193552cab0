/* PID 1 of a container, aarch64: see still_init_x86_64.S for what it does and why.
 *
 * Build: aarch64-linux-gnu-as still_init_aarch64.S -o a.o && aarch64-linux-gnu-objcopy -O binary -j .text a.o a.bin
 */
        .text
        .set    BASE, 0x400000
ehdr:   .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0
        .quad   0
        .short  2, 183                          /* ET_EXEC, EM_AARCH64 */
        .long   1
        .quad   BASE + (_start - ehdr)
        .quad   phdr - ehdr
        .quad   0
        .long   0
        .short  64, 56, 1, 0, 0, 0
phdr:   .long   1, 5                            /* PT_LOAD, read and execute; 64 KiB: the largest page size */
        .quad   0, BASE, BASE, end - ehdr, end - ehdr, 0x10000

        .globl  _start
_start: stp     xzr, xzr, [sp, #-64]!           /* 64 zero bytes on the stack: every structure needed below */
        stp     xzr, xzr, [sp, #16]
        stp     xzr, xzr, [sp, #32]
        stp     xzr, xzr, [sp, #48]

        mov     x0, #1                          /* struct sigaction: SIG_IGN, no flags, empty mask */
        str     x0, [sp]
        mov     x8, #134                        /* rt_sigaction(SIGCHLD, act, NULL, 8) */
        mov     x0, #17
        mov     x1, sp
        mov     x2, #0
        mov     x3, #8
        svc     #0

        mov     x8, #167                        /* prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) */
        mov     x0, #38
        mov     x1, #1
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        svc     #0

        movz    w0, #0x0522                     /* capset(version 3, self; three empty sets) */
        movk    w0, #0x2008, lsl #16
        str     x0, [sp]
        mov     x8, #91
        mov     x0, sp
        add     x1, sp, #16
        svc     #0

wait:   mov     x8, #63                         /* read(0, one byte) */
        mov     x0, #0
        mov     x1, sp
        mov     x2, #1
        svc     #0
        cmn     x0, #4                          /* EINTR: again */
        b.eq    wait
        cmp     x0, #0
        b.gt    wait
        mov     x8, #94                         /* exit_group(0) */
        mov     x0, #0
        svc     #0
end:
