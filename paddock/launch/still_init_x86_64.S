/* PID 1 of a container, x86-64: an ELF file of its own, header included, so that its bytes do not depend on a linker.
 *
 * It ignores SIGCHLD (the kernel then reaps orphans), gives up every privilege, and sleeps in read(0) on a pipe whose only
 * write end its shim holds. When that ends, however it ends, this process ends, and the kernel ends the PID namespace.
 *
 * Build: gcc -c still_init_x86_64.S -o x.o && objcopy -O binary -j .text x.o x.bin
 */
        .text
        .set    BASE, 0x400000
ehdr:   .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0
        .quad   0
        .short  2, 62                           /* ET_EXEC, EM_X86_64 */
        .long   1
        .quad   BASE + (_start - ehdr)
        .quad   phdr - ehdr
        .quad   0
        .long   0
        .short  64, 56, 1, 0, 0, 0
phdr:   .long   1, 5                            /* PT_LOAD, read and execute */
        .quad   0, BASE, BASE, end - ehdr, end - ehdr, 0x1000

        .globl  _start
_start: xorl    %eax, %eax
        movl    $8, %ecx                        /* 64 zero bytes on the stack: every structure needed below */
zero:   pushq   %rax
        decl    %ecx
        jnz     zero

        movq    $1, (%rsp)                      /* struct sigaction: SIG_IGN, no flags, empty mask */
        movl    $13, %eax                       /* rt_sigaction(SIGCHLD, act, NULL, 8) */
        movl    $17, %edi
        movq    %rsp, %rsi
        xorl    %edx, %edx
        movl    $8, %r10d
        syscall

        movl    $157, %eax                      /* prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) */
        movl    $38, %edi
        movl    $1, %esi
        xorl    %edx, %edx
        xorl    %r10d, %r10d
        xorl    %r8d, %r8d
        syscall

        movl    $0x20080522, (%rsp)             /* capset(version 3, self; three empty sets) */
        movl    $0, 4(%rsp)
        movl    $126, %eax
        movq    %rsp, %rdi
        leaq    16(%rsp), %rsi
        syscall

wait:   xorl    %eax, %eax                      /* read(0, one byte) */
        xorl    %edi, %edi
        movq    %rsp, %rsi
        movl    $1, %edx
        syscall
        cmpq    $-4, %rax                       /* EINTR: again */
        je      wait
        testq   %rax, %rax
        jg      wait
        movl    $231, %eax                      /* exit_group(0) */
        xorl    %edi, %edi
        syscall
end:
