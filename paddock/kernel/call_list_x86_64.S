/* Carries out a list of system calls, x86-64: long run(void *base, long first). The form is in call_list.py.
 *
 * It uses registers only, no stack: a child that shares its parent's memory walks on here while its parent returns.
 * So a zero that leads elsewhere is not written down: a child's would stand where its parent is about to read its pid.
 *
 * Build: as call_list_x86_64.S -o x.o && objcopy -O binary -j .text x.o x.bin
 */
        .text
        .macro  argument register, offset, bit
        movq    \offset(%r12), \register
        btq     $\bit, %r13
        jnc     1f
        addq    %rbx, \register                 /* a place in the list's own memory */
1:      btq     $(\bit + 1), %r13
        jnc     2f
        movslq  (\register), \register          /* what stands there: an earlier result, a descriptor */
2:
        .endm

run:    pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        movq    %rdi, %rbx
        leaq    (%rdi,%rsi), %r12

next:   movq    (%r12), %r13
        argument %rdi, 8, 16
        argument %rsi, 16, 18
        argument %rdx, 24, 20
        argument %r10, 32, 22
        argument %r8, 40, 24
        argument %r9, 48, 26
        movzwl  %r13w, %eax
        cmpl    $0xfffa, %eax
        jae     special
        syscall
        testq   %rax, %rax
        jnz     keep
        movq    %r13, %r14                      /* zero: to where that leads, if anywhere, and not a word here */
        shrq    $40, %r14
        andl    $0xfff, %r14d
        jnz     there
keep:   movq    %rax, 56(%r12)
        cmpq    $-4095, %rax
        jae     failed
step:   addq    $64, %r12
        jmp     next

zeroed: movq    %r13, %r14
        shrq    $40, %r14
        andl    $0xfff, %r14d
        jz      step
there:  shlq    $6, %r14
        leaq    (%rbx,%r14), %r12
        jmp     next

failed: negq    %rax
        movq    %r13, %r14                      /* one of the errors that do not matter? */
        shrq    $52, %r14
        jz      fatal
        shlq    $6, %r14
        addq    %rbx, %r14
        movl    $8, %ecx
1:      cmpq    %rax, (%r14)
        je      step
        addq    $8, %r14
        decl    %ecx
        jnz     1b
fatal:  movq    %r13, %r14
        shrq    $28, %r14
        andl    $0xfff, %r14d
        jz      step
        shlq    $6, %r14
        addq    %rbx, %r14
        subq    %rbx, %r12
        movq    %r12, 56(%r14)                  /* where it goes on is told where it failed */
        movq    %r14, %r12
        jmp     next

special: je     enter                           /* 0xfffa */
        cmpl    $0xfffc, %eax
        jb      compare                         /* 0xfffb */
        je      relocate                        /* 0xfffc */
        cmpl    $0xfffe, %eax
        jb      zeroed                          /* 0xfffd: nothing to do, as if the result were zero */
        ja      end                             /* 0xffff */
        movl    %edi, (%rsi)                    /* 0xfffe: store 32 bits */
        jmp     step
relocate: testq %rsi, %rsi                  /* add to so many words */
        jz      step
        addq    %rdx, (%rdi)
        addq    $8, %rdi
        decq    %rsi
        jmp     relocate

enter:  movq    %rdi, %rbx                      /* another list: its memory, and where in it */
        leaq    (%rdi,%rsi), %r12
        jmp     next

compare: cmpl   %eax, %eax                      /* so many bytes: the same is zero, none are the same */
        movl    %edx, %ecx
        repe cmpsb
        je      zeroed
        jmp     step

end:    movq    %rdi, %rax
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        ret
