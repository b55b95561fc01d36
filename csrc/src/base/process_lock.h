/* A lock whose value is the process that holds it: one held across a fork does not bind the child. */
#ifndef PYNN_PROCESS_LOCK_H
#define PYNN_PROCESS_LOCK_H

#include <stdatomic.h>

#if defined(__unix__) || defined(__APPLE__)
#  include <sched.h>
#  include <unistd.h>
#else /* no system below: one process, and nobody to yield to */
typedef int pid_t;
static inline pid_t getpid(void) { return 1; }
static inline int sched_yield(void) { return 0; }
#endif

typedef _Atomic pid_t process_lock; /* 0: nobody has it */

static inline int process_lock_try(process_lock *lock, pid_t process) {
  pid_t holder = atomic_load(lock);
  return holder != process && atomic_compare_exchange_strong(lock, &holder, process);
}

static inline void process_lock_wait(process_lock *lock, pid_t process) {
  while (!process_lock_try(lock, process)) sched_yield();
}

static inline void process_lock_release(process_lock *lock) { atomic_store(lock, 0); }

#endif
