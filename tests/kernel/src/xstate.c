/*
 * Loaded into User Mode Linux where the CPU has AMX.
 *
 * That kernel keeps 2696 bytes of a process's extended registers. Linux gives fewer than all without a word,
 * but takes back only the whole set, which AMX makes longer. So: always read the whole set here, show the kernel
 * as much as it asks for, and put what it writes over the start of the whole set. ptrace(2), "PTRACE_SETREGSET".
 */
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXTENDED_REGISTERS 0x202 /* NT_X86_XSTATE */

static char whole[1 << 16] __attribute__((aligned(64)));

/* The whole set of one process, read into `set`. */
static long fetch(int pid, struct iovec *set)
{
	set->iov_base = whole;
	set->iov_len = sizeof whole;
	return syscall(SYS_ptrace, PTRACE_GETREGSET, pid, EXTENDED_REGISTERS, set);
}

static long extended(long request, int pid, struct iovec *asked)
{
	struct iovec set;

	if (fetch(pid, &set) < 0)
		return -1;
	if (asked->iov_len > set.iov_len)
		asked->iov_len = set.iov_len;
	if (request == PTRACE_GETREGSET) {
		memcpy(asked->iov_base, whole, asked->iov_len);
		return 0;
	}
	memcpy(whole, asked->iov_base, asked->iov_len);
	return syscall(SYS_ptrace, request, pid, EXTENDED_REGISTERS, &set);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	long address, data, word, result;
	int pid;

	va_start(arguments, request);
	pid = va_arg(arguments, int);
	address = va_arg(arguments, long);
	data = va_arg(arguments, long);
	va_end(arguments);

	if ((request == PTRACE_GETREGSET || request == PTRACE_SETREGSET) && address == EXTENDED_REGISTERS)
		return extended(request, pid, (struct iovec *)data);
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
		/* The system call stores the word; the function returns it. */
		result = syscall(SYS_ptrace, request, pid, address, &word);
		return result < 0 ? result : word;
	}
	return syscall(SYS_ptrace, request, pid, address, data);
}
